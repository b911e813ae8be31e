"""Print which share of a text's runs of eight words the books of the model in the box have too.

    python tests/benchmarks/shingles.py BOOKS_FOLDER TEXT …

The books are those that ``checkpoints/books.csv`` marks ``train``, by their numbers. Words are compared without case
and punctuation, without the header and licence of Project Gutenberg.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from charlstm import TextOptions, open_corpus

LENGTH = 8
LIST = Path(__file__).parents[2] / "checkpoints" / "books.csv"


def shingles(path: Path) -> Iterator[int]:
    words = re.findall(r"\w+", open_corpus(path, TextOptions(strip_boilerplate=True)).text().lower())
    return (hash(tuple(words[begin : begin + LENGTH])) for begin in range(len(words) - LENGTH + 1))


def main() -> None:
    folder, *texts = map(Path, sys.argv[1:])
    with LIST.open(encoding="utf-8") as lines:
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        numbers = [int(row["number"]) for row in rows if row["use"] == "train"]
    known = {each for number in numbers for each in shingles(next(folder.glob(f"{number:05}-*.txt")))}
    print(f"{len(numbers)} books, {len(known):,} different runs of {LENGTH} words")
    for text in texts:
        own = list(shingles(text))
        print(f"{text.name}: {sum(each in known for each in own):,} of {len(own):,}")


if __name__ == "__main__":
    main()

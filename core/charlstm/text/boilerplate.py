"""Find the header and licence that Project Gutenberg adds to its books, in all their versions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from charlstm.text.reading import Boilerplate

REACH = 64 * 1024
"""Characters at both ends of a file that are searched. The longest licence has about 19,000."""

# *** START OF THE PROJECT GUTENBERG EBOOK X ***, its variants since 1991, and the end of the older "small print".
# No two neighbouring parts can match the same blanks, or a hostile line would take quadratic time.
_HEADER_END = re.compile(
    r"^[ \t]*(?:"
    r"\*{1,3}[ \t]*START[ \t]+OF[ \t]+(?:(?:THIS|THE)[ \t]+)?PROJECT[ \t]+GUTENBERG.*(?:\n.*\*\*\*[ \t]*$)?"
    r"|\*END[ \t*]*THE[ \t]+SMALL[ \t]+PRINT!.*(?:\n.*\*END\*?[ \t]*$)?"
    r")\n(?:[ \t]*\n)*"
    r"(?:(?:Produced|E-?text prepared|Transcribed|This etext was (?:prepared|produced))\b.*\n(?:[^\S\n]*+\S.*\n)*"
    r"(?:[ \t]*\n)*)?",
    re.MULTILINE | re.IGNORECASE,
)
_LICENCE_START = re.compile(
    r"^[ \t]*(?:"
    r"\*{1,3}[ \t]*END[ \t]+OF[ \t]+(?:(?:THIS|THE)[ \t]+)?PROJECT[ \t]+GUTENBERG.*"
    r"|(?:\*{3}[ \t]*)?(?:This is the )?End[ \t]+of[ \t]+(?:(?:the|this)[ \t]+)?Project[ \t]+Gutenberg\b.*"
    r")$",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER_WORDS = re.compile(r"Project\s+Gutenberg", re.IGNORECASE)


def without_boilerplate(pieces: Iterable[str], found: list[Boilerplate], *, strip: bool = True) -> Iterator[str]:
    """The text of a file, given in ``pieces``, without header and licence, which are added to ``found``.

    With ``strip`` false they are only found, not left out.
    """
    pieces, held = iter(pieces), ""
    while len(held) < REACH and (piece := next(pieces, None)) is not None:
        held += piece
    if header := find_header(held[:REACH]):
        found.append(Boilerplate("header", header, held.count("\n", 0, header)))
        if not strip:
            yield held[:header]
    held = held[header:]
    for piece in itertools.chain([""], pieces):
        held += piece
        if len(held) > REACH:
            yield held[:-REACH]
            held = held[-REACH:]
    if (licence := find_licence(held)) is not None:
        found.append(Boilerplate("licence", len(held) - licence, held.count("\n", licence)))
        if strip:
            held = held[:licence]
    yield held


def find_header(head: str) -> int:
    """The length of the header at the beginning of ``head``; 0 without one."""
    ended = _LICENCE_START.search(head)  # what follows a first book is another's
    last = None
    for match in _HEADER_END.finditer(head, 0, len(head) if ended is None else ended.start()):
        last = match  # in old files the small print follows a first START line
    if last is None or not _HEADER_WORDS.search(head, 0, last.end()):
        return 0
    return last.end()


def find_licence(tail: str) -> int | None:
    """The position in ``tail``, the end of a text, at which the licence begins; None without one."""
    headers = _HEADER_END.finditer(tail)
    match = _LICENCE_START.search(tail, max((header.end() for header in headers), default=0))  # that of the last book
    if match is None:
        return None
    start = match.start()
    return start - (len(tail[:start]) - len(tail[:start].rstrip("\n")) - 1) if tail[:start].strip() else 0

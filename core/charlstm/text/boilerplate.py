"""Find the header and licence that Project Gutenberg adds to its books, in all their versions."""

from __future__ import annotations

import re

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
    r"(?:(?:Produced|E-?text prepared|Transcribed|This etext was (?:prepared|produced))\b.*\n(?:.*\S.*\n)*"
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


class Ends:
    """Collect the first and last :data:`REACH` characters of a file that starts at ``start`` of the whole text."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._chars = 0
        self._head = ""
        self._tail = ""

    def feed(self, text: str) -> None:
        if len(self._head) < REACH:
            self._head += text[: REACH - len(self._head)]
        self._tail = text[-REACH:] if len(text) >= REACH else (self._tail + text)[-REACH:]
        self._chars += len(text)

    def boilerplate(self) -> list[Boilerplate]:
        """The header and licence of the file, with positions in the whole text."""
        found = []
        body = find_header(self._head)
        if body:
            found.append(Boilerplate("header", self._start, body, self._head.count("\n", 0, body)))
        tail_start = self._chars - len(self._tail)
        licence = find_licence(self._tail)
        if licence is not None and tail_start + licence >= body:
            start = tail_start + licence
            lines = self._tail.count("\n", licence)
            found.append(Boilerplate("licence", self._start + start, self._chars - start, lines))
        return found


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

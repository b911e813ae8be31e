"""Wrap a text that is edited into rows of terminal cells: glyphs, widths and line breaks.

A newline ends a row.

Only the position of each row's first character is stored. An edit wraps the rows from the one above it on, until one
begins where a row began before: appending wraps the last row again and nothing else.
"""

from __future__ import annotations

import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from rich.cells import get_character_cell_size

from charlstm.display import visible

TAB_CELLS = 4
NO_BREAK = "\xa0\u2007\u202f"
"""Spaces at which a row must not end."""
UNKNOWN = 0xFF  # a character whose class is not computed yet
WIDTH = 0x07  # the low bits of a character's class: its cells
BREAK = 0x08  # a row may end after the character
SPACE = 0x10  # it may stand beyond the right margin, instead of starting a row
# No language has more combining marks on a letter; the limit bounds the cost of a row.
ROW_CHARS_PER_CELL = 8
FIRST_BLOCK, LONGEST_BLOCK = 1024, 1 << 18
"""Characters that are wrapped at once: first after an edit, then twice as many each time, and at most. It takes some 80
bytes for each of them."""


@lru_cache(maxsize=65536)
def glyph(char: str) -> str:
    """What is drawn for ``char``: itself, or a visible symbol for a control character. Nothing for a newline."""
    if char in ("\n", "\ufe0f"):  # terminals disagree on the width of U+FE0F, emoji presentation
        return ""
    return " " * TAB_CELLS if char == "\t" else visible(char, keep="")


def cells(char: str) -> int:
    """The cells that ``char`` takes: 0 (marks, newline), 1, 2 (wide) or :data:`TAB_CELLS`."""
    return int(_classify(ord(char)) & WIDTH)


@lru_cache(maxsize=65536)
def _classify(code: int) -> int:
    char = chr(code)
    width = sum(get_character_cell_size(part) for part in glyph(char))
    flags = 0
    if char in " \t" or (unicodedata.category(char) == "Zs" and char not in NO_BREAK):
        flags = BREAK | (SPACE if width == 1 else 0)
    elif char in "-–—/" or width == 2:
        flags = BREAK
    return width | flags


class TextLayout:
    """A text, wrapped at a width. Positions are indices of characters; rows and columns count from 0."""

    def __init__(self, width: int = 80) -> None:
        self.width = max(2, width)
        self.chars: list[str] = []
        self.starts = array("q", [0])
        """The position of each row's first character. An empty text has a row."""
        self._classes = np.full(0x110000, UNKNOWN, dtype=np.uint8)
        self._classes[ord("\n")] = 0

    def __len__(self) -> int:
        return len(self.chars)

    @property
    def rows(self) -> int:
        return len(self.starts)

    def text(self, start: int = 0, stop: int | None = None) -> str:
        return "".join(self.chars[start:stop])

    def append(self, text: str) -> int:
        """Add ``text`` at the end. Returns the first row that may have changed."""
        last = self.rows - 1
        del self.starts[last + 1 :]
        self.chars.extend(text)
        self._wrap(last)
        return last

    def replace(self, start: int, stop: int, text: str) -> tuple[int, int]:
        """Put ``text`` in the place of the characters from ``start`` to ``stop``. Returns the first row that may have
        changed, and the one after the last; rows below have at most moved."""
        if start == stop == len(self.chars):
            return self.append(text), self.rows
        self.chars[start:stop] = text
        row = self.row_of(start)
        # The word at the start of this row may now fit on the row above, as its end was removed. If the whole row was
        # removed, this also holds for the row above, whose first word may have been moved there only because of a wide
        # character after it.
        row = max(0, row - (2 if start == self.starts[row] else 1))
        below = self.starts[bisect_left(self.starts, stop) :]
        del self.starts[row + 1 :]
        moved = np.frombuffer(below, np.int64) + (start + len(text) - stop)
        return row, self._wrap(row, array("q", moved.tobytes()), start + len(text))

    def resize(self, width: int) -> None:
        """Wrap all of the text again for ``width`` cells."""
        if (width := max(2, width)) != self.width:
            self.width = width
            del self.starts[1:]
            self._wrap(0)

    def ends_row(self, position: int) -> bool:
        """Whether there is a newline at ``position``."""
        return 0 <= position < len(self.chars) and self.chars[position] == "\n"

    def row_of(self, position: int) -> int:
        """The row that shows ``position``; the end of the text belongs to the last row."""
        return bisect_right(self.starts, position) - 1

    def row_span(self, row: int) -> tuple[int, int]:
        """The positions from the first of ``row`` to the one after its last."""
        stop = self.starts[row + 1] if row + 1 < len(self.starts) else len(self.chars)
        return self.starts[row], stop

    def column_of(self, position: int) -> int:
        """The cell in its row at which ``position`` begins."""
        start = self.starts[self.row_of(position)]
        return sum(len_cells for _, len_cells in self.glyphs(start, position))

    def position_at(self, row: int, column: int) -> int:
        """The position shown at a cell. Right of a row's text: its last character, or the end of the text."""
        if row < 0:
            return 0
        if row >= self.rows:
            return len(self.chars)
        start, stop = self.row_span(row)
        cells_before = 0
        for offset, (_, width) in enumerate(self.glyphs(start, stop)):
            cells_before += width
            if column < cells_before:
                return start + offset
        return stop if row == self.rows - 1 and not self._ends_line(stop) else max(start, stop - 1)

    def glyphs(self, start: int, stop: int) -> list[tuple[str, int]]:
        """Glyph and cells of each character. A combining mark at the start of a row is drawn on ◌."""
        shown = [(glyph(char), cells(char)) for char in self.chars[start:stop]]
        if shown and shown[0][1] == 0 and shown[0][0]:
            shown[0] = ("◌" + shown[0][0], 1)
        return shown

    def _ends_line(self, stop: int) -> bool:
        return stop < len(self.chars) and self.ends_row(stop - 1)

    def _wrap(self, row: int, known: array[int] | None = None, changed: int = 0) -> int:
        """Wrap the text from the start of ``row``, the last one, on. The start itself stays. ``known`` are the starts
        of rows below the position ``changed``, as they were before: from the first of them that a row begins at again,
        all are the same. Returns the row after the last that was wrapped."""
        size, block = len(self.chars), FIRST_BLOCK if known else LONGEST_BLOCK
        known = known or array("q")
        base, index = self.starts[row], 0
        while True:
            stop = min(size, base + max(block, 2 * self.width * ROW_CHARS_PER_CELL))
            for start in self._row_starts(base, stop):
                here = base + start
                self.starts.append(here)
                index = bisect_left(known, here, index)
                if here > changed and index < len(known) and known[index] == here:
                    self.starts.extend(known[index + 1 :])
                    return len(self.starts) - (len(known) - index)
            if stop == size:
                return len(self.starts)
            base, block = self.starts[-1], min(2 * block, LONGEST_BLOCK)

    def _row_starts(self, base: int, end: int) -> Iterator[int]:
        """The beginnings of the rows after the first, counted from ``base``, of rows that end in the characters from
        ``base`` to ``end``."""
        text, last = "".join(self.chars[base:end]), end == len(self.chars)
        size = len(text)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        classes = self._classes[codes]
        unknown = codes[classes == UNKNOWN]
        if unknown.size:
            for code in set(unknown.tolist()):
                self._classes[code] = _classify(code)
            classes = self._classes[codes]
        widths = classes & WIDTH
        before = np.concatenate(([0], np.cumsum(widths, dtype=np.int64))).tolist()
        ends = np.flatnonzero(codes == 10).tolist()
        # A row may start after a break, but not with a combining mark of the character before.
        breaks = (np.flatnonzero((classes[:-1] & BREAK != 0) & (widths[1:] > 0)) + 1).tolist() if size else []
        most = self.width * ROW_CHARS_PER_CELL
        start, line, words = 0, 0, 0
        while start < (size if last else size - most - 2):
            space = self.width - (1 if widths[start] == 0 else 0)
            stop = min(bisect_right(before, before[start] + space, start) - 1, start + most)
            stop = max(stop, start + 1)
            if stop < size and classes[stop] & SPACE:
                stop += 1
            while line < len(ends) and ends[line] < start:
                line += 1
            if line < len(ends) and ends[line] <= stop and ends[line] < size:
                start = ends[line] + 1
            elif stop >= size:
                return
            else:
                words = bisect_right(breaks, stop, words)
                start = breaks[words - 1] if words and breaks[words - 1] > start else stop
            yield start

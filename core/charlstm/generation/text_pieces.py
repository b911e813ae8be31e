"""An immutable text of which many versions share their characters, each with its source.

A text is a row of pieces of chunks, which are only ever appended to. So an edit copies a list of pieces and no
characters, a version takes some bytes, and two versions are compared piece by piece.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MOST_PIECES = 500
"""With more pieces than these, an edit copies the characters into one new chunk: some 0.1 ms for 100,000 of them."""

Codes = npt.NDArray[np.uint32]
Sources = npt.NDArray[np.uint8]
Ends = npt.NDArray[np.int64]


class Chunk:
    """Characters in the order in which they were put in: code points, and who wrote each. Only its ``owner`` appends to
    it, as other threads may have texts of it."""

    __slots__ = ("codes", "owner", "size", "sources")

    def __init__(self, codes: Codes, sources: Sources, owner: object = None) -> None:
        self.codes, self.sources, self.size, self.owner = codes, sources, len(codes), owner

    def append(self, codes: Codes, sources: Sources) -> None:
        """Add characters. Existing pieces of this chunk do not change."""
        size = self.size + len(codes)
        if size > len(self.codes):
            # Another thread may be reading the old arrays, which stay as they are.
            self.codes = np.concatenate([self.codes, np.empty(size, np.uint32)])
            self.sources = np.concatenate([self.sources, np.empty(size, np.uint8)])
        self.codes[self.size : size] = codes
        self.sources[self.size : size] = sources
        self.size = size


class Piece(NamedTuple):
    """The characters ``start`` to ``stop`` of a chunk."""

    chunk: Chunk
    start: int
    stop: int


class Text:
    """A row of characters with their sources; never changed. Positions count characters from 0."""

    __slots__ = ("_ends", "_length", "pieces")

    def __init__(self, pieces: tuple[Piece, ...] = (), ends: Ends | None = None) -> None:
        self.pieces = pieces
        if ends is None:
            ends = np.fromiter(accumulate(stop - start for _, start, stop in pieces), np.int64, len(pieces))
        self._ends = ends  # where each piece ends in the text
        self._length = int(ends[-1]) if len(pieces) else 0

    @classmethod
    def of(cls, text: str, source: int | Sources) -> Text:
        """A text of new characters, all of one ``source`` or each of its own."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
        return cls._new(codes, np.full(len(codes), source, np.uint8))

    @classmethod
    def _new(cls, codes: Codes, sources: Sources) -> Text:
        return cls((Piece(Chunk(codes, sources), 0, len(codes)),) if len(codes) else ())

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        return self.read()

    def __repr__(self) -> str:
        return f"Text({self.read(0, 40)!r}, {len(self):,} characters, {len(self.pieces):,} pieces)"

    def __eq__(self, other: object) -> bool:
        """Whether it has the same characters of the same sources."""
        if not isinstance(other, Text):
            return NotImplemented
        return len(self) == len(other) and self.same_start(other) == len(self)

    __hash__ = None  # type: ignore[assignment]

    # ---- reading

    def read(self, start: int = 0, stop: int | None = None) -> str:
        """The characters ``start`` to ``stop`` as a string."""
        return self.codes(start, stop).tobytes().decode("utf-32-le", "surrogatepass")

    def codes(self, start: int = 0, stop: int | None = None) -> Codes:
        """The code points of characters ``start`` to ``stop``."""
        parts = [chunk.codes[low:high] for chunk, low, high in self.part(start, stop).pieces]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint32), *parts])

    def sources(self, start: int = 0, stop: int | None = None) -> Sources:
        """The sources of characters ``start`` to ``stop``."""
        parts = [chunk.sources[low:high] for chunk, low, high in self.part(start, stop).pieces]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])

    def part(self, start: int, stop: int | None = None) -> Text:
        """The text of the characters ``start`` to ``stop``."""
        start, stop = max(0, start), len(self) if stop is None else min(stop, len(self))
        if start == 0 and stop == len(self):
            return self
        if start >= stop:
            return Text()
        # bisect keeps Python's lock, for which the keys would wait behind another thread, as after searchsorted
        first, last = bisect_right(self._ends, start), bisect_left(self._ends, stop)
        pieces, ends = list(self.pieces[first : last + 1]), self._ends[first : last + 1] - start
        chunk, low, high = pieces[-1]
        pieces[-1] = Piece(chunk, low, high - (int(ends[-1]) + start - stop))
        ends[-1] = stop - start
        chunk, low, high = pieces[0]
        pieces[0] = Piece(chunk, high - int(ends[0]), high)
        return Text(tuple(pieces), ends)

    # ---- comparing

    def same_start(self, other: Text, *, sources: bool = True) -> int:
        """How many characters from the first on are the same in both; with their sources or without."""
        return _same(self, other, min(len(self), len(other)), 1, sources=sources)

    def same_end(self, other: Text, most: int) -> int:
        """How many characters, ``most`` at most, are the same with their sources in both, from the last one back."""
        return _same(self, other, most, -1, sources=True)

    def starts_with(self, other: Text) -> bool:
        """Whether this text begins with the characters of ``other``; sources are not compared."""
        return len(other) <= len(self) and self.same_start(other, sources=False) == len(other)

    # ---- other texts

    def along(self, other: Text) -> Text:
        """This text, with the sources of ``other`` as far as both have the same characters from the first on: what
        stands there keeps who wrote it."""
        same = self.same_start(other, sources=False)
        return other.part(0, same) + self.part(same)

    def __add__(self, other: Text) -> Text:
        if not self.pieces or not other.pieces:
            return self if self.pieces else other
        last, first = self.pieces[-1], other.pieces[0]
        ends = other._ends + len(self)
        if last.chunk is first.chunk and last.stop == first.start:
            pieces = (*self.pieces[:-1], Piece(last.chunk, last.start, first.stop), *other.pieces[1:])
            return Text(pieces, np.concatenate([self._ends[:-1], ends]))
        return Text(self.pieces + other.pieces, np.concatenate([self._ends, ends]))

    def replaced(self, start: int, stop: int, added: Text) -> Text:
        """The text with ``added`` in the place of the characters ``start`` to ``stop``."""
        text = self.part(0, start) + added + self.part(stop)
        return text if len(text.pieces) <= MOST_PIECES else Text._new(text.codes(), text.sources())

    def continued(self, position: int, text: str, source: int, owner: object = None) -> Text:
        """New characters to put in at ``position``. They are appended to the chunk of the character before, if that is
        its last one and has the same owner, so that what is typed letter by letter is one piece."""
        before = self.part(max(0, position - 1), position)
        added = Text.of(text, source)
        if not added.pieces:
            return added
        added.pieces[0].chunk.owner = owner
        if not before.pieces:
            return added
        chunk, _, end = before.pieces[0]
        if end != chunk.size or chunk.owner is not owner:
            return added
        chunk.append(added.codes(), added.sources())
        return Text((Piece(chunk, end, chunk.size),))


def _same(one: Text, other: Text, most: int, direction: int, *, sources: bool) -> int:
    """How many characters of two texts are the same, ``most`` at most: from the first on or, with ``direction`` -1,
    from the last one back."""
    count = 0
    ones, others = (iter(text.pieces[::direction]) for text in (one, other))
    left: Piece | None = None
    right: Piece | None = None
    while count < most:
        left, right = left or next(ones), right or next(others)
        length = min(left.stop - left.start, right.stop - right.start, most - count)
        mine, theirs = ((piece.start if direction > 0 else piece.stop - length) for piece in (left, right))
        if left.chunk is not right.chunk or mine != theirs:
            differ = left.chunk.codes[mine : mine + length] != right.chunk.codes[theirs : theirs + length]
            if sources:
                differ |= left.chunk.sources[mine : mine + length] != right.chunk.sources[theirs : theirs + length]
            differing = np.flatnonzero(differ)
            if len(differing):
                return count + int(differing[0] if direction > 0 else length - 1 - differing[-1])
        count += length
        left, right = _rest(left, length, direction), _rest(right, length, direction)
    return count


def _rest(piece: Piece, length: int, direction: int) -> Piece | None:
    """A piece without ``length`` characters at its beginning or, with ``direction`` -1, at its end."""
    chunk, start, stop = piece
    if length == stop - start:
        return None
    return Piece(chunk, start + length, stop) if direction > 0 else Piece(chunk, start, stop - length)

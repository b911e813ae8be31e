"""The figures of a text's characters: as a thread hands them over, and as the message loop keeps them."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charlstm.generation.rows import CHOSEN, GENERATED, TYPED, Rows, in_bits, read_as_themselves
from charlstm.generation.text_pieces import Text
from charlstm_tui.player.marks import ORIGIN_SHIFT, Origin, pack

ORIGINS = np.zeros(3, np.uint16)
ORIGINS[[GENERATED, TYPED, CHOSEN]] = Origin.MODEL, Origin.TYPED, Origin.CHOSEN


class NewFigures(NamedTuple):
    """Those of characters from ``start`` on: their marks for the view, and which of them, ``known``, the model reads as
    themselves."""

    start: int
    marks: array[int]
    probabilities: npt.NDArray[np.float32]
    ranks: npt.NDArray[np.integer[Any]]
    known: npt.NDArray[np.bool_]


def figures_of(rows: Rows, sources: npt.NDArray[np.uint8], codes: npt.NDArray[np.uint32], start: int) -> NewFigures:
    """The figures of rows ``(N,)`` of the characters from ``start`` on. ``codes`` are those of the model's symbols."""
    known = read_as_themselves(rows, codes)
    probabilities, ranks = rows["probability"], rows["rank"]
    marks = pack(ORIGINS[sources], probabilities, np.where(known, ranks, 0), rows["entropy"])
    return NewFigures(start, marks, probabilities, ranks, known)


def marks_of(text: Text, start: int, prime_length: int) -> array[int]:
    """The marks of characters without figures, of which the first one is at ``start`` of its text."""
    origins = ORIGINS[text.sources()]
    origins[: max(0, prime_length - start)] = Origin.PRIME
    return array("H", (origins << ORIGIN_SHIFT).tobytes())


class Figures:
    """What is known of the characters after a prime of ``start`` characters, as far as they are read."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self._probabilities, self._ranks = array("f"), array("I")
        # of the first 0, 1, 2 … characters after the prime together:
        self._bits, self._counted = array("d", [0.0]), array("I", [0])

    @property
    def read_to(self) -> int:
        """The position up to which the text is read; the prime always is."""
        return self.start + len(self._ranks)

    def cut(self, position: int) -> None:
        """Forget the figures from ``position`` on."""
        offset = max(0, position - self.start)
        del self._probabilities[offset:], self._ranks[offset:], self._bits[offset + 1 :], self._counted[offset + 1 :]

    def put(self, new: NewFigures) -> None:
        """Add figures, in the place of those from their start on."""
        self.cut(new.start)
        bits = np.where(new.known, in_bits(new.probabilities), 0)
        self._bits.extend((self._bits[-1] + np.cumsum(bits)).tolist())
        self._counted.extend((self._counted[-1] + np.cumsum(new.known)).tolist())
        self._probabilities.frombytes(new.probabilities.astype(np.float32).tobytes())
        self._ranks.extend(new.ranks.tolist())

    def at(self, position: int) -> tuple[float, int] | None:
        """The probability and the rank of a character; ``None`` beyond the text that is read."""
        offset = position - self.start
        return (self._probabilities[offset], self._ranks[offset]) if 0 <= offset < len(self._ranks) else None

    def mean(self, position: int) -> float | None:
        """The mean surprise in bits of all characters from the prime to ``position`` that the model reads as
        themselves; ``None`` beyond the text that is read."""
        offset = position - self.start
        counted = self._counted[offset] if 0 < offset < len(self._bits) else 0
        return self._bits[offset] / counted if counted else None

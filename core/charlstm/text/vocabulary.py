"""Characters and their numbers: an ordered list of Unicode code points that is saved with the model.

It knows nothing of files, words or bytes. Text becomes numbers through one table lookup by code point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from charlstm.errors import TextError

REPLACEMENT = "\ufffd"
"""Stands for every rare character when folding was asked for, and for bytes that are no text."""

Codes = npt.NDArray[np.unsignedinteger[Any]]


def code_points(text: str) -> Codes:
    """The code points of ``text``, shape (len(text),), in the smallest of uint8 and uint32 that holds them."""
    try:
        return np.frombuffer(text.encode("latin-1"), np.uint8)
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def smallest_dtype(size: int) -> np.dtype[Any]:
    """The smallest unsigned type that numbers ``size`` symbols."""
    return np.dtype(np.min_scalar_type(max(size - 1, 0)))


class Vocabulary:
    """An ordered list of distinct characters; position is number.

    Built from a text it is sorted by code point; imported, it keeps the order it was found in. ``replacement``, when
    given, is the symbol that unknown characters become; without one they are left out and reported.

    Raises :class:`TextError` when a symbol is not one character or comes twice.
    """

    def __init__(self, symbols: Sequence[str], replacement: str | None = None) -> None:
        self.symbols: tuple[str, ...] = tuple(symbols)
        self.replacement = replacement
        for symbol in self.symbols:
            if not isinstance(symbol, str) or len(symbol) != 1:
                raise TextError(f"A vocabulary is made of single characters, and {symbol!r} is none")
        if not self.symbols:
            raise TextError("A vocabulary needs at least one character")
        self._index = {symbol: number for number, symbol in enumerate(self.symbols)}
        if len(self._index) != len(self.symbols):
            twice = next(symbol for number, symbol in enumerate(self.symbols) if self._index[symbol] != number)
            raise TextError(f"The character {twice!r} stands twice in the vocabulary")
        if replacement is not None and replacement not in self._index:
            raise TextError(f"The replacement symbol {replacement!r} is not in the vocabulary")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The distinct characters of ``text`` in code point order."""
        return cls(sorted(set(text)))

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], *, fold_rare: int = 0) -> Self:
        """Characters seen at least once, sorted; those seen fewer than ``fold_rare`` times share U+FFFD."""
        seen = {char for char, count in counts.items() if count > 0}
        rare = {char for char in seen if counts[char] < fold_rare}
        if not rare:
            return cls(sorted(seen))
        return cls(sorted(seen - rare | {REPLACEMENT}), REPLACEMENT)

    def extended(self, other: Vocabulary) -> Vocabulary:
        """This vocabulary with the symbols of ``other`` that it lacks appended in code point order; numbers stay. Where
        it has no replacement symbol, it takes over that of ``other``."""
        new = sorted(set(other.symbols) - set(self.symbols))
        both = Vocabulary(self.symbols + tuple(new), self.replacement or other.replacement)
        return self if both == self else both

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, char: object) -> bool:
        return char in self._index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.symbols == other.symbols and self.replacement == other.replacement

    def __hash__(self) -> int:
        return hash((self.symbols, self.replacement))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} symbols)"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every number."""
        return smallest_dtype(len(self))

    def index(self, char: str) -> int | None:
        """The number of ``char``, or None when it is unknown (the replacement symbol is not consulted)."""
        return self._index.get(char)

    def encode(self, text: str) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
        """Numbers of the characters of ``text``, int64 of shape (known,), and how often each unknown one came.

        Unknown characters become the replacement symbol if there is one, and are left out otherwise; they are
        counted in both cases. Nothing is normalised here: see :meth:`charlstm.text.reading.TextOptions.apply`.
        """
        codes = code_points(text)
        ids = self._table.take(codes, mode="clip")
        missing = ids < 0
        if not missing.any():
            return ids, {}
        chars, counts = np.unique(codes[missing], return_counts=True)
        unknown = {chr(code): int(count) for code, count in zip(chars, counts, strict=True)}
        if self.replacement is not None:
            ids[missing] = self._index[self.replacement]
            return ids, unknown
        return ids[~missing], unknown

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of ``ids`` (integers of any kind, any shape, read in order)."""
        codes: bytes = self.codes[np.asarray(ids)].tobytes()
        return codes.decode("utf-32-le", "surrogatepass")

    @cached_property
    def codes(self) -> npt.NDArray[np.uint32]:
        """The code point of each symbol, uint32 of shape (V,)."""
        return np.array([ord(symbol) for symbol in self.symbols], "<u4")

    @cached_property
    def _table(self) -> npt.NDArray[np.int64]:
        # One entry past the highest code point: everything above it is clipped there and so unknown.
        table = np.full(int(self.codes.max()) + 2, -1, np.int64)
        table[self.codes] = np.arange(len(self))
        return table

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the inverse of :meth:`from_dict`. A list: joined, two lone surrogates would become one."""
        return {"symbols": list(self.symbols), "replacement": self.replacement}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises :class:`TextError` when ``values`` is no vocabulary."""
        symbols, replacement = values.get("symbols"), values.get("replacement")
        if not isinstance(symbols, list) or not (replacement is None or isinstance(replacement, str)):
            raise TextError("This is not a vocabulary: it needs a list called symbols")
        return cls(symbols, replacement)

"""The vocabulary: an ordered list of characters, saved with the model, that encodes text as ids and decodes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.display import short
from charlstm.errors import TextError
from charlstm.text.typography import plain_forms

REPLACEMENT = "\ufffd"
"""Replaces invalid bytes, and rare characters when ``fold_rare`` is set."""

Codes = npt.NDArray[np.unsignedinteger[Any]]


def code_points(text: str) -> Codes:
    """The code points of ``text``, shape (len(text),), in the smallest of uint8 and uint32 that holds them."""
    try:
        return np.frombuffer(text.encode("latin-1"), np.uint8)
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def smallest_dtype(size: int) -> np.dtype[Any]:
    """The smallest unsigned type for ids of ``size`` characters."""
    return np.dtype(np.min_scalar_type(max(size - 1, 0)))


class Vocabulary:
    """An ordered list of distinct characters, ``symbols``; the id of a character is its position.

    The vocabulary of a text is sorted by code point; that of an imported model keeps its order. Unknown characters are
    read as others (:meth:`read_as`), such as ``replacement``, which is one of the symbols if it is not None.

    Raises :class:`TextError` when a symbol is not one character or occurs twice.
    """

    def __init__(self, symbols: Sequence[str], replacement: str | None = None) -> None:
        self.symbols: tuple[str, ...] = tuple(symbols)
        self.replacement = replacement
        for symbol in self.symbols:
            if not isinstance(symbol, str) or len(symbol) != 1:
                raise TextError(f"A vocabulary consists of single characters, but has {symbol!r}")
        if not self.symbols:
            raise TextError("A vocabulary needs at least one character")
        self._index = {symbol: number for number, symbol in enumerate(self.symbols)}
        if len(self._index) != len(self.symbols):
            twice = next(symbol for number, symbol in enumerate(self.symbols) if self._index[symbol] != number)
            raise TextError(f"The character {twice!r} is in the vocabulary twice")
        if replacement is not None and replacement not in self._index:
            raise TextError(f"The replacement symbol {replacement!r} is not in the vocabulary")

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], *, fold_rare: int = 0) -> Self:
        """The characters with a count above 0, sorted; those with fewer than ``fold_rare`` are replaced by U+FFFD."""
        arguments.number("fold_rare", fold_rare, 0, error=TextError)
        seen = {char for char, count in counts.items() if count > 0}
        rare = {char for char in seen if counts[char] < fold_rare}
        if not rare:
            return cls(sorted(seen))
        return cls(sorted(seen - rare | {REPLACEMENT}), REPLACEMENT)

    def extended(self, other: Vocabulary) -> Vocabulary:
        """This vocabulary and, after it, the symbols that only ``other`` has, in code point order.

        The ids of its own symbols stay. Without a replacement symbol it gets that of ``other``.
        """
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
        """The smallest unsigned type that holds every id."""
        return smallest_dtype(len(self))

    def index(self, char: str) -> int | None:
        """The id of ``char``, or None when it is unknown, even if there is a replacement symbol."""
        return self._index.get(char)

    def read_as(self, char: str) -> str:
        """The symbol as which a character is read: itself, else the first of its plain forms that is one (é as e), else
        the replacement symbol, else a space, else the first symbol."""
        forms = (char, *plain_forms(char), self.replacement, " ")
        return next((form for form in forms if form is not None and form in self._index), self.symbols[0])

    def encode(self, text: str) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
        """Encode ``text``: ids, int64 of shape (len(text),), and how often each unknown character occurs.

        Unknown characters have the id of the one as which they are read (:meth:`read_as`). The text is not normalised
        here: see :meth:`charlstm.text.reading.TextOptions.apply`.
        """
        codes = code_points(text)
        ids = self._table.take(codes, mode="clip")
        missing = ids < 0
        if not missing.any():
            return ids, {}
        chars, which, counts = np.unique(codes[missing], return_inverse=True, return_counts=True)
        unknown = {chr(code): int(count) for code, count in zip(chars, counts, strict=True)}
        ids[missing] = np.array([self._index[self.read_as(char)] for char in unknown])[which]
        return ids, unknown

    def knows(self, text: str, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Which characters of ``text`` are read as themselves; ``ids`` is :meth:`encode` of ``text``."""
        return np.asarray(self.codes[ids] == code_points(text))

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of ``ids``: integers of any type and shape, in C order."""
        try:
            codes: bytes = self.codes[np.asarray(ids)].tobytes()
        except (IndexError, ValueError, TypeError):
            raise TextError(f"ids takes whole numbers below {len(self):,}, not {short(ids)}") from None
        return codes.decode("utf-32-le", "surrogatepass")

    @cached_property
    def codes(self) -> npt.NDArray[np.uint32]:
        """The code point of each symbol, uint32 of shape (V,)."""
        return np.array([ord(symbol) for symbol in self.symbols], "<u4")

    @cached_property
    def _table(self) -> npt.NDArray[np.int64]:
        # The last entry, past the highest code point, is -1: `encode` clips higher code points to it.
        table = np.full(int(self.codes.max()) + 2, -1, np.int64)
        table[self.codes] = np.arange(len(self))
        return table

    def to_dict(self) -> dict[str, Any]:
        """A JSON object for :meth:`from_dict`. It has a list because two surrogates in a string would become one."""
        return {"symbols": list(self.symbols), "replacement": self.replacement}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`TextError` when ``values`` is not a vocabulary."""
        symbols, replacement = values.get("symbols"), values.get("replacement")
        if not isinstance(symbols, list) or not (replacement is None or isinstance(replacement, str)):
            raise TextError("This is not a vocabulary: it has no list called symbols")
        return cls(symbols, replacement)


class Recoded:
    """The ``ids`` (N,) of a text in another vocabulary, converted where they are read: indexed by a slice or an array
    of positions, as an array of the text's ids in that vocabulary would be.

    ``table`` (V,) has the new id of each old one, ``known`` (V,) whether it is that of the same character.
    """

    def __init__(
        self,
        ids: npt.NDArray[Any],
        table: npt.NDArray[np.int64],
        known: npt.NDArray[np.bool_],
        dtype: np.dtype[Any],
    ) -> None:
        self._ids, self._table, self._known = ids, table.astype(dtype), known

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, positions: slice | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        ids: npt.NDArray[Any] = self._table[self._ids[positions]]
        return ids

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype)

    def knows(self, positions: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether the characters at these positions are read as themselves."""
        return np.asarray(self._known[self._ids[positions]])


TextIds = npt.NDArray[Any] | Recoded
"""The ids of a text, to be read by a slice or an array of positions."""

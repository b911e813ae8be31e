"""Recognise a text that a model has read, by the passages that it shares with what the model was trained on.

A passage is any 64 characters in a row, apart from their case, white space and the form of their quotation marks. Of
all passages of a text one in 160 is kept, as a hash of 32 bits: which ones depends on their characters alone, so two
texts that share a page keep the same passages of it (winnowing by hash, as in Manber, "Finding Similar Files in a Large
File System", 1994).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.text.vocabulary import code_points

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus

Passages = npt.NDArray[np.uint32]
"""Hashes of the passages that were kept, each once, ascending."""

LENGTH = 64
"""Characters of a passage: a power of two. Shorter ones occur in texts that have nothing in common."""
ONE_IN = 160
FEWEST = 8
"""Kept passages below which nothing is said of a text: some 1,300 characters have as many."""
CHUNK = 2**18
"""Characters that are converted and hashed at a time: what this needs is some 70 bytes for each."""

_FACTOR = 0x9E3779B97F4A7C15  # odd, with its bits well mixed (Knuth's golden ratio)
_MIX = 0xBF58476D1CE4E5B9  # of splitmix64
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "_": None})


def passages_of(texts: Iterable[str]) -> Passages:
    """The kept passages of ``texts``, none of which goes from one text to the next."""
    return _joined(_passages_of_pieces([text]) for text in texts)


def known_share(known: Passages, text: str) -> float:
    """The share of the kept passages of ``text`` that are among ``known``, 0 to 1; 0 for a text too short to tell.

    In a text of other words it is nearly 0: a hash is among 200,000 others by chance once in 20,000 times.
    """
    return _known_share(known, [text])


def share_read(known: Passages | None, corpus: Corpus, spans: Iterable[tuple[int, int]]) -> float:
    """:func:`known_share` of the ``spans`` of a text; 0 where nothing is ``known``.

    The text is read in pieces, so that memory does not grow with it.
    """

    def pieces() -> Iterator[str]:
        for start, stop in spans:
            yield from (corpus.text(at, min(at + CHUNK, stop)) for at in range(start, stop, CHUNK))
            yield "\n"

    return 0.0 if known is None else _known_share(known, pieces())


def _known_share(known: Passages, pieces: Iterable[str]) -> float:
    found = _passages_of_pieces(pieces)
    return float(np.isin(found, known, assume_unique=True).mean()) if len(found) >= FEWEST else 0.0


def _joined(kept: Iterable[Passages]) -> Passages:
    return np.unique(np.concatenate([np.zeros(0, np.uint32), *kept]))


def _passages_of_pieces(pieces: Iterable[str]) -> Passages:
    """The kept passages of a text that is given in pieces, wherever it is cut."""

    def kept() -> Iterator[Passages]:
        before = ""
        for piece in _plain(pieces):
            text = before + piece
            yield from (_kept(text[start : start + CHUNK + LENGTH]) for start in range(0, len(text), CHUNK))
            before = text[1 - LENGTH :]

    return _joined(kept())


def _plain(pieces: Iterable[str]) -> Iterator[str]:
    """The text of ``pieces`` without what differs between editions of a book, in other pieces."""
    began = False
    for piece in _separable(pieces):
        words = unicodedata.normalize("NFC", piece).translate(_QUOTES).lower().split()
        if words:
            yield " " * (began and piece[0].isspace()) + " ".join(words)
            began = True


# NFC composes none of these characters with what is before it. A Σ becomes σ or ς by the letters around it, which
# lower() seeks beyond some signs, but neither beyond white space nor beyond two of the others.
_CUT = re.compile(r"\s|(?<=[0-9A-Za-z\u4e00-\u9fff])[0-9A-Za-z\u4e00-\u9fff]")


def _separable(pieces: Iterable[str]) -> Iterator[str]:
    """The text of ``pieces`` in pieces of :data:`CHUNK` characters or somewhat more, which can be normalised and
    converted to lower case one by one. In a text that has no place to cut they are longer."""
    held = ""
    for piece in pieces:
        start, searched = 0, len(held)
        held += piece
        while cut := _CUT.search(held, max(start + CHUNK, searched)):
            yield held[start : cut.start()]
            start = cut.start()
        held = held[start:]
    yield held


def _kept(text: str) -> Passages:
    if len(text) < LENGTH:
        return np.zeros(0, np.uint32)
    hashes = code_points(text).astype(np.uint64) + np.uint64(1)
    factor, length = _FACTOR, 1
    while length < LENGTH:  # the hash of twice as many characters, from those of its halves
        hashes = hashes[:-length] * np.uint64(factor) + hashes[length:]
        factor, length = factor * factor % 2**64, 2 * length
    hashes = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(_MIX)
    kept: Passages = hashes[(hashes >> np.uint64(32)) % np.uint64(ONE_IN) == 0].astype(np.uint32)  # the low half
    return kept

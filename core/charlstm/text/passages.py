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
MOST = 2**18
"""Hashes that are kept, at most: 1 MB, for 42 million characters. Of more than that every second one is kept, those
that are even, then every fourth, and so on."""
SURE = 500
"""Characters of a stretch that is found in 14 of 15 cases, if all of it was read."""
CHUNK = 2**18
"""Characters that are converted and hashed at a time: what this needs is some 70 bytes for each."""

_FACTOR = 0x9E3779B97F4A7C15  # odd, with its bits well mixed (Knuth's golden ratio)
_MIX = 0xBF58476D1CE4E5B9  # of splitmix64
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "_": None})


def passages_of(texts: Iterable[str]) -> Passages:
    """The kept passages of ``texts``, none of which goes from one text to the next."""
    return joined(_passages_of_pieces([text]) for text in texts)


def passages_in(corpus: Corpus, spans: Iterable[tuple[int, int]]) -> Passages:
    """The kept passages of ``spans`` of a text, which is read in pieces, so that memory does not grow with it. Takes
    0.1 s for a million characters."""
    return joined(
        _passages_of_pieces(corpus.text(at, min(at + CHUNK, stop)) for at in range(start, stop, CHUNK))
        for start, stop in spans
    )


def joined(kept: Iterable[Passages | None]) -> Passages:
    """All the passages, as those of one text: up to :data:`MOST`, and as rare as in the one where they are rarest."""
    known = [np.zeros(0, np.uint32), *(each for each in kept if each is not None)]
    divisor = max(map(_divisor, known))
    found: Passages = _each_once(np.concatenate(known))
    found = found[found % divisor == 0]
    while len(found) > MOST:
        divisor *= 2
        found = found[found % divisor == 0]
    return found


def known_share(known: Passages | None, found: Passages) -> float | None:
    """The share of the passages ``found`` in a text that are among ``known``, 0 to 1. ``None`` if nothing is known, or
    the text is too short to tell.

    Of 7,310 pairs of books, 7,309 have nothing in common and one 2 %, a poem that the other quotes. A hash is among
    200,000 others by chance once in 20,000 times.
    """
    if known is None:
        return None
    found = found[found % _divisor(known) == 0]
    return float(np.isin(found, known, assume_unique=True).mean()) if len(found) >= FEWEST else None


def known_stretches(known: Passages, text: str) -> list[tuple[int, int]]:
    """The stretches of ``text`` that are known to stand in what was read, as pairs of positions: from the first of some
    ``known`` passages that no other kept one comes between to the end of the last."""
    words, origin = _plain_words(text)
    hashes, positions = _kept(words)
    of_known = hashes % _divisor(known) == 0
    is_known, positions = np.isin(hashes[of_known], known), positions[of_known]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_known, [False]])))
    return [
        (int(origin[positions[first]]), int(origin[positions[last - 1] + LENGTH - 1]) + 1)
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]


def _divisor(known: Passages) -> int:
    """What all hashes were chosen to be divisible by. In so many of them it shows; fewer were never too many."""
    bits = int(np.bitwise_or.reduce(known, initial=0)) if len(known) > MOST // 4 else 0
    return bits & -bits or 1


def _plain_words(text: str) -> tuple[str, npt.NDArray[np.intp]]:
    """``text`` as :func:`_plain` gives it, and for each of its characters the position in ``text``."""
    words: list[str] = []
    origin: list[int] = []
    for found in re.finditer(r"\S+", text):
        start, stop = found.span()
        if word := _normalised(found[0]):
            origin += [start - 1] if words else []
            if len(word) == stop - start:
                origin += range(start, stop)
            else:
                origin += (start + at * (stop - start) // len(word) for at in range(len(word)))
            words.append(word)
    return " ".join(words), np.array(origin, np.intp)


def _passages_of_pieces(pieces: Iterable[str]) -> Passages:
    """The kept passages of a text that is given in pieces, wherever it is cut."""

    def kept() -> Iterator[Passages]:
        before = ""
        for piece in _plain(pieces):
            text = before + piece
            yield from (_kept(text[start : start + CHUNK + LENGTH])[0] for start in range(0, len(text), CHUNK))
            before = text[1 - LENGTH :]

    return _each_once(np.concatenate([np.zeros(0, np.uint32), *kept()]))


def _each_once(hashes: Passages) -> Passages:
    """``hashes`` in ascending order, each once: 262,000 in 5 ms, for which ``np.unique`` takes 25 (numpy 2.4)."""
    hashes = np.sort(hashes)
    is_first = np.ones(len(hashes), np.bool_)
    is_first[1:] = hashes[1:] != hashes[:-1]
    return hashes[is_first]


def _plain(pieces: Iterable[str]) -> Iterator[str]:
    """The text of ``pieces`` without what differs between editions of a book, in other pieces."""
    began = False
    for piece in _separable(pieces):
        words = _normalised(piece).split()
        if words:
            yield " " * (began and piece[0].isspace()) + " ".join(words)
            began = True


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_QUOTES).lower()


# NFC composes none of these characters with the character before. A Σ becomes σ or ς by the letters around it, which
# lower() seeks beyond some signs, but neither beyond white space nor beyond two of the others.
_CUT = re.compile(r"\s|(?<=[0-9A-Za-z\u4e00-\u9fff])[0-9A-Za-z\u4e00-\u9fff]")


def _separable(pieces: Iterable[str]) -> Iterator[str]:
    """The text of ``pieces`` in pieces of :data:`CHUNK` characters or somewhat more, which can be normalised and
    converted to lower case one by one. In a text without such signs they are longer."""
    held = ""
    for piece in pieces:
        start, searched = 0, len(held)
        held += piece
        while cut := _CUT.search(held, max(start + CHUNK, searched)):
            yield held[start : cut.start()]
            start = cut.start()
        held = held[start:]
    yield held


def _kept(text: str) -> tuple[Passages, npt.NDArray[np.intp]]:
    """The hashes of the kept passages of a text that was made plain, and where they begin in it."""
    if len(text) < LENGTH:
        return np.zeros(0, np.uint32), np.zeros(0, np.intp)
    hashes = code_points(text).astype(np.uint64) + np.uint64(1)
    factor, length = _FACTOR, 1
    while length < LENGTH:  # the hash of twice as many characters, from those of its halves
        hashes = hashes[:-length] * np.uint64(factor) + hashes[length:]
        factor, length = factor * factor % 2**64, 2 * length
    hashes = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(_MIX)
    positions = np.flatnonzero((hashes >> np.uint64(32)) % np.uint64(ONE_IN) == 0)
    return hashes[positions].astype(np.uint32), positions  # the low half

"""A text ready to be learnt from: its characters as numbers on disk, memory-mapped, with what was found in it.

Opening streams: memory does not grow with the text, and the second time it comes from the cache. What the text is
made of is told by ``statistics``; walking through it is ``batches``'s.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from charlstm.display import visible
from charlstm.errors import TextError
from charlstm.text import builtin, cache
from charlstm.text.prepare import prepare
from charlstm.text.reading import ReadReport, Tally, TextOptions
from charlstm.text.sources import Item, ProgressCallback, ReadProgress, Resolved, Source, item_text, resolve, stamps_of
from charlstm.text.vocabulary import Vocabulary


class Span(NamedTuple):
    """A stretch of the text, in characters: ``start`` is in it, ``stop`` is not."""

    start: int
    stop: int


__all__ = ["Corpus", "Preview", "ReadProgress", "Span", "Split", "open_corpus", "preview", "reopen_corpus"]

_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Split:
    """The spans that are trained on, those to validate on, and those kept for a final test; together they are the text.

    ``held_out`` is the validation part. Nothing of ``test`` is used in training, not even to choose the best model.
    """

    train: tuple[Span, ...]
    held_out: tuple[Span, ...]
    test: tuple[Span, ...] = ()

    @property
    def train_chars(self) -> int:
        return sum(stop - start for start, stop in self.train)

    @property
    def held_out_chars(self) -> int:
        return sum(stop - start for start, stop in self.held_out)


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as numbers: ``ids`` (N,) of the vocabulary's smallest dtype, read-only and memory-mapped."""

    name: str
    """What a person calls it: ``anna.txt``."""
    sources: tuple[str, ...]
    """Absolute paths, the name of a built-in, or ``-``."""
    options: TextOptions
    report: ReadReport
    vocabulary: Vocabulary
    counts: npt.NDArray[np.int64]
    """How often each symbol comes, shape (V,)."""
    ids: npt.NDArray[Any]
    fingerprint: str
    """SHA-256 over vocabulary and numbers: the same text has the same, wherever it came from."""
    skipped: tuple[str, ...] = ()
    """Files and folders of a folder that could not be read when the text was opened."""

    @property
    def chars(self) -> int:
        return len(self.ids)

    @property
    def lines(self) -> int:
        newline = self.vocabulary.index("\n")
        ended = 0 if newline is None else int(self.counts[newline])
        return ended + int(self.ids[-1] != newline)

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """The characters from ``start`` to ``stop``, as a slice takes them."""
        return self.vocabulary.decode(self.ids[start:stop])

    def split(
        self, val_fraction: float = 0.1, mode: Literal["tail", "blocks"] = "tail", test_fraction: float = 0.0
    ) -> Split:
        """Hold out ``val_fraction`` of the text for validation and ``test_fraction`` for a final test. Deterministic.

        ``tail`` takes the end of the text: validation, then test at the very end. ``blocks`` takes up to ten blocks
        spread over the text, and the end of each block is for the test. Raises :class:`TextError` for fractions that
        leave nothing to train on.
        """
        if val_fraction < 0 or test_fraction < 0 or not val_fraction + test_fraction < 1:
            raise TextError(
                "The fractions for validation and test are at least 0 and below 1 together, not "
                f"{val_fraction:g} and {test_fraction:g}"
            )
        train_chars = int(self.chars * (1 - val_fraction - test_fraction))
        test_start = int(self.chars * (1 - test_fraction))
        if mode == "tail" or train_chars == self.chars:
            return _split(self.chars, [Span(train_chars, test_start)], [Span(test_start, self.chars)])
        held_out_chars, test_chars = self.chars - train_chars, self.chars - test_start
        blocks = _blocks(self.chars, held_out_chars)
        cuts = [stop - (stop - start) * test_chars // held_out_chars for start, stop in blocks]
        validation = [Span(block.start, cut) for block, cut in zip(blocks, cuts, strict=True)]
        test = [Span(cut, block.stop) for block, cut in zip(blocks, cuts, strict=True)]
        return _split(self.chars, validation, test)

    def encoded_for(self, vocabulary: Vocabulary) -> tuple[npt.NDArray[Any], dict[str, int]]:
        """The text in another model's numbers, and how often each character came that the model does not know.

        Those are left out, or become the vocabulary's replacement symbol. Kept in the cache and memory-mapped too.
        Raises :class:`TextError` when there is no room for that.
        """
        if vocabulary == self.vocabulary:
            return self.ids, {}
        stored = cache.Stored(self.fingerprint, self.vocabulary, self.counts, self.ids)
        return cache.encode_for(stored, vocabulary)

    def to_record(self) -> dict[str, Any]:
        """What :func:`reopen_corpus` needs, JSON-ready."""
        return {
            "name": self.name,
            "sources": list(self.sources),
            "options": self.options.to_dict(),
            "report": self.report.to_dict(),
            "fingerprint": self.fingerprint,
            "chars": self.chars,
        }


def _split(chars: int, held_out: list[Span], test: list[Span]) -> Split:
    """The split of ``chars`` characters whose training part is what the other two leave."""
    edges = [0, *(edge for span in sorted([*held_out, *test]) for edge in span), chars]
    train = [Span(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    kept = (tuple(span for span in part if span.stop > span.start) for part in (train, held_out, test))
    return Split(*kept)


def _blocks(chars: int, held: int) -> list[Span]:
    """Up to ten blocks, one in each equal part of the text; where in its part moves on by the golden ratio."""
    number = max(1, min(_BLOCKS, held // 1000))
    spans = []
    for at in range(number):
        low, high = chars * at // number, chars * (at + 1) // number
        size = held * (at + 1) // number - held * at // number
        start = low + int((high - low - size) * ((at + 1) * 0.6180339887 % 1))
        spans.append(Span(start, start + size))
    return spans


def open_corpus(
    source: Source, options: TextOptions | None = None, *, progress: ProgressCallback | None = None
) -> Corpus:
    """The text of a path, several, a folder, ``-`` or a built-in, from the cache where nothing has changed.

    Raises :class:`TextError` for what cannot be read or is no text. ``progress`` may raise to give up.
    """
    options = options or TextOptions()
    found = resolve(source, options)
    if found.is_stdin:
        return _prepared(found, options, progress)
    key = cache.source_key(
        [item.builtin or str(item.path) for item in found.items], options.to_dict(), builtin.version()
    )
    kept = cache.find_record(key, stamps_of(found.items))
    with contextlib.suppress(*_NO_RECORD):  # a damaged one is none
        if kept is not None and (corpus := _from_cache(kept)) is not None:
            return dataclasses.replace(corpus, name=found.name, sources=found.sources, skipped=found.skipped)
    return dataclasses.replace(_prepared(found, options, progress, key), skipped=found.skipped)


def _prepared(
    found: Resolved, options: TextOptions, progress: ProgressCallback | None, key: str | None = None
) -> Corpus:
    prepared = prepare(found, options, progress)
    stored = cache.load(prepared.fingerprint, verify=False)  # preparing has written it, or verified it, just now
    if stored is None:
        raise TextError(f"The prepared text vanished from {cache.texts_dir()}: try again, and see if the disk is full")
    corpus = _corpus(stored, found.name, found.sources, options, prepared.report)
    if key is not None:
        cache.store_record(key, prepared.stamps, corpus.to_record(), prepared.began_ns)
    return corpus


def _corpus(
    stored: cache.Stored, name: str, sources: tuple[str, ...], options: TextOptions, report: ReadReport
) -> Corpus:
    return Corpus(name, sources, options, report, stored.vocabulary, stored.counts, stored.ids, stored.fingerprint)


def _from_cache(record: Mapping[str, Any]) -> Corpus | None:
    stored = cache.load(record["fingerprint"])
    if stored is None:
        return None
    options, report = TextOptions.from_dict(record["options"]), ReadReport.from_dict(record["report"])
    return _corpus(stored, os.fspath(record["name"]), tuple(map(os.fspath, record["sources"])), options, report)


_NO_RECORD = (TextError, KeyError, TypeError, ValueError, AttributeError)
"""What reading a damaged record raises."""


def reopen_corpus(record: Mapping[str, Any], *, progress: ProgressCallback | None = None) -> Corpus:
    """The very text that :meth:`Corpus.to_record` described: from the cache, else read again and compared.

    Raises :class:`TextError` when it changed or cannot be had any more.
    """
    try:
        if (corpus := _from_cache(record)) is not None:
            return corpus
        name, sources = str(record["name"]), list(map(os.fspath, record["sources"]))
        options, fingerprint = TextOptions.from_dict(record["options"]), str(record["fingerprint"])
    except _NO_RECORD as error:
        said = visible(str(error), keep="")[:200]
        raise TextError(f"The record of the text makes no sense ({said}): start from the text again") from None
    if "-" in sources:
        raise TextError(f"The text {name} came from standard input and is no longer in the cache: pass it in again")
    corpus = open_corpus(sources, options, progress=progress)
    if corpus.fingerprint != fingerprint:
        raise TextError(f"The text {name} is not what it was any more: put the old one back, or start a new run")
    return dataclasses.replace(corpus, name=name)


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a text, read at once: ``text``, the ``bytes`` of all its files, and whether this is all."""

    name: str
    text: str
    bytes: int
    encoding: str
    newlines: str
    complete: bool
    files: int


def preview(source: Source, chars: int = 4000, options: TextOptions | None = None) -> Preview:
    """The first ``chars`` characters without reading much more. Raises :class:`TextError` as opening would."""
    options = dataclasses.replace(options or TextOptions(), max_chars=chars + 1)
    found = resolve(source, options)
    if found.is_stdin:
        raise TextError("Standard input cannot be looked at beforehand: read it whole")
    tally, text = Tally(), ""
    for item in found.items:
        if len(text) > chars:
            break
        if text and not text.endswith("\n"):
            text += "\n"
        text += _beginning(item, options, tally, chars + 1 - len(text))
    encoding = tally.encodings.pop() if len(tally.encodings) == 1 else "mixed" if tally.encodings else "none"
    return Preview(
        found.name,
        text[:chars],
        sum(stamp.size for stamp in stamps_of(found.items)) or tally.bytes,
        encoding,
        tally.newline_style(),
        len(text) <= chars,
        len(found.items),
    )


def _beginning(item: Item, options: TextOptions, tally: Tally, chars: int) -> str:
    text = ""
    for piece in item_text(item, options, tally, block=max(4 * chars, 4096)):
        text += piece
        if len(text) >= chars:
            break
    return text

"""Open a text for training: encoded characters in a memory-mapped cache file, with its vocabulary and a report.

Texts are read in blocks, so that memory does not grow with the text. A text that has not changed comes from the cache.
``statistics`` describes a corpus, ``batches`` cuts it into batches.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.display import plural, visible
from charlstm.errors import TextError
from charlstm.fields import plain, read
from charlstm.text import builtin, cache
from charlstm.text.boilerplate import without_boilerplate
from charlstm.text.paragraphs import Joined
from charlstm.text.prepare import prepare
from charlstm.text.reading import ReadReport, SplitMode, Tally, TextOptions
from charlstm.text.sources import (
    ProgressCallback,
    Resolved,
    Source,
    item_text,
    resolve,
    resolve_text,
    size_of,
    stamp_of,
)
from charlstm.text.sources import ReadProgress as ReadProgress
from charlstm.text.unit_kinds import kind_of_units, prefix
from charlstm.text.units import merged, own_spans, parts_of_units, reading_spans, unit_edges
from charlstm.text.vocabulary import Recoded, TextIds, Vocabulary

_BLOCKS = 10


class Span(NamedTuple):
    """A range of characters of a text, from ``start`` to ``stop`` (exclusive)."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class TextSplit:
    """The spans that are trained on, those to validate on, and those kept for a final test; together they are the text,
    without what stands before the first of its units.

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


@dataclass(frozen=True, slots=True)
class ValidationText:
    """A separate text to validate on: the last ``chars`` characters of a corpus."""

    name: str
    sources: tuple[str, ...]
    """As :attr:`Corpus.sources`."""
    chars: int


@dataclass(frozen=True, eq=False)
class Corpus:
    """An encoded text of N characters; ``ids`` (N,) has the vocabulary's dtype, is read-only and memory-mapped.

    With a separate text for validation, that text follows the training text in ``ids`` and is counted in everything
    here but ``text_chars``.
    """

    name: str
    """For people: ``anna.txt``."""
    sources: tuple[str, ...]
    """Absolute paths, the name of a built-in text, ``-`` for standard input; empty for a string."""
    options: TextOptions
    report: ReadReport
    vocabulary: Vocabulary
    counts: npt.NDArray[np.int64]
    """How often each character of the vocabulary occurs, shape (V,)."""
    ids: npt.NDArray[Any]
    fingerprint: str
    """SHA-256 of vocabulary, ids and where the validation text begins: equal texts have the same, whatever their
    source."""
    skipped: tuple[str, ...] = ()
    """Files and folders inside a given folder that could not be read."""
    validation: ValidationText | None = None
    path: Path | None = None
    """The file that ``ids`` is mapped from."""

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, {self.chars:,} characters, {len(self.vocabulary):,} distinct)"

    @property
    def text_chars(self) -> int:
        """Characters of the text without the separate validation text."""
        return self.chars - (0 if self.validation is None else self.validation.chars)

    @property
    def chars(self) -> int:
        return len(self.ids)

    @property
    def lines(self) -> int:
        newline = self.vocabulary.index("\n")
        ended = 0 if newline is None else int(self.counts[newline])
        return ended + int(self.ids[-1] != newline)

    def joined_lines(self) -> npt.NDArray[np.int64]:
        """The positions at which lines of the files begin that no line end precedes any more."""
        if self.line_begins_path is None:
            return np.zeros(0, np.int64)
        try:
            return np.memmap(self.line_begins_path, "<i8", mode="r").view(np.ndarray)
        except (OSError, ValueError):
            raise TextError(f"The lines of {self.name} are no longer in the cache: open the text again") from None

    @property
    def line_begins_path(self) -> Path | None:
        """The file that :meth:`joined_lines` is in, beside :attr:`path`; ``None`` when there are none."""
        name = self.report.line_begins
        return cache.line_begins_path(self.path, name) if name and self.path is not None else None

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """The characters from ``start`` to ``stop``, which may be negative as in a slice."""
        return self.vocabulary.decode(self.ids[start:stop])

    @cached_property
    def unit_edges(self) -> npt.NDArray[np.int64]:
        """See :func:`units.unit_edges`; a separate validation text begins with a unit. Raises :class:`TextError` for a
        text without units."""
        assert self.options.units is not None
        ends = [0, self.text_chars, self.chars]
        found = [
            start + unit_edges(np.asarray(self.ids[start:stop]), self.vocabulary, self.options.units)
            for start, stop in pairwise(ends)
        ]
        names = [self.name, *([self.validation.name] if self.validation is not None else [])]
        for name, edges in zip(names, found, strict=False):
            if len(edges) < 2:
                raise TextError(
                    f"{name} has no units: no line of it begins with {visible(self.options.units)}; choose lines, "
                    "blank-lines or another beginning, or read it as one text"
                )
        if self.validation is not None:
            # what stands before its first unit is not trained on, as a part of the unit before it
            found[1][0] = self.text_chars + len(prefix(self.options.units))
        return np.concatenate([found[0][:-1], found[1]])

    @cached_property
    def units(self) -> tuple[Span, ...]:
        """Where each unit stands, without the newlines behind it; empty for a text that is not read as units."""
        if self.options.units is None:
            return ()
        found = own_spans(self.ids, self.vocabulary, self.unit_edges, self.options.units)
        return tuple(Span(*span) for span in found)

    def unit_positions(self, spans: Sequence[tuple[int, int]] | None = None) -> dict[str, int]:
        """The units that begin in ``spans``, such as the training part of a run, each with its start; None: all."""
        begins, ends = np.array([(0, self.chars)] if spans is None else spans).reshape(-1, 2).T
        starts = np.array([unit.start for unit in self.units], np.int64)
        inside = np.append(ends, 0)[np.searchsorted(begins, starts, "right") - 1] > starts
        return {self.text(*unit): unit.start for unit, chosen in zip(self.units, inside, strict=True) if chosen}

    @property
    def units_words(self) -> str:
        """The number and kind of units, and the text before the first unit; empty without units."""
        if self.options.units is None:
            return ""
        before = len(self.text(0, self.units[0].start).strip())
        left_out = f"; {plural(before, 'character')} before the first left out" if before else ""
        return f"{plural(len(self.units), 'unit')}, {visible(kind_of_units(self.options.units))}{left_out}"

    def reading_spans(self, spans: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
        """What is read without a break in ``spans``: each unit by itself, from the last character of the separator
        before it on; without units, ``spans``."""
        if self.options.units is None:
            return tuple(Span(*span) for span in spans)
        return tuple(Span(*span) for span in reading_spans(self.unit_edges, spans))

    def split(self, val_fraction: float = 0.1, mode: SplitMode = "tail", test_fraction: float = 0.0) -> TextSplit:
        """Hold out ``val_fraction`` of the text for validation and ``test_fraction`` for a final test. Deterministic.

        ``tail`` takes the end of the text: validation, then test at the very end. ``blocks`` takes up to ten blocks
        spread over the text, and the end of each block is for the test. Of a text that is read as units, whole units
        are held out, whatever the ``mode``: see :func:`units.parts_of_units`. With a separate validation text all of
        that is for validation, and ``val_fraction`` has no effect. Raises :class:`TextError` for fractions that leave
        nothing to train on.
        """
        arguments.one_of("mode", mode, ("tail", "blocks"), error=TextError)
        chars = self.text_chars
        if self.options.units is not None:
            return self._split_units(val_fraction, test_fraction)
        if self.validation is not None:
            text = split_text(chars, 0.0, mode, test_fraction)
            return dataclasses.replace(text, held_out=(Span(chars, self.chars),))
        return split_text(chars, val_fraction, mode, test_fraction)

    def _split_units(self, val_fraction: float, test_fraction: float) -> TextSplit:
        _check_fractions(val_fraction, test_fraction)
        edges, validation = self.unit_edges, self.validation is not None
        own = edges[: 1 + int(np.searchsorted(edges[:-1], self.text_chars))]
        fractions = (0.0 if validation else val_fraction, test_fraction)
        part = parts_of_units(self.ids, self.vocabulary, self.units[: len(own) - 1], fractions)
        train, held_out, test = (tuple(Span(*span) for span in merged(own, part, number)) for number in range(3))
        return TextSplit(train, (Span(self.text_chars, self.chars),) if validation else held_out, test)

    def encoded_for(self, vocabulary: Vocabulary) -> tuple[TextIds, dict[str, int]]:
        """The ids of the text in another model's ``vocabulary``, and how often each unknown character occurs.

        Unknown characters are read as others (:meth:`Vocabulary.read_as`). The ids, shape (N,), are converted where
        they are read.
        """
        if vocabulary == self.vocabulary:
            return self.ids, {}
        symbols, counts = self.vocabulary.symbols, self.counts.tolist()
        table, _ = vocabulary.encode("".join(symbols))
        known = np.array([symbol in vocabulary for symbol in symbols])
        unknown = {char: count for char, count in zip(symbols, counts, strict=True) if char not in vocabulary}
        return Recoded(self.ids, table, known, vocabulary.dtype), unknown

    def to_record(self) -> dict[str, Any]:
        """A JSON object from which :func:`reopen_corpus` opens the same text."""
        record = {
            "name": self.name,
            "sources": list(self.sources),
            "options": self.options.to_dict(),
            "report": plain(self.report),
            "fingerprint": self.fingerprint,
            "chars": self.chars,
        }
        if self.validation is not None:
            record["validation"] = plain(self.validation)
        return record


def line_numbers(corpus: Corpus, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The lines, from 1, in which the characters at ``positions`` of ``corpus`` stand in its files, whose lines may
    have been joined and whose headers left out. Lines of several files are counted on from one to the next."""
    ended = np.flatnonzero(corpus.ids == corpus.vocabulary.index("\n"))
    return 1 + np.searchsorted(ended, positions) + np.searchsorted(corpus.joined_lines(), positions, "right")


def split_text(chars: int, val_fraction: float, mode: SplitMode = "tail", test_fraction: float = 0.0) -> TextSplit:
    """The parts of a text of ``chars`` characters without a separate validation text: see :meth:`Corpus.split`."""
    _check_fractions(val_fraction, test_fraction)
    train_chars = int(chars * (1 - val_fraction - test_fraction))
    test_start = int(chars * (1 - test_fraction))
    if mode == "tail" or train_chars == chars:
        return _split(chars, [Span(train_chars, test_start)], [Span(test_start, chars)])
    held_out_chars, test_chars = chars - train_chars, chars - test_start
    blocks = _blocks(chars, held_out_chars)
    cuts = [stop - (stop - start) * test_chars // held_out_chars for start, stop in blocks]
    validation = [Span(block.start, cut) for block, cut in zip(blocks, cuts, strict=True)]
    test = [Span(cut, block.stop) for block, cut in zip(blocks, cuts, strict=True)]
    return _split(chars, validation, test)


def _check_fractions(val_fraction: float, test_fraction: float) -> None:
    if not (val_fraction >= 0 and test_fraction >= 0 and val_fraction + test_fraction < 1):
        raise TextError(
            "The fractions for validation and test are at least 0 and below 1 together, not "
            f"{val_fraction:g} and {test_fraction:g}"
        )


def _split(chars: int, held_out: list[Span], test: list[Span]) -> TextSplit:
    """The split of ``chars`` characters whose training part is what the other two leave."""
    edges = [0, *(edge for span in sorted([*held_out, *test]) for edge in span), chars]
    train = [Span(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    kept = (tuple(span for span in part if span.stop > span.start) for part in (train, held_out, test))
    return TextSplit(*kept)


def _blocks(chars: int, held: int) -> list[Span]:
    """Up to ten blocks, one in each equal part of the text, at positions that shift by the golden ratio."""
    number = max(1, min(_BLOCKS, held // 1000))
    spans = []
    for at in range(number):
        low, high = chars * at // number, chars * (at + 1) // number
        size = held * (at + 1) // number - held * at // number
        start = low + int((high - low - size) * ((at + 1) * 0.6180339887 % 1))
        spans.append(Span(start, start + size))
    return spans


def open_corpus(
    source: Source | None = None,
    options: TextOptions | None = None,
    *,
    text: str | None = None,
    name: str | None = None,
    validation: Source | None = None,
    units: str | None = None,
    progress: ProgressCallback | None = None,
) -> Corpus:
    """Open a text for training. A text that has not changed since it was last opened comes from the cache.

    Args:
        source: a path, several paths, a folder, the name of a built-in text, or ``-`` for standard input.
        options: what is done to the text; ``encoding`` and ``pattern`` have no meaning for ``text``.
        text: the text itself, instead of ``source``.
        name: the corpus's name for people; by default the file's name, or ``text``.
        validation: a separate text to validate on, given as ``source`` is and read with the same options, each on its
            own (``max_chars`` of each). The vocabulary is that of both texts, and nothing of the first is held out for
            validation.
        units: short for the option of this name: ``lines``, ``blank-lines``, or what a unit begins with.
        progress: called with a :class:`ReadProgress` now and then; an exception that it raises stops the reading.

    Raises :class:`TextError` when there is no such source, it cannot be read or it is not text, and when not exactly
    one of ``source`` and ``text`` is given.
    """
    if options is None:
        options = TextOptions()
    if units is not None:
        options = dataclasses.replace(options, units=units)
    if (source is None) == (text is None):
        raise TextError("open_corpus takes either a source or text=..., and exactly one of them")
    texts = [resolve(source, options) if source is not None else resolve_text(text)]
    if name:
        texts[0] = dataclasses.replace(texts[0], name=name)
    if validation is not None:
        texts.append(resolve(validation, options))
    if sum(each.is_stdin for each in texts) > 1:
        raise TextError("Standard input cannot be both the text and the validation text: save one to a file first")
    if not all(each.can_be_read_again for each in texts):
        return _prepared(texts, options, progress)
    names = [[item.builtin or str(item.path) for item in text.items] for text in texts]
    key = cache.source_key(names, options.to_dict(), builtin.version())
    stamps = [stamp_of(item) for text in texts for item in text.items if item.path is not None]
    kept = cache.find_record(key, stamps)
    with contextlib.suppress(*_BAD_RECORD):  # then the text is read again
        if kept is not None and (corpus := _from_cache(kept, texts)) is not None:
            return corpus
    return _prepared(texts, options, progress, key)


def _prepared(
    texts: Sequence[Resolved], options: TextOptions, progress: ProgressCallback | None, key: str | None = None
) -> Corpus:
    prepared = prepare(texts, options, progress)
    stored = cache.load(prepared.fingerprint, verify=False)  # `prepare` has just written or verified it
    if stored is None:
        raise TextError(
            f"The prepared text disappeared from {cache.texts_dir()}: try again, and check whether the disk is full"
        )
    corpus = _corpus(stored, options, prepared.report, texts)
    if key is not None:
        cache.store_record(key, prepared.stamps, corpus.to_record(), prepared.began_ns)
    return corpus


def _corpus(stored: cache.Stored, options: TextOptions, report: ReadReport, texts: Sequence[Resolved]) -> Corpus:
    """The ``stored`` text with the names and sources of ``texts``, the second of which is the one to validate on."""
    validation = None
    if len(texts) > 1:
        validation = ValidationText(texts[1].name, texts[1].sources, stored.validation_chars)
    return Corpus(
        texts[0].name,
        texts[0].sources,
        options,
        report,
        stored.vocabulary,
        stored.counts,
        stored.ids,
        stored.fingerprint,
        tuple(path for text in texts for path in text.skipped),
        validation,
        stored.path,
    )


def open_ids(path: Path, record: Mapping[str, Any]) -> Corpus:
    """Open and verify the text whose ids are in the file ``path``, by a :meth:`Corpus.to_record` to which its
    ``vocabulary`` and ``counts`` were added. Raises one of :data:`cache.UNREADABLE` when that is not the text."""
    about = record.get("validation")
    return _of_record(record, cache.open_ids(path, record, 0 if about is None else about["chars"]))


def _from_cache(record: Mapping[str, Any], given: Sequence[Resolved] = ()) -> Corpus | None:
    stored = cache.load(record["fingerprint"])
    try:
        return None if stored is None else _of_record(record, stored, given)
    except FileNotFoundError:
        return None


def _of_record(record: Mapping[str, Any], stored: cache.Stored, given: Sequence[Resolved] = ()) -> Corpus:
    """The ``stored`` text with names and sources as they are ``given`` this time, else as they were then."""
    options, report = TextOptions.from_dict(record["options"]), read(ReadReport, record["report"])
    if report.line_begins and not cache.line_begins_path(stored.path, report.line_begins).exists():
        raise FileNotFoundError("the lines of the text are not beside it")
    if bool(stored.validation_chars) != ("validation" in record):
        raise ValueError("the record is that of another text")
    return _corpus(stored, options, report, given or _recorded(record))


def _recorded(record: Mapping[str, Any]) -> list[Resolved]:
    """Names and sources of a text and of its validation text, if there is one."""
    abouts = [record, *([record["validation"]] if "validation" in record else [])]
    return [Resolved(os.fspath(each["name"]), tuple(map(os.fspath, each["sources"])), ()) for each in abouts]


_BAD_RECORD = (TextError, KeyError, TypeError, ValueError, AttributeError)
"""What reading a damaged record raises."""


def reopen_corpus(record: Mapping[str, Any], *, progress: ProgressCallback | None = None) -> Corpus:
    """Open the text that :meth:`Corpus.to_record` described: from the cache, or from its source if that is unchanged.

    Raises :class:`TextError` when the text has changed or can no longer be read.
    """
    try:
        if (corpus := _from_cache(record)) is not None:
            return corpus
        texts = _recorded(record)
        options, fingerprint = TextOptions.from_dict(record["options"]), str(record["fingerprint"])
    except _BAD_RECORD as error:
        reason = visible(str(error), keep="")[:200]
        raise TextError(f"The record of the text is invalid ({reason}): open the text again") from None
    name, sources = texts[0].name, texts[0].sources
    if not all(each.can_be_read_again for each in texts):
        origin = "standard input" if sources else "a string"
        raise TextError(
            f"The text {name} came from {origin} and is no longer in the cache: read the same text again, then retry"
        )
    validation = texts[1].sources if len(texts) > 1 else None
    corpus = open_corpus(sources, options, name=name, validation=validation, progress=progress)
    if corpus.fingerprint != fingerprint:
        which = name if corpus.validation is None else f"{name}, or its validation text {corpus.validation.name},"
        raise TextError(f"The text {which} has changed: restore the old text, or start a new run")
    return corpus


def read_as(corpus: Corpus, options: TextOptions) -> Corpus:
    """``corpus`` read with the ``options`` of a model that has learnt from another text: from its sources, or from its
    characters where those cannot be read again. Raises :class:`TextError` as :func:`open_corpus` does."""
    own, validation = corpus.options, corpus.validation
    options = dataclasses.replace(options.for_another_text(own.encoding, own.max_chars), pattern=own.pattern)
    if options == dataclasses.replace(own, fold_rare=0):
        return corpus
    second = None if validation is None else validation.sources
    if Resolved(corpus.name, corpus.sources, ()).can_be_read_again:
        return open_corpus(corpus.sources, options, name=corpus.name, validation=second)
    return open_corpus(text=corpus.text(0, corpus.text_chars), options=options, name=corpus.name, validation=second)


def read_text(text: str, options: TextOptions) -> str:
    """``text`` as it is read from a file with these ``options``, its paragraphs joined too, where
    :meth:`TextOptions.apply` keeps lines. Raises :class:`TextError` for what is no string."""
    tally = Tally()
    pieces = (piece for item in resolve_text(text).items for piece in item_text(item, options, tally, Joined()))
    return "".join(without_boilerplate(pieces, [], strip=options.strip_boilerplate))


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a text."""

    text: str
    bytes: int
    """Size of all its files."""
    encoding: str
    complete: bool
    """Whether ``text`` is the whole text."""
    files: int


def preview(source: Source, chars: int = 4000, options: TextOptions | None = None) -> Preview:
    """Read the first ``chars`` characters, and not much more. Raises :class:`TextError` as :func:`open_corpus` does."""
    options = dataclasses.replace(options or TextOptions(), max_chars=chars + 1)
    found = resolve(source, options)
    if found.is_stdin:
        raise TextError("Standard input has no preview: open it")
    tally, text = Tally(), ""
    for item in found.items:
        if len(text) > chars:
            break
        if text and not text.endswith("\n"):
            text += "\n"
        pieces = item_text(item, options, tally, Joined())
        for piece in without_boilerplate(pieces, [], strip=options.strip_boilerplate):
            text += piece
            if len(text) > chars:
                break
    encoding = tally.encodings.pop() if len(tally.encodings) == 1 else "mixed" if tally.encodings else "none"
    return Preview(
        text[:chars],
        sum(map(size_of, found.items)),
        encoding,
        len(text) <= chars,
        len(found.items),
    )

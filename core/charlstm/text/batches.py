"""Cut a text into batches for truncated back-propagation through time.

Every target of the given spans occurs exactly once in an epoch, but for units, where ends of rows may be left out. A
batch is computed from its step alone, so that a resumed run needs no state of the batches. The text stays in its small
dtype; only the current batch is int64. A text that is read as units is in another order at every epoch
(:class:`UnitBatches`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from charlstm.errors import TextError
from charlstm.text.corpus import Span, TextSplit
from charlstm.text.vocabulary import Recoded, TextIds, Vocabulary

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus
    from charlstm.text.reading import SplitMode


PIECE = 4 * 1024 * 1024
"""Characters that are counted at once."""

NO_TARGET = -1
"""Marks positions of a batch without a target, which add neither loss nor gradient (``ignore_index`` of torch)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step of B rows and T characters: ``inputs`` and ``targets`` int64 (T, B), ``resets`` bool (B,).

    Beyond the end of a row ``targets`` is :data:`NO_TARGET` and ``inputs`` 0. ``resets`` marks rows whose hidden
    state is reset to zero before this step, because their input does not continue the step before. ``inner_resets``
    bool (T, B) marks inputs within the step before which the state is reset; None without any.
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    resets: npt.NDArray[np.bool_]
    inner_resets: npt.NDArray[np.bool_] | None = None

    @property
    def chars(self) -> int:
        """The number of targets."""
        return int(np.count_nonzero(self.targets != NO_TARGET))


class Batches:
    """The batches of ``spans`` of ``ids``, with B = ``batch_size`` rows of T = ``seq_length`` characters.

    The targets of all spans are concatenated and cut into B rows of equal length (up to one). When a span ends within a
    row, the next span starts with the next step, and ``resets`` marks the row.
    """

    def __init__(self, ids: TextIds, spans: Sequence[tuple[int, int]], batch_size: int, seq_length: int) -> None:
        if batch_size < 1 or seq_length < 1:
            raise ValueError("batch_size and seq_length are at least 1")
        self.ids = ids
        self.batch_size = batch_size
        self.seq_length = seq_length
        self._segments = _segments([Span(*span) for span in spans], batch_size, seq_length)
        self.chars = int(self._segments.targets.sum())
        """The number of targets in an epoch."""
        self.steps_per_epoch = int(self._segments.end_step.max(initial=0))

    def batch(self, step: int) -> Batch:
        """The batch of ``step``, counted from 0 over all epochs. Raises IndexError when there are no targets."""
        if not self.steps_per_epoch:
            raise IndexError("these spans have no targets: a span needs two characters")
        step %= self.steps_per_epoch
        segments = self._segments
        active = np.flatnonzero((segments.first_step <= step) & (step < segments.end_step))
        rows = segments.row[active]
        done = (step - segments.first_step[active]) * self.seq_length
        # (T + 1, rows): the inputs, and the targets one position later
        offsets = np.arange(self.seq_length + 1)[:, None] + done
        inside = offsets <= segments.targets[active]
        positions = segments.start[active] + np.minimum(offsets, segments.targets[active])
        window = self.ids[positions].astype(np.int64)
        inputs = np.zeros((self.seq_length, self.batch_size), np.int64)
        targets = np.full((self.seq_length, self.batch_size), NO_TARGET, np.int64)
        inputs[:, rows] = np.where(inside[1:], window[:-1], 0)
        targets[:, rows] = np.where(inside[1:], window[1:], NO_TARGET)
        # rows without input are reset too
        resets = np.ones(self.batch_size, np.bool_)
        resets[rows] = segments.first_step[active] == step
        return Batch(inputs, targets, resets)


class _Segments(NamedTuple):
    """Parts of rows that lie within one span, at most B + number of spans; all arrays have this length."""

    row: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]  # position of the first input in the text
    targets: npt.NDArray[np.int64]  # number of targets
    first_step: npt.NDArray[np.int64]
    end_step: npt.NDArray[np.int64]


def _segments(spans: Sequence[Span], rows: int, seq_length: int) -> _Segments:
    spans = [span for span in spans if span.stop - span.start >= 2]
    lengths = np.array([span.stop - span.start - 1 for span in spans], np.int64)
    starts = np.array([span.start for span in spans], np.int64)
    # Positions among all concatenated targets; a segment begins where a span or a row begins.
    span_begins = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(span_begins[-1])
    row_begins = np.arange(rows + 1, dtype=np.int64) * total // rows
    cuts = np.unique(np.concatenate([span_begins, row_begins]))
    begins, counts = cuts[:-1], np.diff(cuts)
    span = np.searchsorted(span_begins, begins, side="right") - 1
    row = np.searchsorted(row_begins, begins, side="right") - 1
    steps = -(-counts // seq_length)
    before = np.cumsum(steps) - steps  # steps of all earlier segments, of this and earlier rows
    first_of_row = np.searchsorted(row, row, side="left")
    first_step = before - before[first_of_row] if len(before) else before
    start = starts[span] + begins - span_begins[span] if len(spans) else begins
    return _Segments(row, start, counts, first_step, first_step + steps)


class UnitBatches(Batches):
    """The batches of units, each of ``spans`` one, in an order that ``seed`` and the epoch decide.

    Units follow each other in B rows of equal length (up to one), and the state is set to zero at each. What the end of
    a row cuts off of a unit is left out of this epoch; only if it is long, the next row begins with it, from an empty
    state.
    """

    LONG = 8
    """A row is at most so many times as long as what is long."""

    def __init__(
        self, ids: TextIds, spans: Sequence[tuple[int, int]], batch_size: int, seq_length: int, seed: int
    ) -> None:
        self.ids, self.batch_size, self.seq_length, self._seed = ids, batch_size, seq_length, seed
        units = np.array([span for span in spans if span[1] - span[0] >= 2], np.int64).reshape(-1, 2)
        self._starts, self._lengths = units[:, 0], units[:, 1] - units[:, 0] - 1
        self.chars = int(self._lengths.sum())
        self._cuts = -(-np.arange(batch_size + 1) * self.chars // batch_size)
        self._row = int(self._cuts[1])  # characters of the first row, which is whole and none is longer
        self.steps_per_epoch = -(-self._row // seq_length)
        self._epoch = -1

    def batch(self, step: int) -> Batch:
        """See :meth:`Batches.batch`."""
        if not self.steps_per_epoch:
            raise IndexError("these spans have no targets: a span needs two characters")
        epoch, step = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._arrange(epoch)
        at = self._row_begins + step * self.seq_length + np.arange(self.seq_length)[:, None]  # (T, B), of all targets
        inside = at < self._cuts[1:]
        at = np.where(inside, at, 0)
        number = np.searchsorted(self._ends, at, "right")
        unit = self._order[number]
        done = at - (self._ends[number] - self._lengths[unit])
        window = np.stack([self._starts[unit] + done, self._starts[unit] + done + 1])
        inputs, targets = self.ids[window].astype(np.int64)
        inner = inside & (done == 0)
        resets = inner[0] | ~inside[0] | (step == 0)
        inner[0] = False
        return Batch(
            np.where(inside, inputs, 0), np.where(inside, targets, NO_TARGET), resets, inner if inner.any() else None
        )

    def _arrange(self, epoch: int) -> None:
        """Put the units into the order of this epoch, and choose where the rows begin."""
        count = len(self._lengths)
        # The bits of PCG64 are the same in all versions of numpy; those of a shuffle need not be.
        keys = np.random.PCG64(np.random.SeedSequence((self._seed, epoch, count))).random_raw(count)
        self._order = np.argsort(keys, kind="stable")
        self._ends = np.cumsum(self._lengths[self._order])
        cuts = self._cuts[:-1]
        at = np.minimum(np.searchsorted(self._ends, cuts, "right"), count - 1)
        within = cuts > self._ends[at] - self._lengths[self._order[at]]
        left_out = within & (self._ends[at] - cuts <= self._row // self.LONG)
        self._row_begins = np.where(left_out, self._ends[at], cuts)
        self._epoch = epoch


def trained_texts(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The texts that a model was trained on, from its ``info``: fingerprint, name, split and units of each.

    These are the text of its run and those of the models that the run started from. Invalid entries are left out.
    """
    lineage = info.get("lineage")
    before = lineage.get("learnt") if isinstance(lineage, dict) else None
    settings = info.get("settings")
    own: dict[str, Any] = {name: info.get(name) for name in ("fingerprint", "corpus")}
    own |= {"units": info["units"]} if info.get("units") else {}
    if isinstance(settings, dict):
        own |= {name: settings[name] for name in ("val_fraction", "split", "test_fraction") if name in settings}
    texts = [own, *(before if isinstance(before, list) else [])]
    return [text for text in texts if isinstance(text, dict) and _is_text(text)]


def _is_text(text: dict[str, Any]) -> bool:
    fractions: list[Any] = [text.get("val_fraction"), text.get("test_fraction")]
    return (
        isinstance(text.get("fingerprint"), str)
        and isinstance(text.get("units", ""), str)
        and all(isinstance(fraction, (int, float)) and fraction >= 0 for fraction in fractions)
        and sum(fractions) < 1
        and text.get("split") in ("tail", "blocks")
    )


def trained_share(
    texts: Iterable[Mapping[str, Any]], corpus: Corpus, spans: Sequence[tuple[int, int]]
) -> tuple[float, Mapping[str, Any] | None]:
    """The largest share of ``spans`` of ``corpus`` that one of ``texts`` was trained on, and that text; or 0 and None.

    ``texts`` are those of :func:`trained_texts`. Texts are compared by fingerprint, spans by the recorded split.
    """
    chars = sum(stop - start for start, stop in spans)
    most: tuple[float, Mapping[str, Any] | None] = (0.0, None)
    for text in texts:
        if text["fingerprint"] == corpus.fingerprint:
            # the fingerprint is that of the text as it was read; units are refused with joined lines
            options = replace(corpus.options, units=text.get("units"), lines="keep")
            as_read = replace(corpus, options=options)
            train = as_read.split(text["val_fraction"], text["split"], text["test_fraction"]).train
            edges = np.array([(0, 0), *train], np.int64).ravel()
            lengths = np.diff(edges)
            lengths[1::2] = 0  # between the spans that were trained on
            # characters of these spans up to a position
            common = float(np.diff(np.interp(spans, edges, np.append(0, np.cumsum(lengths)))).sum())
            if common > most[0] * chars:
                most = (common / chars, text)
    return most


def unknown_in(corpus: Corpus, vocabulary: Vocabulary, spans: Sequence[tuple[int, int]]) -> dict[str, int]:
    """How often each character that ``vocabulary`` does not know occurs in ``spans`` of a text."""
    symbols = corpus.vocabulary.symbols
    if vocabulary == corpus.vocabulary:
        return {}
    counts = np.zeros(len(symbols), np.int64)
    for begin, end in spans:
        for start in range(begin, end, PIECE):
            counts += np.bincount(corpus.ids[start : min(end, start + PIECE)], minlength=len(symbols))
    found = zip(symbols, counts.tolist(), strict=True)
    return {char: count for char, count in found if count and char not in vocabulary}


def targets(ids: TextIds, positions: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The ids at these positions as what is to be predicted: :data:`NO_TARGET` for characters that are read as others,
    which count in no mean."""
    found = np.asarray(ids[positions], np.int64)
    return np.where(ids.knows(positions), found, NO_TARGET) if isinstance(ids, Recoded) else found


@dataclass(frozen=True, eq=False)
class TrainingText:
    """A text encoded in ``vocabulary``, ``ids`` (N,), and its training, validation and test spans.

    Spans of fewer than two characters, which have no targets, are left out. Of a text that is read as units, each unit
    is a span (:meth:`Corpus.reading_spans`); ``parts`` has those of the text itself.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    ids: TextIds
    parts: TextSplit
    train: tuple[Span, ...]
    held_out: tuple[Span, ...]
    """For validation."""
    test: tuple[Span, ...] = ()
    """For a final test: nothing in training reads it."""

    @classmethod
    def of(
        cls, corpus: Corpus, vocabulary: Vocabulary, val_fraction: float, split: SplitMode, test_fraction: float = 0.0
    ) -> Self:
        """Encode and split ``corpus``. Raises :class:`TextError` when there is nothing to train on."""
        ids, _ = corpus.encoded_for(vocabulary)
        parts = corpus.split(val_fraction, split, test_fraction)
        if not any(stop - start >= 2 for start, stop in parts.train) and corpus.text_chars >= 2:
            # too short to divide: all of it is trained on
            held_out_parts = () if corpus.validation is None else parts.held_out
            parts = TextSplit((Span(0, corpus.text_chars),), held_out_parts)
        train, held_out, test = (
            tuple(span for span in corpus.reading_spans(part) if span.stop - span.start >= 2)
            for part in (parts.train, parts.held_out, parts.test)
        )
        if not train:
            raise TextError(f"{corpus.name} is too short to train on: training needs at least two characters")
        return cls(corpus, vocabulary, ids, parts, train, held_out, test)

    def batches(self, batch_size: int, seq_length: int, seed: int) -> Batches:
        """The batches of the training part; ``seed`` decides the order of units."""
        if self.corpus.options.units is None:
            return Batches(self.ids, self.train, batch_size, seq_length)
        return UnitBatches(self.ids, self.train, batch_size, seq_length, seed)

    @property
    def train_targets(self) -> int:
        """The number of characters to predict in one epoch."""
        return _targets(self.train)

    @property
    def held_out_targets(self) -> int:
        """The number of characters to predict in validation; 0 when nothing is held out."""
        return _targets(self.held_out)


def usual_part(info: Mapping[str, Any], corpus: Corpus) -> Literal["validation", "all"]:
    """The part of ``corpus`` on which a model with this ``info`` is evaluated unless another is asked for: what was
    held out of the text that it was trained on, and all of another text."""
    return "validation" if info.get("fingerprint") == corpus.fingerprint else "all"


def part_spans(
    corpus: Corpus, part: str, val_fraction: float, split: SplitMode, test_fraction: float
) -> tuple[tuple[int, int], ...]:
    """The spans of the ``part`` of ``corpus``: ``train``, ``validation``, ``test`` or ``all``. There may be none for
    ``validation`` and ``test``."""
    if part == "all":
        return (0, corpus.text_chars), (corpus.text_chars, corpus.chars)
    parts = TrainingText.of(corpus, corpus.vocabulary, val_fraction, split, test_fraction).parts
    spans = {"train": parts.train, "validation": parts.held_out, "test": parts.test}[part]
    return tuple(span for span in spans if span.stop - span.start >= 2)


def _targets(spans: tuple[Span, ...]) -> int:
    return sum(span.stop - span.start - 1 for span in spans)

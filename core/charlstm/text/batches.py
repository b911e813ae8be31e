"""Batches for truncated back-propagation: parallel rows that walk through the text, step by step.

Every target of the given spans comes exactly once an epoch, never across two spans and never wrapping. A batch is
computed from its step alone, so resuming needs no state. It knows nothing of torch; only one batch is ever widened
to int64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NO_TARGET = -1
"""A target that is none: it adds neither loss nor gradient. One for all floors; torch's ``ignore_index`` takes it."""


class Span(NamedTuple):
    """A stretch of the text, in characters: ``start`` is in it, ``stop`` is not."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One step for all rows, time first: ``inputs`` and ``targets`` int64 (T, B), ``fresh`` bool (B,).

    ``targets`` is :data:`NO_TARGET` where there is none; ``inputs`` is 0 there. ``fresh`` marks rows whose state must
    be zeroed before this step, because what they read now does not follow what they read before.
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    fresh: npt.NDArray[np.bool_]

    @property
    def chars(self) -> int:
        """Targets in this batch."""
        return int(np.count_nonzero(self.targets != NO_TARGET))


class Batches:
    """The steps of an epoch over ``spans`` of ``ids``, for B = ``batch_size`` rows of T = ``seq_length`` characters.

    All targets, laid end to end, are cut into B rows of equal length (to one). A row that runs from one span into
    another starts its next step with the new span, fresh. ``batch(step)`` counts on over epochs.
    """

    def __init__(
        self, ids: npt.NDArray[Any], spans: Sequence[tuple[int, int]], batch_size: int, seq_length: int
    ) -> None:
        if batch_size < 1 or seq_length < 1:
            raise ValueError("batch_size and seq_length are at least 1")
        self.ids = ids
        self.batch_size = batch_size
        self.seq_length = seq_length
        self._segments = _segments([Span(*span) for span in spans], batch_size, seq_length)
        self.chars = int(self._segments.targets.sum())
        """Targets in an epoch."""
        self.steps_per_epoch = int(self._segments.end_step.max(initial=0))

    def batch(self, step: int) -> Batch:
        """The batch of ``step``, 0, 1, … and on into further epochs. Raises IndexError when there is no target."""
        if not self.steps_per_epoch:
            raise IndexError("these spans hold no target: a span needs two characters")
        step %= self.steps_per_epoch
        segments = self._segments
        active = np.flatnonzero((segments.first_step <= step) & (step < segments.end_step))
        rows = segments.row[active]
        done = (step - segments.first_step[active]) * self.seq_length
        # (T + 1, rows): every input and, one further on, its target
        offsets = np.arange(self.seq_length + 1)[:, None] + done
        inside = offsets <= segments.targets[active]
        positions = segments.start[active] + np.minimum(offsets, segments.targets[active])
        window = self.ids[positions].astype(np.int64)
        inputs = np.zeros((self.seq_length, self.batch_size), np.int64)
        targets = np.full((self.seq_length, self.batch_size), NO_TARGET, np.int64)
        inputs[:, rows] = np.where(inside[1:], window[:-1], 0)
        targets[:, rows] = np.where(inside[1:], window[1:], NO_TARGET)
        # a row with nothing (left) to read has no state worth keeping either
        fresh = np.ones(self.batch_size, np.bool_)
        fresh[rows] = segments.first_step[active] == step
        return Batch(inputs, targets, fresh)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """One epoch."""
        return (self.batch(step) for step in range(self.steps_per_epoch))


class _Segments(NamedTuple):
    """Pieces of rows, each inside one span; arrays of one length, at most B + number of spans."""

    row: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]  # position of the first input
    targets: npt.NDArray[np.int64]  # how many
    first_step: npt.NDArray[np.int64]
    end_step: npt.NDArray[np.int64]


def _segments(spans: Sequence[Span], rows: int, seq_length: int) -> _Segments:
    spans = [span for span in spans if span.stop - span.start >= 2]
    lengths = np.array([span.stop - span.start - 1 for span in spans], np.int64)
    starts = np.array([span.start for span in spans], np.int64)
    # Positions in the row of all targets at which a segment begins: where a span or a row does.
    span_begins = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(span_begins[-1])
    row_begins = np.arange(rows + 1, dtype=np.int64) * total // rows
    cuts = np.unique(np.concatenate([span_begins, row_begins]))
    begins, counts = cuts[:-1], np.diff(cuts)
    span = np.searchsorted(span_begins, begins, side="right") - 1
    row = np.searchsorted(row_begins, begins, side="right") - 1
    steps = -(-counts // seq_length)
    before = np.cumsum(steps) - steps  # steps of all earlier segments, of this row and the rows before it
    first_of_row = np.searchsorted(row, row, side="left")
    first_step = before - before[first_of_row] if len(before) else before
    start = starts[span] + begins - span_begins[span] if len(spans) else begins
    return _Segments(row, start, counts, first_step, first_step + steps)

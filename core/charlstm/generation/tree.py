"""The tree that a session grows: branches of characters, each with a compact row, and a place in it.

It stores and finds; it neither runs the model nor draws. A branch is a stretch of characters that leaves its parent
at a position, so a million characters in one line are one array, and a branch costs what it holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from charlstm.generation.steps import Rows, Step, describe, row_type

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.unsignedinteger]

BLOCK = 64
"""Characters whose statistics are worked out together."""

STATES_EVERY = 32
"""Characters between which the hidden state is kept, in a session of some hundred thousand characters; in longer ones
more (:data:`charlstm.generation.session.STATE_BYTES`). Rewinding replays fewer than so many characters."""


class Pending:
    """The newest characters of one branch, whose statistics are not yet worked out."""

    def __init__(self, vocab_size: int) -> None:
        self.logits = np.empty((BLOCK + 1, vocab_size), np.float32)
        self.weights = np.empty((BLOCK, vocab_size), np.float32)
        self.count = 0
        self.branch: Branch | None = None

    def flush(self) -> None:
        """Work out the statistics of all that wait; the logits at the cursor move to row 0."""
        if self.count and self.branch is not None:
            stop = self.branch.size
            rows = self.branch.rows[stop - self.count : stop]
            describe(rows, self.logits[: self.count], self.weights[: self.count])
            self.logits[0] = self.logits[self.count]
            self.count = 0


@dataclass(eq=False)
class Branch:
    """Characters ``start`` to ``stop`` of a line, continuing ``parent`` at position ``start``.

    Attributes:
        states: hidden states, packed, by the position that they stand at (after that many characters).
        children: branches that leave this one.
    """

    parent: Branch | None
    start: int
    symbols: tuple[str, ...]
    pending: Pending
    name: str = ""
    size: int = 0
    states: dict[int, Floats] = field(default_factory=dict)
    children: list[Branch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows: Rows = np.zeros(16, row_type(len(self.symbols)))
        self._ids: Ids = self.rows["id"].copy()  # the same side by side: a long stretch of rows is 65 times as large

    @property
    def stop(self) -> int:
        """The position after the last character."""
        return self.start + self.size

    def append(self, which: int, mu: float, source: int) -> None:
        """Add one character; its statistics follow from what was put into ``pending``."""
        if self.size == len(self.rows):
            # Grown memory is not touched before it is used, so it costs nothing yet.
            rows: Rows = np.empty(2 * self.size, self.rows.dtype)
            rows[: self.size] = self.rows
            self.rows = rows
            ids: Ids = np.empty(2 * self.size, self._ids.dtype)
            ids[: self.size] = self._ids
            self._ids = ids
        row = self.rows[self.size]
        row["id"], row["mu"], row["source"] = which, mu, source
        self._ids[self.size] = which
        self.size += 1

    def fill(self, rows: Rows) -> None:
        """Take ``rows``, complete, for all characters of a branch that was empty."""
        self.rows, self.size = (rows, len(rows)) if len(rows) else (self.rows, 0)
        self._ids = self.rows["id"].copy()

    def id(self, position: int) -> int:
        """The id of the character at ``position``."""
        return int(self._ids[position - self.start])

    def ids(self, start: int, stop: int) -> Ids:
        """The ids of positions ``start`` to ``stop``, a view."""
        return self._ids[start - self.start : stop - self.start]

    def row(self, position: int) -> np.void:
        """All that is remembered of the character at ``position``."""
        self.settle()
        row: np.void = self.rows[position - self.start]
        return row

    def slice(self, start: int, stop: int) -> Rows:
        """Rows of positions ``start`` to ``stop``, a view."""
        self.settle()
        return self.rows[start - self.start : stop - self.start]

    def settle(self) -> None:
        """Make sure that no statistics of this branch are outstanding."""
        if self.pending.branch is self:
            self.pending.flush()

    def step(self, position: int) -> Step:
        """The character at ``position`` as a :class:`Step`."""
        return Step(self, position, self.symbols[self.id(position)])

    def continuations(self, position: int) -> Iterator[tuple[Branch, int]]:
        """What follows ``position`` (inside or at the end of this branch): ``(branch, id)`` for each."""
        if position < self.stop:
            yield self, self.id(position)
        for child in self.children:
            if child.start == position and child.size:
                yield child, child.id(position)

    def descendants(self) -> Iterator[Branch]:
        """This branch and all that grow from it, parents first."""
        waiting = [self]
        while waiting:
            branch = waiting.pop()
            yield branch
            waiting.extend(reversed(branch.children))


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """One branch, for people to choose from.

    Attributes:
        number: what :meth:`Session.switch`, :meth:`Session.prune` and :meth:`Session.rename` take; 0 is the root.
        parent: the branch that it leaves; None for the root.
        start, stop: the positions that it holds.
        text: how it begins, at most 80 characters.
        current: whether it is on the current line.
    """

    number: int
    parent: int | None
    start: int
    stop: int
    name: str
    text: str
    current: bool


class Line:
    """One way through the tree, from its root to the end of ``tip``."""

    def __init__(self, tip: Branch) -> None:
        self.tip = tip
        self._path: list[Branch] = []
        branch: Branch | None = tip
        while branch is not None:
            self._path.append(branch)
            branch = branch.parent
        self._path.reverse()
        self._starts = [branch.start for branch in self._path]

    def __len__(self) -> int:
        return self.tip.stop

    def owner(self, position: int) -> Branch:
        """The branch on this line that holds the character before ``position``; the root for 0."""
        return self._path[max(0, bisect_right(self._starts, position - 1) - 1)]

    def holder(self, position: int) -> Branch:
        """The branch on this line that holds the character at ``position``."""
        return self._path[bisect_right(self._starts, position) - 1]

    def rows(self, start: int, stop: int) -> Rows:
        """Rows of positions ``start`` to ``stop``; a view where one branch holds them all."""
        parts = list(self.slices(start, stop))
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [self.tip.rows[:0]])

    def slices(self, start: int, stop: int) -> Iterator[Rows]:
        """The same, branch by branch."""
        for branch, low, high in self._stretches(start, stop):
            yield branch.slice(low, high)

    def ids(self, start: int, stop: int) -> Ids:
        """The ids of positions ``start`` to ``stop``. Unlike rows they are there before the statistics are."""
        parts = [branch.ids(low, high) for branch, low, high in self._stretches(start, stop)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [self.tip.ids(0, 0)])

    def _stretches(self, start: int, stop: int) -> Iterator[tuple[Branch, int, int]]:
        """The branches that hold positions ``start`` to ``stop``, each with the positions that it holds of them."""
        for number in range(max(0, bisect_right(self._starts, start) - 1), len(self._path)):
            branch = self._path[number]
            end = self._path[number + 1].start if number + 1 < len(self._path) else branch.stop
            low, high = max(start, branch.start), min(stop, end)
            if low < high:
                yield branch, low, high

"""What is remembered of each character: compact rows, and the :class:`Step` objects that are made from them on demand.

Statistics are worked out for many characters at once, when one of them is first asked for or a block is full. Not for
the tree that the characters form (:mod:`charlstm.generation.tree`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


Rows = npt.NDArray[np.void]

ALTERNATIVES = 10
"""How many leading alternatives are remembered of each character."""

GENERATED, TYPED, CHOSEN = 0, 1, 2
"""Where a character came from: the sampler, the user's own text, the user's choice among alternatives."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A character that could have come.

    Attributes:
        char: the character.
        probability: the model's, at temperature 1 and before any filter.
        sampled: after the sampler; 0 if cut.
        kept: whether the sampler could have drawn it.
    """

    char: str
    probability: float
    sampled: float
    kept: bool


@dataclass(frozen=True, slots=True)
class NextCharDistribution:
    """What may come at the cursor under the settings of now.

    Attributes:
        alternatives: the most likely characters, most likely first.
        entropy: bits, the model's at temperature 1.
        kept: how many characters the sampler keeps, of ``total``.
        kept_probability: what the model gives all kept ones together, at temperature 1.
    """

    alternatives: tuple[Alternative, ...]
    entropy: float
    kept: int
    total: int
    kept_probability: float


class Step:
    """One character of a session and what the model thought of it. A view: cheap to make, its figures read on demand.

    Attributes:
        char: the character.
        position: how many characters of the session stand before it (the prime does not count).
    """

    __slots__ = ("_branch", "char", "position")

    def __init__(self, branch: Branch, position: int, char: str) -> None:
        self._branch, self.position, self.char = branch, position, char

    @property
    def probability(self) -> float:
        """The model's probability of the character, at temperature 1 and before any filter."""
        return float(self._row["probability"])

    @property
    def rank(self) -> int:
        """1 for the most likely character; equals share a rank."""
        return int(self._row["rank"])

    @property
    def entropy(self) -> float:
        """Bits that the model expected to need for the character."""
        return float(self._row["entropy"])

    @property
    def surprise(self) -> float:
        """Bits that the character took: −log2 of its probability."""
        return -math.log2(max(self.probability, 2.0**-149))

    @property
    def source(self) -> int:
        """:data:`GENERATED`, :data:`TYPED` or :data:`CHOSEN`."""
        return int(self._row["source"])

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The most likely characters, most likely first, at most :data:`ALTERNATIVES`."""
        return row_alternatives(self._row, self._branch.symbols)

    @property
    def _row(self) -> np.void:
        return self._branch.row(self.position)

    def _key(self) -> tuple[object, ...]:
        return (self.char, self.position, self.probability, self.rank, self.entropy, self.alternatives)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.char, self.position))

    def __repr__(self) -> str:
        return f"Step({self.char!r}, position={self.position}, probability={self.probability:.4g}, rank={self.rank})"


def row_type(vocab_size: int) -> np.dtype[np.void]:
    """The layout of one remembered character: some 130 bytes."""
    index = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    count = min(ALTERNATIVES, vocab_size)
    return np.dtype(
        [
            ("id", index),
            ("rank", index),
            ("probability", np.float32),
            ("entropy", np.float32),
            ("mu", np.float32),
            ("kept", np.uint16),
            ("source", np.uint8),
            ("ids", index, count),
            ("probabilities", np.float32, count),
            ("sampled", np.float32, count),
        ]
    )


def fill_statistics(rows: Rows, logits: Floats, weights: Floats) -> None:
    """Fill in the figures of ``rows`` ``(n,)``, whose ``id``, ``mu`` and ``source`` are known.

    Args:
        logits: ``(n, V)`` before each character.
        weights: ``(n, V)``, what the sampler drew from (:mod:`charlstm.generation.sampling`).
    """
    which = np.arange(len(rows))
    shifted = logits - logits.max(1, keepdims=True)
    probabilities = np.exp(shifted)
    total = probabilities.sum(1, keepdims=True)
    probabilities /= total
    shifted -= np.log(total)
    ids = rows["id"].astype(np.intp)
    rows["probability"] = probabilities[which, ids]
    rows["rank"] = 1 + (logits > logits[which, ids][:, None]).sum(1)
    rows["entropy"] = np.maximum(-(probabilities * shifted).sum(1) / math.log(2), 0)
    best = top_ids(logits)
    sampled = np.take_along_axis(weights, best, 1)
    rows["ids"] = best
    rows["probabilities"] = np.take_along_axis(probabilities, best, 1)
    rows["sampled"] = sampled / weights.sum(1, keepdims=True)
    rows["kept"] = (sampled > 0) @ (1 << np.arange(best.shape[1]))


def top_ids(logits: Floats) -> npt.NDArray[np.intp]:
    """The ids of the highest logits in each row of ``(n, V)``, highest first, at most :data:`ALTERNATIVES`."""
    count = min(ALTERNATIVES, logits.shape[1])
    best = np.argpartition(logits, -count, axis=1)[:, -count:]
    order = np.argsort(-np.take_along_axis(logits, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)


def row_alternatives(row: Any, symbols: tuple[str, ...]) -> tuple[Alternative, ...]:
    """The alternatives that one row remembers."""
    kept = int(row["kept"])
    columns = (row["ids"].tolist(), row["probabilities"].tolist(), row["sampled"].tolist())
    return tuple(
        Alternative(symbols[which], probability, sampled, bool(kept >> k & 1))
        for k, (which, probability, sampled) in enumerate(zip(*columns, strict=True))
    )


Ids = npt.NDArray[np.unsignedinteger]

BLOCK = 64
"""Characters whose statistics are worked out together."""

STATE_INTERVAL = 32
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
            fill_statistics(rows, self.logits[: self.count], self.weights[: self.count])
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

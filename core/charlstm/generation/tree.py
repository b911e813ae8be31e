"""The tree of generated text: branches of characters, and the statistics that are stored for each character.

Statistics are compact rows of an array, from which :class:`Step` objects are made on demand. They are computed for many
characters at once: when one of them is first read, or when a block is full.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.unsignedinteger]
Rows = npt.NDArray[np.void]

ALTERNATIVES = 10
"""How many of the most likely alternatives are stored for each character."""

GENERATED, TYPED, CHOSEN = 0, 1, 2
"""Where a character came from: sampled, typed by the user, or chosen by the user among the alternatives."""

BLOCK = 64
"""Characters whose statistics are computed together."""

LEAST_PROBABILITY = 2.0**-149
"""The least probability above 0 that a row can have, a float32."""

STATE_INTERVAL = 32
"""A hidden state is stored every so many characters, so rewinding computes fewer than so many again. Beyond
:data:`charlstm.generation.session.STATE_BYTES` of stored states, some hundred thousand characters, the interval grows.
"""


def surprise(probability: float) -> float:
    """−log2 of a probability, in bits; 149 for 0."""
    return -math.log2(max(probability, LEAST_PROBABILITY))


def in_bits(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """The :func:`surprise` of each of many probabilities."""
    likely: npt.NDArray[np.float64] = np.maximum(probabilities, LEAST_PROBABILITY, dtype=np.float64)
    return -np.log2(likely)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A character that was possible at a position.

    Attributes:
        char: the character.
        probability: of the model, at temperature 1 and before any filter.
        sampled: probability with which the sampler draws it; 0 if a filter dropped it.
        kept: whether the sampler can draw it.
    """

    char: str
    probability: float
    sampled: float
    kept: bool


@dataclass(frozen=True, slots=True)
class NextCharDistribution:
    """The distribution of the next character at the cursor under the current settings.

    Attributes:
        alternatives: the most likely characters, most likely first; :data:`ALTERNATIVES` of them, or as many as were
            asked for.
        entropy: of the model's distribution at temperature 1, in bits.
        kept: how many characters the sampler can draw, of ``total`` in the vocabulary.
        kept_probability: the sum of the model's probabilities of these characters at temperature 1.
    """

    alternatives: tuple[Alternative, ...]
    entropy: float
    kept: int
    total: int
    kept_probability: float


class Step:
    """One character of a session with its statistics, which are read from the session when they are needed.

    Attributes:
        char: the character.
        position: number of characters before it, without the prime.
    """

    __slots__ = ("_branch", "char", "position")

    def __init__(self, branch: TreeBranch, position: int, char: str) -> None:
        self._branch, self.position, self.char = branch, position, char

    @property
    def probability(self) -> float:
        """The model's probability of the character, at temperature 1 and before any filter."""
        return float(self._row["probability"])

    @property
    def id(self) -> int:
        """The id of the symbol as which the model reads the character."""
        return self._branch.id(self.position)

    @property
    def rank(self) -> int:
        """1 for the most likely character; equally likely characters have the same rank."""
        return int(self._row["rank"])

    @property
    def entropy(self) -> float:
        """Entropy of the model's distribution at this position, in bits: the expected :attr:`surprise`."""
        return float(self._row["entropy"])

    @property
    def surprise(self) -> float:
        """The :func:`surprise` of :attr:`probability`, in bits."""
        return surprise(self.probability)

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
    """The array type of the statistics of one character: some 130 bytes. ``char`` is its code point; ``id`` that of the
    symbol as which the model reads it. ``seed`` is the number of the seed with which it was drawn, in
    :attr:`charlstm.generation.session.Session.seeds`; of what was not drawn it means nothing."""
    index = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    count = min(ALTERNATIVES, vocab_size)
    return np.dtype(
        [
            ("id", index),
            ("rank", index),
            ("probability", np.float32),
            ("entropy", np.float32),
            ("kept", np.uint16),
            ("source", np.uint8),
            ("ids", index, count),
            ("probabilities", np.float32, count),
            ("sampled", np.float32, count),
            ("seed", np.uint32),
            ("char", np.uint32),
        ]
    )


def text_of(rows: Rows) -> str:
    """The characters of rows."""
    return np.ascontiguousarray(rows["char"]).tobytes().decode("utf-32-le", "surrogatepass")


def read_as_themselves(rows: Rows, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Which characters of rows ``(N,)`` the model reads as themselves: the figures of the others are those of another
    character, and count in no mean. ``codes`` are those of the model's symbols."""
    return np.asarray(codes[rows["id"]] == rows["char"])


def fill_statistics(rows: Rows, logits: Floats, weights: Floats) -> None:
    """Compute the statistics of ``rows`` ``(n,)``, whose ``id`` and ``source`` are set.

    Args:
        rows: changed in place.
        logits: ``(n, V)``, from which each character was drawn.
        weights: ``(n, V)``, as :meth:`charlstm.generation.sampling.Sampler.weights` returned them.
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
    """The ids of the highest logits in each row of ``(n, V)``, highest first: ``(n, min(V, ALTERNATIVES))``."""
    count = min(ALTERNATIVES, logits.shape[1])
    best = np.argpartition(logits, -count, axis=1)[:, -count:]
    order = np.argsort(-np.take_along_axis(logits, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)


def row_alternatives(row: Any, symbols: tuple[str, ...]) -> tuple[Alternative, ...]:
    """The alternatives that are stored in one row."""
    kept = int(row["kept"])
    columns = (row["ids"].tolist(), row["probabilities"].tolist(), row["sampled"].tolist())
    return tuple(
        Alternative(symbols[which], probability, sampled, bool(kept >> k & 1))
        for k, (which, probability, sampled) in enumerate(zip(*columns, strict=True))
    )


class Pending:
    """Logits and weights of the newest characters of one branch, whose statistics are not computed yet."""

    def __init__(self, vocab_size: int) -> None:
        self.logits = np.empty((BLOCK + 1, vocab_size), np.float32)
        self.weights = np.empty((BLOCK, vocab_size), np.float32)
        self.count = 0
        self.branch: TreeBranch | None = None

    def flush(self) -> None:
        """Compute the statistics of these characters. The logits at the cursor move to row 0."""
        if self.count and self.branch is not None:
            stop = self.branch.size
            rows = self.branch.rows[stop - self.count : stop]
            fill_statistics(rows, self.logits[: self.count], self.weights[: self.count])
            self.logits[0] = self.logits[self.count]
            self.count = 0


@dataclass(eq=False)
class TreeBranch:
    """Characters ``start`` to ``stop`` of a text, a continuation of ``parent`` from position ``start`` on.

    Attributes:
        symbols: the model's characters by id.
        states: packed hidden states by position: the state after that many characters.
        mirostat: float32, mirostat's limit after each character, not-a-number after those that were added without
            mirostat. Shorter than the branch, or empty, where no character further on was added with it.
        children: branches that continue this one from some position.
    """

    parent: TreeBranch | None
    start: int
    symbols: tuple[str, ...]
    pending: Pending
    name: str = ""
    size: int = 0
    states: dict[int, Floats] = field(default_factory=dict)
    mirostat: array[float] = field(default_factory=lambda: array("f"))
    children: list[TreeBranch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows: Rows = np.zeros(16, row_type(len(self.symbols)))
        self._ids: Ids = self.rows["id"].copy()  # a second, contiguous copy: rows are some 60 times as large

    @property
    def stop(self) -> int:
        """The position after the last character."""
        return self.start + self.size

    def append(self, which: int, source: int, seed: int, char: int, limit: float | None = None) -> None:
        """Add the character ``char``, read as ``which``, whose logits and weights are in ``pending``; ``seed`` is the
        number of its seed, ``limit`` mirostat's after it, if any."""
        if self.size == len(self.rows):
            # np.empty: the system provides the memory only when it is written to.
            rows: Rows = np.empty(2 * self.size, self.rows.dtype)
            rows[: self.size] = self.rows
            self.rows = rows
            ids: Ids = np.empty(2 * self.size, self._ids.dtype)
            ids[: self.size] = self._ids
            self._ids = ids
        row = self.rows[self.size]
        row["id"], row["source"], row["seed"], row["char"] = which, source, seed, char
        self._ids[self.size] = which
        if limit is not None:
            self.mirostat.extend([math.nan] * (self.size - len(self.mirostat)))
            self.mirostat.append(limit)
        self.size += 1

    def fill(self, rows: Rows) -> None:
        """Set the characters of an empty branch, with their statistics."""
        self.rows, self.size = (rows, len(rows)) if len(rows) else (self.rows, 0)
        self._ids = self.rows["id"].copy()

    def truncate(self, stop: int) -> None:
        """Remove the characters from position ``stop`` on."""
        size = max(0, stop - self.start)
        if size >= self.size:
            return
        self.size = size
        self.rows, self._ids = self.rows[: max(16, size)].copy(), self._ids[: max(16, size)].copy()
        self.states = {at: state for at, state in self.states.items() if at <= stop}
        del self.mirostat[size:]

    def id(self, position: int) -> int:
        """The id of the character at ``position``."""
        return int(self._ids[position - self.start])

    def ids(self, start: int, stop: int) -> Ids:
        """The ids of positions ``start`` to ``stop``, a view."""
        return self._ids[start - self.start : stop - self.start]

    def mirostat_after(self, position: int) -> np.float32 | None:
        """Mirostat's limit after the character at ``position``; None if that was added without mirostat."""
        index = position - self.start
        limit = self.mirostat[index] if index < len(self.mirostat) else math.nan
        return None if math.isnan(limit) else np.float32(limit)

    def row(self, position: int) -> np.void:
        """The statistics of the character at ``position``."""
        self.flush()
        row: np.void = self.rows[position - self.start]
        return row

    def slice(self, start: int, stop: int) -> Rows:
        """Rows of positions ``start`` to ``stop``, a view."""
        self.flush()
        return self.rows[start - self.start : stop - self.start]

    def flush(self) -> None:
        """Compute the statistics of this branch that are missing."""
        if self.pending.branch is self:
            self.pending.flush()

    def step(self, position: int) -> Step:
        """The character at ``position`` as a :class:`Step`."""
        return Step(self, position, chr(self.rows[position - self.start]["char"]))

    def continuation(self, position: int, char: int) -> TreeBranch | None:
        """This branch or one of its children, on which the character ``char`` is at ``position``."""
        children = (child for child in self.children if child.start == position and child.size)
        found = (self, *children) if position < self.stop else children
        return next((each for each in found if each.rows[position - each.start]["char"] == char), None)

    def descendants(self) -> Iterator[TreeBranch]:
        """This branch and all that continue it, parents first."""
        waiting = [self]
        while waiting:
            branch = waiting.pop()
            yield branch
            waiting.extend(reversed(branch.children))


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """One branch of a session, for lists.

    Attributes:
        number: the argument of :meth:`Session.switch`, :meth:`Session.prune` and :meth:`Session.rename`; 0 is the root.
        parent: the number of the branch that it continues; None for the root.
        start, stop: the positions of its characters.
        text: its first characters, at most 80.
        current: whether the current text passes through it.
        before: what stands before them in its text, at most 40 characters. Only a document's list has it.
    """

    number: int
    parent: int | None
    start: int
    stop: int
    name: str
    text: str
    current: bool
    before: str = ""


class TextPath:
    """The text from the root of the tree to the end of the branch ``tip``, or to position ``end`` on it."""

    def __init__(self, tip: TreeBranch, end: int | None = None) -> None:
        self.tip = tip
        self._end = None if end == tip.stop else end  # None: the text grows with the branch
        self._path: list[TreeBranch] = []
        branch: TreeBranch | None = tip
        while branch is not None:
            self._path.append(branch)
            branch = branch.parent
        self._path.reverse()
        self._starts = [branch.start for branch in self._path]

    def __len__(self) -> int:
        return self.tip.stop if self._end is None else self._end

    def owner(self, position: int) -> TreeBranch:
        """The branch with the character before ``position``; the root for 0."""
        return self._path[max(0, bisect_right(self._starts, position - 1) - 1)]

    def holder(self, position: int) -> TreeBranch:
        """The branch with the character at ``position``."""
        return self._path[bisect_right(self._starts, position) - 1]

    def rows(self, start: int, stop: int) -> Rows:
        """Rows of positions ``start`` to ``stop``; a view if they are of one branch."""
        parts = list(self.slices(start, stop))
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [self.tip.rows[:0]])

    def slices(self, start: int, stop: int) -> Iterator[Rows]:
        """The same, branch by branch."""
        for branch, low, high in self._spans(start, stop):
            yield branch.slice(low, high)

    def ids(self, start: int, stop: int) -> Ids:
        """The ids of positions ``start`` to ``stop``. Unlike :meth:`rows` this does not compute missing statistics."""
        parts = [branch.ids(low, high) for branch, low, high in self._spans(start, stop)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [self.tip.ids(0, 0)])

    def _spans(self, start: int, stop: int) -> Iterator[tuple[TreeBranch, int, int]]:
        """The branches with positions ``start`` to ``stop``, each with the first and last (exclusive) of its own."""
        for number in range(max(0, bisect_right(self._starts, start) - 1), len(self._path)):
            branch = self._path[number]
            end = self._path[number + 1].start if number + 1 < len(self._path) else branch.stop
            low, high = max(start, branch.start), min(stop, end)
            if low < high:
                yield branch, low, high

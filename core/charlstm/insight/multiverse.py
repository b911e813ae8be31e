"""Compute everything that could come next: all continuations above a probability, and the likeliest next words.

Probabilities are the model's own, without a sampler. Those of continuations are joint ones, of all characters from the
prime on, and every continuation above the cut-off is found. A next word may come after any number of blanks, so its
probability is a sum without end; what is left out of it is bounded. All continuations of one length are computed in one
batch. Cells that the stepper holds are held while the text is read and in all continuations.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp
from charlstm.generation.prime import prepare_prime
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper, StepperState
from charlstm.generation.threads import blas_threads

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]

WIDEST = 20_000
"""Continuations of one length; a cut-off that could give more is refused."""

WORD_BATCH = 32
"""Beginnings of words that are extended at once."""

LEAST_WORD = 1e-6
"""Less likely words are not looked for."""

NEGLIGIBLE = 1e-4
"""Beginnings with less than this part of the probability of the last word that is given are not extended. With 0.005,
words lacked up to 0.2 % of their probability, which came after unlikely blanks."""

LONGEST_WORD = 40
"""Beginnings of words are given up after so many characters."""


@dataclass(slots=True)
class ContinuationNode:
    """One character of the tree of continuations.

    Attributes:
        char: the character; "" at the root.
        probability: the joint one of the whole continuation up to and with this character, given the prime.
        children: the characters that may follow, most likely first; only those above the cut-off.
    """

    char: str
    probability: float
    children: list[ContinuationNode] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"ContinuationNode({self.char!r}, probability={self.probability:.4g}, {len(self.children)} children)"

    @property
    def open(self) -> float:
        """The probability of all continuations of this one that are below the cut-off or beyond the depth."""
        return max(0.0, self.probability - sum(child.probability for child in self.children))


@dataclass(frozen=True, slots=True)
class NextWord:
    """A word that may come next, with the probability of exactly this word: its letters and then no further letter.

    Attributes:
        word: its letters; "" where the word that the prime ends with may be complete.
        probability: at most ``missed`` too low.
        missed: the probability of all beginnings that could have become this word and were not followed to its end.
    """

    word: str
    probability: float
    missed: float


@dataclass(frozen=True, slots=True, eq=False)
class ReadText:
    """A text that a model has read.

    Attributes:
        ids: ``(N,)``, the text in the model's numbers.
        state: the state of one stream after it.
        logits: ``(1, V)``, of the next character.
        clamps: the cells that the stepper held meanwhile.
    """

    model: Model
    ids: npt.NDArray[np.intp]
    state: StepperState
    logits: Floats
    clamps: tuple[Clamp, ...] = ()


def read_text(
    model: Model,
    text: str,
    *,
    stepper: Stepper | None = None,
    known: ReadText | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReadText:
    """Read a text, for :func:`multiverse` and :func:`next_words`.

    Args:
        known: a text that was read before. If ``text`` begins with it, and the same cells are held, only the rest is
            read.
        progress: called with ``(done, total)`` characters after each block; an exception ends the work.
    """
    stepper = stepper or Stepper(model)
    ids = prepare_prime(model, text).ids
    state, read = stepper.zero_state(), 0
    if (
        known is not None
        and (known.model is model and known.clamps == stepper.clamps)
        and np.array_equal(ids[: len(known.ids)], known.ids)
    ):
        state = known.state.repeat(1)
        read = len(known.ids)
    with blas_threads(1):
        logits = stepper.consume(ids[read:], state, progress).copy()
    return ReadText(model, ids, state, logits, stepper.clamps)


def multiverse(
    model: Model,
    prime: str = "",
    *,
    depth: int = 20,
    cutoff: float = 0.005,
    stepper: Stepper | None = None,
    after: ReadText | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ContinuationNode:
    """All continuations of ``prime`` of up to ``depth`` characters whose probability is at least ``cutoff``.

    Args:
        cutoff: above 0; there are at most 1 / ``cutoff`` continuations of each length.
        after: a text that was read already, in place of ``prime``.
        progress: called with ``(done, total)`` characters of depth after each; an exception ends the work.

    Raises:
        GenerationError: ``depth`` or ``cutoff`` is out of range.
    """
    if not 1 / WIDEST <= cutoff <= 1 or not 1 <= depth <= 1000:
        raise GenerationError(
            f"The cut-off must be from {1 / WIDEST:g} to 1 and the depth from 1 to 1000, not {cutoff:g} and {depth}"
        )
    stepper = stepper or Stepper(model)
    symbols = model.vocabulary.symbols
    root = ContinuationNode("", 1.0)
    after = after or read_text(model, prime, stepper=stepper)
    state, logits = after.state, after.logits
    with blas_threads(1):
        level = [root]
        for done in range(depth):
            paths = softmax(logits) * np.array([branch.probability for branch in level])[:, None]
            parents, which = np.nonzero(paths >= cutoff)
            if not len(which):
                break
            order = np.lexsort((-paths[parents, which], parents))
            parents, which = parents[order], which[order]
            below = []
            for parent, symbol in zip(parents.tolist(), which.tolist(), strict=True):
                branch = ContinuationNode(symbols[symbol], float(paths[parent, symbol]))
                level[parent].children.append(branch)
                below.append(branch)
            level, state = below, state.select(parents)
            logits = stepper.step(which, state)
            if progress is not None:
                progress(done + 1, depth)
    return root


def next_words(
    model: Model,
    prime: str = "",
    *,
    count: int = 8,
    stepper: Stepper | None = None,
    after: ReadText | None = None,
    check: Callable[[], None] | None = None,
) -> list[NextWord]:
    """The ``count`` most likely next words after ``prime``, most likely first, with their probabilities and by how much
    these may be too low.

    A word is letters, digits, apostrophes and hyphens up to the first other character. If what the model reads of
    ``prime`` ends within a word, its continuations are given, and "" if it may be complete; otherwise blanks before the
    word are allowed and belong to no word.

    Beginnings of words are extended in the order of their probability, until no other word can be more likely than the
    last that is given, and those of the words given until the rest is negligible (:data:`NEGLIGIBLE`).

    Args:
        after: a text that was read already, in place of ``prime``.
        check: called before each batch; an exception ends the work.
    """
    stepper = stepper or Stepper(model)
    symbols = model.vocabulary.symbols
    letters = np.array([_in_word(symbol) for symbol in symbols])
    blanks = np.array([symbol.isspace() for symbol in symbols])
    found: dict[str, float] = {}
    after = after or read_text(model, prime, stepper=stepper)
    started = bool(letters[after.ids[-1]])  # the model may read the last character as another
    waiting: list[_Beginning] = []
    dropped: list[tuple[str, npt.NDArray[np.float64]]] = []  # texts, and the probabilities of the next characters

    def read(text: str, started: bool, following: npt.NDArray[np.float64], state: StepperState, stream: int) -> None:
        """Note the word ``text`` and the longer beginnings that may follow with the probabilities ``following``."""
        if started:
            found[text] = found.get(text, 0.0) + float(following[~letters].sum())
        possible = letters if started else letters | blanks
        likely = possible & (following > NEGLIGIBLE * LEAST_WORD) & (len(text) < LONGEST_WORD)
        dropped.append((text, np.where(possible & ~likely, following, 0)))
        for which in np.flatnonzero(likely).tolist():
            letter = symbols[which] if letters[which] else ""
            probability = float(following[which])
            heapq.heappush(waiting, _Beginning(probability, text + letter, bool(letter), which, state, stream))

    with blas_threads(1):
        read("", started, softmax(after.logits)[0], after.state, 0)
        given: list[str] = []
        while waiting:
            if check is not None:
                check()
            given = sorted(found, key=lambda word: -found[word])[:count]
            last = max(found[given[-1]] if len(given) == count else 0.0, LEAST_WORD)
            extended: list[_Beginning] = []
            while waiting and len(extended) < WORD_BATCH and waiting[0].probability > NEGLIGIBLE * last:
                beginning = heapq.heappop(waiting)
                # What is less likely than the last word given can only add to one of the words given.
                adds = any(word.startswith(beginning.text) for word in given)
                if beginning.probability > last or adds:
                    extended.append(beginning)
            if not extended:
                break
            state = StepperState.concatenate([one.state.select([one.stream]) for one in extended])
            shares = softmax(stepper.step(np.array([one.symbol for one in extended], np.intp), state))
            for stream, one in enumerate(extended):
                read(one.text, one.started, one.probability * shares[stream], state, stream)
    best = sorted(found, key=lambda word: -found[word])[:count]
    return [NextWord(word, found[word], _missed(word, waiting, dropped, model, blanks)) for word in best]


def _missed(
    word: str,
    waiting: Sequence[_Beginning],
    dropped: Sequence[tuple[str, npt.NDArray[np.float64]]],
    model: Model,
    blanks: npt.NDArray[np.bool_],
) -> float:
    """The probability of all beginnings of ``word`` that were not extended."""
    missed = sum(each.probability for each in waiting if word.startswith(each.text))
    for text, following in dropped:
        if word.startswith(text):
            missed += float(following[blanks].sum()) if not text else 0.0
            if len(word) > len(text):
                which = model.vocabulary.index(word[len(text)])
                missed += 0.0 if which is None else float(following[which])
    return missed


@dataclass(frozen=True, slots=True, eq=False)
class _Beginning:
    """The beginning of a word: its ``probability``, its ``text``, the last ``symbol`` of it, which is not read yet, and
    the state before that.

    ``started`` is false while there are only blanks.
    """

    probability: float
    text: str
    started: bool
    symbol: int
    state: StepperState
    stream: int

    def __lt__(self, other: _Beginning) -> bool:  # a heap has the smallest first
        return self.probability > other.probability


def word_at_end(text: str) -> str:
    """The beginning of a word that ``text`` ends with, or ""."""
    start = len(text)
    while start and _in_word(text[start - 1]):
        start -= 1
    return text[start:]


def _in_word(char: str) -> bool:
    return char.isalnum() or char in "'’-"

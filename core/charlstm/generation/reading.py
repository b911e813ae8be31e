"""A model's reading of a text up to a position: figures, hidden states, probabilities of the next character.

A text may change anywhere; its reading follows later (:meth:`Reading.follow`, :meth:`Reading.read`). Characters before
a change are not read again. Characters that are cut off are kept for some time, so that going back to them reads
nothing. Positions count characters from the first of the prime, as those of a document. A reading is not thread-safe.
"""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.errors import GenerationError
from charlstm.generation.clamp import check_clamps
from charlstm.generation.generate import advance
from charlstm.generation.prime import Prime
from charlstm.generation.recipe import DEFAULT, Recipe
from charlstm.generation.rows import (
    ALTERNATIVES,
    BLOCK,
    GENERATED,
    NO_DISTRIBUTION,
    TYPED,
    Block,
    Floats,
    NextCharDistribution,
    Rows,
    Step,
    next_char_distribution,
    row_type,
    text_of,
)
from charlstm.generation.sampling import (
    REPETITION_RANGE,
    Sampler,
    check_seed,
    draw,
    key_for,
    other_seed,
    repetition_penalties,
    surprises,
    uniform,
)
from charlstm.generation.stepper import Ids, Stepper
from charlstm.generation.text_pieces import Text
from charlstm.generation.threads import blas_threads
from charlstm.text.unit_kinds import prefix, separator

if TYPE_CHECKING:
    from charlstm.model.file import Model

READ_CHUNK = 8
"""Characters that are read between two calls of ``check``: some 10 ms with a network of 2×512."""

STATE_INTERVAL = 32
"""Characters between two stored hidden states: going to a position computes fewer characters again."""

MOST_TAILS = 64
"""Texts that were cut off and are kept as they were read."""

MOST_KEPT = 100_000
"""Characters of these texts together, beyond as many as the current text has. A character takes 250 bytes: half for its
figures, half for hidden states."""

MOST_STATES = 64
"""Hidden states that :meth:`Reading.to_arrays` has, spread over the text."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text that could come next, and the mean surprise of its characters in bits."""

    text: str
    bits_per_char: float


class Tail(NamedTuple):
    """A text as it was read when ``cut`` characters of it were cut off."""

    text: Text
    blocks: list[Block]
    cut: int


class Reading:
    """A model's reading of one text with one prime. An edited prime is empty.

    Args:
        recipe: seed, sampler and held cells of what is read and drawn from now on; see :meth:`use`.
        stepper: of the same model, to share its packed weights with others of the same thread.
        progress: called with ``(done, total)`` characters of a long prime; an exception that it raises ends the work.

    Attributes:
        prime: the prime as read; ``prime_length`` counts its characters.
    """

    def __init__(
        self,
        model: Model,
        prime: Prime,
        recipe: Recipe = DEFAULT,
        *,
        stepper: Stepper | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._begin(model, prime, recipe, stepper)
        self._read_prime(progress)

    def _begin(self, model: Model, prime: Prime, recipe: Recipe, stepper: Stepper | None) -> None:
        self.model, self.prime, self.prime_length = model, prime, len(prime.text)
        self._symbols = tuple(model.vocabulary.symbols)
        self._recipe: Recipe | None = None
        self.use(recipe)
        self._set_stepper(stepper or Stepper(model))
        self._text = Text.of(prime.text, TYPED)  # read from its beginning on
        self._blocks: list[Block] = []  # all but the last one are full
        self._tails: deque[Tail] = deque(maxlen=MOST_TAILS)
        self._ahead: list[Tail] | None = None  # the tails that go on where the text ends; None: to be found

    def _set_stepper(self, stepper: Stepper) -> None:
        self._own_stepper = stepper
        self._state = stepper.zero_state()
        self._at: int | None = None  # position of the state, and of the logits in their row; None: not in this text
        self._logits = np.empty((BLOCK, len(self._symbols)), np.float32)
        self._weights = np.empty_like(self._logits)

    @blas_threads(1)
    def _read_prime(self, progress: Callable[[int, int], None] | None = None) -> None:
        self._stepper.consume(self.prime.ids, self._state, progress)
        self._first = self._state.pack()
        self._compute_logits(0)

    def fork(self, stepper: Stepper) -> Self:
        """A copy for another thread, with a stepper of its own and without tails."""
        other = copy.copy(self)
        other._set_stepper(stepper)
        other._text, other._tails, other._ahead = self.text, deque(maxlen=MOST_TAILS), None
        other._cut(self._blocks, self._size)
        return other

    # -- settings ------------------------------------------------------------------------------------------------

    @property
    def recipe(self) -> Recipe:
        assert self._recipe is not None
        return self._recipe

    def use(self, recipe: Recipe) -> None:
        """Read and draw with another recipe from now on. Figures so far stay; held cells also act on up to 32
        characters before a position that are computed again.

        Raises :class:`GenerationError` for a wrong seed or sample, or a cell that the model does not have.
        """
        if recipe == self._recipe:
            return
        check_clamps(recipe.clamps, self.model.config.num_layers, self.model.config.hidden_size)
        seed, sample = check_seed(recipe.seed), arguments.number("sample", recipe.sample, 0, 2**63)
        self._key = key_for(seed, sample)
        if self._recipe is None or recipe.settings != self._recipe.settings:
            self._sampler = Sampler(recipe.settings)
        self._clamps = tuple(recipe.clamps)
        self._recipe = Recipe(seed, sample, recipe.settings, self._clamps)

    @property
    def stepper(self) -> Stepper:
        """To share with another reading of this thread."""
        return self._own_stepper

    @property
    def _stepper(self) -> Stepper:
        """The stepper with the held cells of this text; others may share it."""
        self._own_stepper.clamps = self._clamps
        return self._own_stepper

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 of the model's weights."""
        return self.model.digest()

    # -- following a text ----------------------------------------------------------------------------------------

    @property
    def text(self) -> Text:
        """The last given text and the characters drawn since; its beginning is read."""
        if len(self._text) < self.read_to:
            self._text += Text.of(text_of(self.rows(len(self._text), self.read_to)), GENERATED)
        return self._text

    @property
    def read_to(self) -> int:
        """How many characters were read, with those of the prime."""
        return self.prime_length + self._size

    @property
    def _size(self) -> int:
        """How many characters after the prime were read."""
        if not self._blocks:
            return 0
        last = self._blocks[-1]
        return last.start + last.size

    def fits(self, text: Text, prime_length: int) -> bool:
        """Whether a text begins with this prime; else it needs another reading."""
        return prime_length == self.prime_length and text.same_start(self._text, sources=False) >= prime_length

    def follow(self, text: Text) -> int:
        """Go on with another text, which :meth:`fits`. The beginning that it shares with the current text,
        or with a tail, stays read; the rest of the current text becomes a tail. Returns :attr:`read_to`."""
        before, read = self.text, self.read_to
        same = min(read, text.same_start(before, sources=False))
        if same < read or (self._tails and len(text) > read):
            blocks, same_tail = self._blocks, same
            for tail in self._tails:
                if (common := text.same_start(tail.text, sources=False)) > same_tail:
                    blocks, same_tail = tail.blocks, common
            if same < read:
                self._keep(before.part(0, read), read - same, len(text))
            if same < read or same_tail > read:
                self._cut(blocks, same_tail - self.prime_length)
        self._text, self._ahead = text, None
        return self.read_to

    def _keep(self, text: Text, cut: int, length: int) -> None:
        """Keep a text, of which the last ``cut`` characters are cut off now, as a tail, unless one begins with it."""
        if not any(tail.text.starts_with(text) for tail in self._tails):
            self._tails.append(Tail(text, self._blocks, cut))
        while self._tails and sum(tail.cut for tail in self._tails) > length + MOST_KEPT:
            self._tails.popleft()

    def _cut(self, blocks: list[Block], size: int) -> None:
        """Let the first ``size`` characters of ``blocks`` be what was read. The given blocks do not change."""
        if self._blocks:
            self._blocks[-1].fill()
        whole, rest = divmod(size, BLOCK)
        head = [blocks[whole].head(rest, self._logits, self._weights)] if rest else []
        self._blocks, self._at = blocks[:whole] + head, None

    def read(self, until: int, check: Callable[[], object] = lambda: None) -> None:
        """Read the text up to position ``until``. ``check`` is called every :data:`READ_CHUNK` characters; an exception
        that it raises ends the work, and what was read by then stays."""
        text, encode = self.text, self.model.vocabulary.encode
        until = min(until, len(text))
        while (here := self.read_to) < until:
            check()
            stop = min(until, here + READ_CHUNK)
            ids, _ = encode(text.read(here, stop))
            columns = (each.tolist() for each in (ids, text.sources(here, stop), text.codes(here, stop)))
            for which, source, char in zip(*columns, strict=True):
                self._add(which, source, char, self._weights_at(self._size))

    # -- what was read -------------------------------------------------------------------------------------------

    def rows(self, start: int, stop: int) -> Rows:
        """The figures of the characters ``start`` to ``stop``, as far as they are read and after the prime."""
        first, last = max(0, start - self.prime_length), min(self._size, stop - self.prime_length)
        if last <= first:
            return np.empty(0, row_type(len(self._symbols)))
        self._blocks[-1].fill()
        parts = self._slices(first, last)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _slices(self, first: int, last: int) -> list[Rows]:
        """The rows from one position after the prime to another, without computing their statistics."""
        blocks = self._blocks[first // BLOCK : -(-last // BLOCK)]
        return [block.rows[max(0, first - block.start) : last - block.start] for block in blocks]

    def step_at(self, position: int) -> Step:
        """A character with its figures. Raises :class:`GenerationError` for a position that is not read."""
        offset = position - self.prime_length
        if not 0 <= offset < self._size:
            raise GenerationError(f"There is no character {offset}: the text has {self._size} of them")
        return Step(self._blocks[offset // BLOCK], offset)

    def distribution(self, position: int, count: int = ALTERNATIVES) -> NextCharDistribution:
        """What could come at ``position``, with at most ``count`` alternatives; :data:`NO_DISTRIBUTION` where the text
        is not read up to there. Draws nothing."""
        offset = position - self.prime_length
        if not 0 <= offset <= self._size:
            return NO_DISTRIBUTION
        return next_char_distribution(self._logits_at(offset), self._weights_at(offset), self._symbols, count)

    # -- drawing -------------------------------------------------------------------------------------------------

    def draw(self) -> str:
        """Draw a character at the end of what was read, and read it."""
        offset = self._size
        weights = self._weights_at(offset)
        which = draw(weights, uniform(self._key, offset))
        char = self._symbols[which]
        if self._ahead is None:
            self._ahead = [tail for tail in self._tails if tail.text.starts_with(self.text)]
        if self._ahead:
            end = self.read_to
            self._ahead = [tail for tail in self._ahead if tail.text.read(end, end + 1) == char]
        if self._ahead:  # the character was read here before: its figures stay
            self._cut(self._ahead[0].blocks, offset + 1)
            self._advance(which, offset + 1)
        else:
            self._add(which, GENERATED, ord(char), weights)
        return char

    def draw_at(self, position: int, seed: int | None = None) -> str:
        """The character that is drawn at ``position``, up to which the text is read, by ``seed`` or that of the
        recipe. Changes nothing."""
        offset = self._offset(position)
        key = self._key if seed is None else key_for(check_seed(seed), self.recipe.sample)
        return self._symbols[draw(self._weights_at(offset), uniform(key, offset))]

    def other_seed(self, position: int) -> int | None:
        """The next seed that draws a different character at ``position``; None if the settings allow none, or one so
        rarely that no seed draws it."""
        which, offset = self.step_at(position).id, position - self.prime_length
        return other_seed(self._weights_at(offset), which, self.recipe.seed, self.recipe.sample, offset)

    @blas_threads(1)
    def suggest(
        self, position: int, length: int, check: Callable[[int], object] = lambda done: None, *,
        drawn_at: int | None = None,
    ) -> str:  # fmt: skip
        """What would be drawn at ``position``, up to which the text is read; changes nothing.

        The repetition penalty, which depends on the text before, is ignored.

        Args:
            check: called with the number of characters so far; an exception that it raises ends the work.
            drawn_at: the offset whose random numbers are used, by default that of ``position``; for a reading of only
                the end of a text, whose own offsets begin there.
        """
        found: list[str] = []
        for which, _ in islice(self._ways(position, 1, 0, drawn_at), length):
            check(len(found))
            found.append(self._symbols[which[0]])
        return "".join(found)

    @blas_threads(1)
    def ways_on(
        self,
        position: int,
        count: int,
        length: int,
        *,
        first: int = 1,
        lines: int | None = None,
        grown: Callable[[Sequence[Continuation]], object] = lambda continuations: None,
        drawn_at: int | None = None,
    ) -> list[Continuation]:
        """Different texts that could come at ``position``, which advance together by matrix products; changes nothing.

        Text n uses the random numbers of sample + n. As for :meth:`suggest`, the repetition penalty is ignored.

        Args:
            count: how many texts, at least 1; there are fewer if some are equal.
            length: most characters of each. One that reaches it ends with its last whole word.
            first: the first n.
            lines: each text ends after so many lines; None for no limit. With a model of units it ends with a unit.
            grown: called every 8 characters with the texts so far. If it returns true, these texts are the result; an
                exception that it raises ends the work.
            drawn_at: as for :meth:`suggest`.
        """
        units = self.model.text_options.units
        end = None if units is None else separator(units)
        texts, bits = [""] * count, np.zeros((length, count))
        going = set(range(count))

        def made(number: int, text: str) -> Continuation:
            """A continuation or its beginning so far, with the mean surprise of these characters."""
            return Continuation(text, float(bits[: len(text), number].sum()) / max(1, len(text)))

        def found() -> list[Continuation]:
            return [made(number, text) for number, text in enumerate(texts)]

        for step, (which, logits) in enumerate(islice(self._ways(position, count, first, drawn_at), length)):
            bits[step] = np.take_along_axis(surprises(logits), which[:, None], 1)[:, 0]
            for number in sorted(going):
                texts[number] += self._symbols[which[number]]
                if end is not None and texts[number].endswith(end):
                    texts[number] = texts[number].removesuffix(prefix(units or ""))
                    going.remove(number)
                elif end is None and lines is not None and _has_lines(texts[number], lines):
                    going.remove(number)
            if step % 8 == 7 and grown(found()):
                return found()
            if not going:
                break
        ended = found()
        for number in going:
            ended[number] = made(number, re.sub(r"(?<=\S)\s+\S*$", "", texts[number]))
        return list({each.text: each for each in ended}.values())

    def _ways(self, position: int, count: int, first: int, drawn_at: int | None) -> Iterator[tuple[Ids, Floats]]:
        """Advance ``count`` texts from ``position`` on."""
        offset, recipe = self._offset(position), self.recipe
        logits = self._logits_at(offset)[None].repeat(count, 0)
        keys = np.array([key_for(recipe.seed, recipe.sample + first + n) for n in range(count)], np.uint64)
        sampler = Sampler(replace(recipe.settings, repetition=0.0))
        return advance(
            self._stepper, self._state.repeat(count), logits, keys, sampler, offset if drawn_at is None else drawn_at
        )

    def _offset(self, position: int) -> int:
        """Characters from the end of the prime to a position. Raises :class:`GenerationError` where the text is not
        read up to there."""
        offset = position - self.prime_length
        if not 0 <= offset <= self._size:
            raise GenerationError(f"The text has no position {offset}: it ends at {self._size}")
        return offset

    # -- as arrays -----------------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, Any]:
        """What was read: figures and some hidden states."""
        interval = STATE_INTERVAL
        while self._size // interval > MOST_STATES:
            interval *= 2
        states = {at: state for at in range(0, self._size + 1, interval) if (state := self._stored(at)) is not None}
        return {
            "prime": self.prime.ids, "rows": self.rows(0, self.read_to), "places": np.array([*states]),
            "states": np.array([*states.values()]),
        }  # fmt: skip

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[Any]], model: Model, prime: Prime, recipe: Recipe, *, stepper: Stepper
    ) -> Self:
        """The inverse of :meth:`to_arrays`. Raises :class:`ValueError` or :class:`KeyError` for arrays of another model
        or prime, or damaged ones."""
        rows, states, offsets = arrays["rows"], arrays["states"], arrays["places"].tolist()
        reading = cls.__new__(cls)
        reading._begin(model, prime, recipe, stepper)
        symbols = len(model.vocabulary)
        shape = (len(offsets), *reading._state.pack().shape)
        if rows.dtype != row_type(symbols) or states.shape != shape or not np.array_equal(prime.ids, arrays["prime"]):
            raise ValueError("it is of another model or another prime")
        which = max(rows[name].max(initial=0) for name in ("id", "ids"))
        if which >= symbols or not np.isfinite(states).all() or offsets[:1] != [0] or max(offsets) > len(rows):
            raise ValueError("it is damaged")
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            block = Block.of(start, part, reading._symbols, reading._logits, reading._weights)
            reading._blocks.append(block)
        reading._first = states[0]
        for at, state in zip(offsets[1:], states[1:], strict=True):
            reading._blocks[(at - 1) // BLOCK].states[at] = state
        reading._text += Text.of(text_of(rows), rows["source"])
        return reading

    # -- internals -----------------------------------------------------------------------------------------------

    def _add(self, which: int, source: int, char: int, weights: Floats) -> None:
        """Read ``char``, which is symbol ``which`` of the model, at the end; ``weights`` are the sampler's there."""
        size = self._size
        if size == BLOCK * len(self._blocks):
            self._blocks.append(Block(size, self._symbols, self._logits, self._weights))
        self._weights[size % BLOCK] = weights
        self._at = None  # if this is interrupted, the state has to be computed again
        self._blocks[-1].append(which, source, char)
        self._advance(which, size + 1)

    @blas_threads(1)
    def _advance(self, which: int, position: int) -> None:
        self._stepper.advance(which, self._state)
        self._store_state(position)
        if position % BLOCK == 0:
            self._blocks[-1].fill()  # the next block overwrites the logits
        self._compute_logits(position)

    def _compute_logits(self, position: int) -> None:
        row = position % BLOCK
        self._stepper.logits(self._state, out=self._logits[row : row + 1])
        self._at = position

    def _logits_at(self, position: int) -> Floats:
        """The logits at a position after the prime, ``(V,)``: a buffer that is valid until the next call."""
        if self._at != position:
            self._replay(position)
        logits: Floats = self._logits[position % BLOCK]
        return logits

    @blas_threads(1)
    def _replay(self, goal: int) -> None:
        """Compute the hidden state at a position after the prime, by the same steps as the first time."""
        if self._blocks:
            self._blocks[-1].fill()
        begin = goal - goal % STATE_INTERVAL
        while (stored := self._stored(begin)) is None:
            begin -= STATE_INTERVAL
        here, self._at = self._at, None
        if here is None or not begin <= here <= goal:
            self._state.unpack(stored, self._matched_at(begin))
            here = begin
        for which in self._ids(here, goal).tolist():
            self._stepper.advance(which, self._state)
            here += 1
            self._store_state(here)
        self._compute_logits(goal)

    def _matched_at(self, offset: int) -> int:
        """How much of a separator of units the text up to ``offset`` ends with."""
        back = self._stepper.separator_length
        if not back:
            return 0
        before = self.prime.ids[-back - 1 :]
        return self._stepper.matched_by(np.concatenate([before, self._ids(max(0, offset - back), offset)]))

    def _ids(self, start: int, stop: int) -> Ids:
        parts = [rows["id"] for rows in self._slices(start, stop)] if start < stop else []
        return np.concatenate([np.empty(0, row_type(len(self._symbols))["id"]), *parts])

    def _stored(self, position: int) -> Floats | None:
        """The stored state at a position after the prime."""
        if position <= 0 or position > self._size:
            return None if position else self._first
        return self._blocks[(position - 1) // BLOCK].states.get(position)

    def _store_state(self, position: int) -> None:
        if position % STATE_INTERVAL:
            return
        states = self._blocks[(position - 1) // BLOCK].states
        if position not in states:
            states[position] = self._state.pack()

    def _weights_at(self, position: int) -> Floats:
        """The sampler's weights at a position after the prime, ``(V,)``."""
        logits, sampler = self._logits_at(position), self._sampler
        return sampler.weights(logits, self._penalties(position) if sampler.needs_history else None)

    def _penalties(self, position: int) -> Floats:
        """What the repetition penalty subtracts from the logits, ``(V,)``."""
        history = self._ids(max(0, position - REPETITION_RANGE), position)
        if len(history) < REPETITION_RANGE:
            start = self.prime.ids[-(REPETITION_RANGE - len(history)) :].astype(history.dtype)
            history = np.concatenate([start, history])
        return repetition_penalties(history, len(self._symbols), self.recipe.settings.repetition)


def _has_lines(text: str, lines: int) -> bool:
    """Whether ``text`` ends with a line break after so many lines that are not empty."""
    return text.endswith("\n") and sum(bool(line.strip()) for line in text.split("\n")) >= lines

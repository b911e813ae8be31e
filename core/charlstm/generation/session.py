"""A session: a model played one character at a time, which can be rewound, sent down another branch and explained.

``for step in session.stream()`` is the whole of it. Not thread-safe: one thread plays a session. Saving is in
:mod:`charlstm.generation.saving`, exporting in :mod:`charlstm.generation.saving`.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from charlstm.errors import GenerationError
from charlstm.generation.prime import Prime, prepare_prime
from charlstm.generation.sampling import (
    Floats,
    Sampler,
    SamplerSettings,
    draw,
    key_for,
    longest_repeat,
    mirostat_start,
    mirostat_update,
    repetition_penalties,
    surprises,
    uniform,
)
from charlstm.generation.stepper import Stepper, StepperState
from charlstm.generation.threads import blas_threads
from charlstm.generation.tree import (
    BLOCK,
    CHOSEN,
    GENERATED,
    STATE_INTERVAL,
    TYPED,
    Alternative,
    Branch,
    Line,
    Pending,
    Rows,
    Step,
    fill_statistics,
    row_alternatives,
)
from charlstm.generation.tree import BranchInfo as BranchInfo
from charlstm.generation.tree import NextCharDistribution as NextCharDistribution

if TYPE_CHECKING:
    from charlstm.model.file import Model

STATE_BYTES = 150_000_000
"""Kept hidden states take at most so much; beyond it every second one is let go, and rewinding replays further."""


class Session:
    """A tree of generated text with a cursor on one line of it.

    Positions count characters after the prime: position p is before the character that has p others before it.

    Args:
        model: what to play.
        prime: what to start from; the model's text options apply. Empty: see :func:`prepare_prime`.
        seed: any whole number. The same seed, settings and prime give the same text on one machine.
        sample: which of many texts of one seed.
        settings: how characters are chosen; assign to :attr:`settings` at any time.
        stepper: of the same model, to share packed weights with another session.
        progress: told ``(done, total)`` characters of a long prime; may raise to give up.

    Attributes:
        unknown: characters of the prime that the model has never seen, with their counts; they were left out.
        prime: what was used of the prime; ``prime_ids`` ``(N,)`` is what the model was fed, never empty.
        root, tree: the branch that all others grow from, and all branches by number, for :mod:`saving`.
        weights_digest: of the model, once :mod:`saving` has computed it.
    """

    def __init__(
        self,
        model: Model,
        prime: str = "",
        *,
        seed: int = 0,
        sample: int = 0,
        settings: SamplerSettings | None = None,
        stepper: Stepper | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        prepared = prepare_prime(model, prime)
        self._start(model, prepared, seed, sample, settings or SamplerSettings(), stepper or Stepper(model))
        self._consume_prime(progress)

    @classmethod
    def restored(
        cls,
        model: Model,
        prime: Prime,
        *,
        seed: int,
        sample: int,
        settings: SamplerSettings,
        stepper: Stepper,
        tree: dict[int, Branch],
        tip: Branch,
        position: int,
    ) -> Session:
        """A session around a tree that stands already; what is missing of its hidden states is worked out again."""
        session = cls.__new__(cls)
        session._start(model, prime, seed, sample, settings, stepper)
        session.tree, session.root = tree, tree[0]
        session._pending = session.root.pending
        session._numbers = itertools.count(max(tree) + 1)
        session._kept = sum(len(branch.states) for branch in tree.values())
        session._line, session._position = Line(tip), position
        if 0 not in session.root.states:
            session._consume_prime()
        session._state_position = None
        return session

    def _start(
        self, model: Model, prime: Prime, seed: int, sample: int, settings: SamplerSettings, stepper: Stepper
    ) -> None:
        self.model = model
        self.prime, self.unknown = prime.text, prime.unknown
        self.prime_ids = prime.ids
        self.weights_digest: str | None = None
        self.sample = sample
        self.seed = seed
        self.settings = settings
        self._symbols = tuple(model.vocabulary.symbols)
        self._stepper = stepper
        self._pending = Pending(len(self._symbols))
        self.root = Branch(None, 0, self._symbols, self._pending)
        self._numbers = itertools.count(1)
        self.tree = {0: self.root}
        self._line = Line(self.root)
        self._position = 0
        self._spacing = STATE_INTERVAL  # between kept states
        self._kept = 1  # how many there are
        self._state: StepperState = stepper.zero_state()
        self._no_repeat_before = 0  # the text ends in no repeat to be punished as long as the cursor is before this
        self._state_position: int | None = None  # where on the line the state stands; None: somewhere else

    @blas_threads(1)
    def _consume_prime(self, progress: Callable[[int, int], None] | None = None) -> None:
        self._state = self._stepper.zero_state()
        self._stepper.consume(self.prime_ids, self._state, progress)
        self.root.states[0] = self._state.pack()
        self._arrive(0)

    # -- settings ------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> SamplerSettings:
        """How the next character is chosen. Assigning changes nothing that stands."""
        return self._sampler.settings

    @settings.setter
    def settings(self, settings: SamplerSettings) -> None:
        self._sampler = Sampler(settings)
        self._no_repeat_before = 0

    @property
    def seed(self) -> int:
        """The random seed. Assigning another gives other characters from the cursor on."""
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        if not isinstance(seed, int) or not -(2**63) <= seed < 2**64:
            raise GenerationError(f"The seed is a whole number of at most 64 bits, not {str(seed)[:50]}")
        self._seed = seed
        self._key = key_for(seed, self.sample)

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def tip(self) -> Branch:
        """The branch that the current line ends with."""
        return self._line.tip

    @property
    def position(self) -> int:
        """Where the cursor is: 0 is directly after the prime."""
        return self._position

    def __len__(self) -> int:
        """How many characters the current line has, also after the cursor."""
        return len(self._line)

    @property
    def text(self) -> str:
        """The current line up to the cursor, without the prime."""
        return self.read(0, self._position)

    def read(self, start: int = 0, stop: int | None = None) -> str:
        """Characters ``start`` to ``stop`` of the current line, also those after the cursor."""
        return self.model.vocabulary.decode(self.rows(start, stop)["id"])

    def rows(self, start: int = 0, stop: int | None = None) -> Rows:
        """The compact rows (:func:`charlstm.generation.tree.row_type`) of a stretch: for colouring much at once."""
        start, stop, _ = slice(start, stop).indices(len(self._line))
        return self._line.rows(start, stop)

    def at(self, position: int) -> Step:
        """The character at ``position`` of the current line."""
        if not 0 <= position < len(self._line):
            raise GenerationError(f"There is no character {position}: the text has {len(self._line)} of them")
        return self._line.holder(position).step(position)

    def steps(self, start: int = 0, stop: int | None = None) -> list[Step]:
        """The characters of a stretch of the current line."""
        start, stop, _ = slice(start, stop).indices(len(self._line))
        return [self.at(position) for position in range(start, stop)]

    def next_char_distribution(self) -> NextCharDistribution:
        """What may come at the cursor, without drawing."""
        logits = self._logits()
        weights = self._weights(logits)
        row = np.zeros(1, self.root.rows.dtype)
        fill_statistics(row, logits[None], weights[None])
        probabilities = np.exp(logits - logits.max())
        kept = weights > 0
        share = float(probabilities[kept].sum() / probabilities.sum())
        alternatives = row_alternatives(row[0], self._symbols)
        return NextCharDistribution(alternatives, float(row[0]["entropy"]), int(kept.sum()), len(self._symbols), share)

    def peek(self) -> tuple[Alternative, ...]:
        """The most likely characters at the cursor under the settings of now, without drawing."""
        return self.next_char_distribution().alternatives

    # -- playing -------------------------------------------------------------------------------------------------

    def step(self) -> Step:
        """Draw the next character, put it at the cursor and go past it.

        Where the line already goes on with the character that is drawn, the cursor only walks along; where it does
        not, a new branch begins, and the old continuation stays.
        """
        logits = self._logits()
        weights = self._weights(logits)
        return self._put(draw(weights, uniform(self._key, self._position)), weights, GENERATED)

    def stream(self, length: int | None = None, *, stop: str | Sequence[str] = ()) -> Iterator[Step]:
        """Draw characters one by one until ``length`` are drawn or they end with a string of ``stop``.

        The string is part of the text. Nothing is drawn ahead: whatever is changed between two characters acts on the
        next.
        """
        strings = stop_strings(stop)
        longest = max(map(len, strings), default=0)
        recent = ""
        for _ in itertools.count() if length is None else range(length):
            step = self.step()
            yield step
            if strings:
                recent = (recent + step.char)[-longest:]
                if recent.endswith(strings):
                    return

    @blas_threads(1)
    def suggest(self, length: int) -> str:
        """How the text would go on from the cursor with the settings and dice of now, without going there.

        Mirostat and repetition control, which look back, are left aside.
        """
        sampler = Sampler(replace(self.settings, mirostat=None, repetition=0.0))
        logits = self._logits()
        state = self._stepper.zero_state()
        state.unpack(self._state.pack())
        ids: list[int] = []
        for position in range(self._position, self._position + length):
            ids.append(draw(sampler.weights(logits), uniform(self._key, position)))
            self._stepper.advance(ids[-1], state)
            logits = self._stepper.logits(state)[0]
        return "".join(self._symbols[which] for which in ids)

    def choose(self, char: str) -> Step:
        """Put ``char`` at the cursor instead of drawing. What followed before stays as a branch.

        Raises:
            GenerationError: ``char`` is not one character that the model knows.
        """
        which = self.model.vocabulary.index(char) if len(char) == 1 else None
        if which is None:
            raise GenerationError(
                f"The model has never seen {char!r}: choose one of its {len(self._symbols)} characters"
            )
        return self._put(which, self._weights(self._logits()), CHOSEN)

    def type(self, text: str) -> dict[str, int]:
        """Put the user's own text at the cursor, scored like any other; the model's text options apply.

        Returns the characters that the model has never seen, with their counts; they are left out.
        """
        prepared = prepare_prime(self.model, text, empty_is_fine=True)
        for which in prepared.ids.tolist():
            self._put(which, self._weights(self._logits()), TYPED)
        return prepared.unknown

    def rewind(self, position: int) -> None:
        """Move the cursor to before the character at ``position``; nothing is lost.

        Raises:
            GenerationError: the current line has no such position.
        """
        if not 0 <= position <= len(self._line):
            raise GenerationError(f"The text has no position {position}: it ends at {len(self._line)}")
        if position != self._position:
            self._pending.flush()
            self._position = position
            self._no_repeat_before = 0

    # -- branches ------------------------------------------------------------------------------------------------

    def branches(self) -> list[BranchInfo]:
        """All branches, the root first, each before those that leave it."""
        numbers = {id(branch): number for number, branch in self.tree.items()}
        on_line = set()
        branch: Branch | None = self._line.tip
        while branch is not None:
            on_line.add(id(branch))
            branch = branch.parent
        infos = []
        for branch in self.root.descendants():
            parent = None if branch.parent is None else numbers[id(branch.parent)]
            begin = branch.slice(branch.start, min(branch.stop, branch.start + 80))
            text = self.model.vocabulary.decode(begin["id"])
            number, current = numbers[id(branch)], id(branch) in on_line
            infos.append(BranchInfo(number, parent, branch.start, branch.stop, branch.name, text, current))
        return infos

    def switch(self, number: int, position: int | None = None) -> None:
        """Make the branch ``number`` the end of the current line; the cursor goes to its end, or to ``position``."""
        line = Line(self._branch(number))
        if position is not None and not 0 <= position <= len(line):
            raise GenerationError(f"That branch has no position {position}: it ends at {len(line)}")
        self._pending.flush()
        self._go(line.tip)
        self._position = len(line) if position is None else position

    def prune(self, number: int) -> None:
        """Remove the branch ``number`` and all that grows from it. A line that loses its end falls back to the parent.

        Raises:
            GenerationError: there is no such branch, or it is the root.
        """
        branch = self._branch(number)
        if branch.parent is None:
            raise GenerationError("The first branch cannot be removed: the others grow from it")
        self._pending.flush()
        if self._pending.branch in (doomed := list(branch.descendants())):
            self._pending.branch = None
        gone = {id(one) for one in doomed}
        self._kept -= sum(len(one.states) for one in doomed)
        branch.parent.children.remove(branch)
        self.tree = {number: one for number, one in self.tree.items() if id(one) not in gone}
        if id(self._line.tip) in gone:
            self._go(branch.parent)
            self._position = min(self._position, branch.start)

    def rename(self, number: int, name: str) -> None:
        """Give the branch ``number`` a name of at most 200 characters."""
        self._branch(number).name = unicodedata.normalize("NFC", name)[:200]

    def _branch(self, number: int) -> Branch:
        branch = self.tree.get(number)
        if branch is None:
            raise GenerationError(f"There is no branch {number}: take one of {', '.join(map(str, self.tree))}")
        return branch

    # -- inside --------------------------------------------------------------------------------------------------

    def _go(self, tip: Branch) -> None:
        """Make the line that ends with ``tip`` the current one; the state may then stand elsewhere."""
        self._line = Line(tip)
        self._state_position = None
        self._no_repeat_before = 0

    def _weights(self, logits: Floats) -> Floats:
        sampler = self._sampler
        if not (sampler.needs_history or sampler.needs_mu):
            return sampler.weights(logits)
        penalties = self._penalties(sampler.settings) if sampler.needs_history else None
        return sampler.weights(logits, penalties, self._mu())

    def _penalties(self, settings: SamplerSettings) -> Floats | None:
        """What repetition control subtracts from the logits at the cursor; None for nothing."""
        if self._position < self._no_repeat_before:
            return None
        back, free = settings.repetition_range, settings.repetition_length
        history = self._line.ids(max(0, self._position - back), self._position)
        if len(history) < back:
            start = self.prime_ids[-(back - len(history)) :].astype(history.dtype)
            history = np.concatenate([start, history])
        lacking = free - longest_repeat(history, len(self._symbols), free)
        if lacking:
            self._no_repeat_before = self._position + lacking  # a repeat grows by one character at a time
            return None
        return repetition_penalties(history, len(self._symbols), settings.repetition, free, back)

    def _mu(self) -> np.float32 | None:
        """Mirostat's bound at the cursor: what the character before left, or the start. None when it is off."""
        target = self.settings.mirostat
        if target is None:
            return None
        if self._position:
            owner = self._line.owner(self._position)
            mu: np.float32 = owner.rows[self._position - 1 - owner.start]["mu"]
            if not np.isnan(mu):
                return mu
        return mirostat_start(target)

    def _logits(self) -> Floats:
        """The logits at the cursor, ``(V,)``, a row that stays until the next character is put."""
        if self._state_position != self._position:
            self._replay()
        logits: Floats = self._pending.logits[self._pending.count]
        return logits

    @blas_threads(1)
    def _replay(self) -> None:
        """Bring the state to the cursor, by the very steps that first led there."""
        self._pending.flush()
        line, goal = self._line, self._position
        kept = goal - goal % STATE_INTERVAL
        while kept not in line.owner(kept).states:
            kept -= STATE_INTERVAL
        here, self._state_position = self._state_position, None  # as in _forward
        if here is None or not kept <= here <= goal:
            self._state.unpack(line.owner(kept).states[kept])
            here = kept
        for which in line.rows(here, goal)["id"].astype(np.intp).tolist():
            self._stepper.advance(which, self._state)
            here += 1
            self._keep_state(here)
        self._arrive(goal)

    def _arrive(self, position: int) -> None:
        pending = self._pending
        self._stepper.logits(self._state, out=pending.logits[pending.count : pending.count + 1])
        self._state_position = position

    def _put(self, which: int, weights: Floats, source: int) -> Step:
        """The character ``which`` at the cursor: along the line where it stands already, else as something new."""
        line, position, pending = self._line, self._position, self._pending
        owner = line.tip
        if position < owner.stop or position == owner.start:
            owner = line.owner(position)
            existing = [branch for branch, known in owner.continuations(position) if known == which]
            if existing:
                return self._walk(existing[0], which)
            if position < owner.stop:
                owner = self._new_branch(owner, position)
        if pending.branch is not owner:
            pending.flush()
            pending.branch = owner
        pending.weights[pending.count] = weights
        owner.append(which, self._next_mu(which), source)
        pending.count += 1
        self._forward(which)
        if pending.count == BLOCK:
            pending.flush()
        return Step(owner, position, self._symbols[which])

    def _walk(self, branch: Branch, which: int) -> Step:
        """Past a character that stands already, on ``branch``."""
        position = self._position
        if position >= len(self._line) or self._line.holder(position) is not branch:
            self._line = Line(branch)
        self._forward(which)
        return branch.step(position)

    def _new_branch(self, parent: Branch, position: int) -> Branch:
        branch = Branch(parent, position, self._symbols, self._pending)
        parent.children.append(branch)
        self.tree[next(self._numbers)] = branch
        self._line = Line(branch)
        return branch

    @blas_threads(1)
    def _forward(self, which: int) -> None:
        self._state_position = None  # interrupted in here, the state is half-way: it is then worked out anew
        self._position += 1
        self._stepper.advance(which, self._state)
        self._keep_state(self._position)
        self._arrive(self._position)

    def _next_mu(self, which: int) -> float:
        settings, mu = self.settings, self._mu()
        if settings.mirostat is None:
            return math.nan
        surprise = surprises(self._logits())[which]
        return float(mirostat_update(mu, surprise, settings.mirostat, settings.mirostat_rate))

    def _keep_state(self, position: int) -> None:
        if position % self._spacing:
            return
        states = self._line.owner(position).states
        if position not in states:
            states[position] = self._state.pack()
            self._thin_out()

    def _thin_out(self) -> None:
        """Hold the memory of kept states: let every second go once there are too many."""
        self._kept += 1
        size = self.root.states[0].nbytes
        if self._kept * size <= STATE_BYTES:
            return
        self._spacing *= 2
        self._kept = 0
        for branch in self.tree.values():
            branch.states = {at: state for at, state in branch.states.items() if at % self._spacing == 0}
            self._kept += len(branch.states)


def stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    strings = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(strings):
        raise GenerationError("A stop string needs at least one character")
    return strings

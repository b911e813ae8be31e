"""A session: generate text one character at a time, rewind, branch, and read what the model predicted.

``for step in session.stream()`` generates. A session is not thread-safe. Saving and exporting are in
:mod:`charlstm.generation.session_file`.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from charlstm import arguments
from charlstm.display import short
from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp, check_clamps
from charlstm.generation.colouring import MOST_CHARS, surprise_html
from charlstm.generation.prime import Prime, prepare_prime
from charlstm.generation.recipe import Recipe
from charlstm.generation.sampler_settings import SamplerKeywords, SamplerSettings, changed_settings
from charlstm.generation.sampling import (
    Floats,
    Sampler,
    check_seed,
    draw,
    draws,
    key_for,
    mirostat_start,
    mirostat_update,
    other_seed,
    penalties_after,
    surprises,
    uniform,
    uniforms,
)
from charlstm.generation.stepper import Stepper, StepperState
from charlstm.generation.threads import blas_threads
from charlstm.generation.tree import (
    ALTERNATIVES,
    BLOCK,
    CHOSEN,
    GENERATED,
    STATE_INTERVAL,
    TYPED,
    Alternative,
    Pending,
    Rows,
    Step,
    TextPath,
    TreeBranch,
    fill_statistics,
    in_bits,
    read_as_themselves,
    row_alternatives,
    text_of,
)
from charlstm.generation.tree import BranchInfo as BranchInfo
from charlstm.generation.tree import NextCharDistribution as NextCharDistribution
from charlstm.model.file import Model
from charlstm.model.given import GivenModel, given_model

STATE_BYTES = 150_000_000
"""Most memory for stored hidden states. Beyond it every second one is dropped, and rewinding computes more again."""


MOST_AT_ONCE = 1_000_000
"""Characters of a suggestion."""

MOST_TEXTS = 10_000
"""Continuations that advance together."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text that could come next, and the mean surprise of its characters in bits."""

    text: str
    bits_per_char: float


@dataclass(frozen=True, slots=True, eq=False)
class PathEnd:
    """The text from the root of a session's tree to position ``length`` on the branch ``tip``."""

    tip: TreeBranch
    length: int


class Session:
    """A tree of generated text with a cursor in it.

    The current text is one path through the tree: the branches up to the one that was last generated on or switched to,
    or a part of it (:meth:`cut`).
    Positions count its characters, without the prime: at position p the cursor has p characters before it.

    Args:
        model: the model that generates, or what :func:`charlstm.load_model` takes, such as the name of a run.
        prime: the text to continue; the model's text options apply. Empty: see :func:`prepare_prime`.
        seed: a whole number of at most 64 bits. The same seed, settings and prime give the same text on one machine.
        sample: which of several texts of one seed; each has random numbers of its own.
        settings: how characters are chosen; assign to :attr:`settings` at any time. None is :class:`SamplerSettings`'
            defaults.
        sampler: settings of the sampler as keywords, such as ``temperature=0.5``; they change ``settings``.
        stepper: of the same model, to share its packed weights with another session.
        clamps: cells that are held or scaled while the prime is read and text is generated; assign to :attr:`clamps` at
            any time.
        progress: called with ``(done, total)`` characters of a long prime; an exception that it raises ends the work.

    Raises:
        GenerationError: the seed is not a whole number of at most 64 bits, or the model has no such cell to
            clamp.
        ModelError: the weights are so large that logits would not be finite, or there is no such model.
        RunError: there is no such run, or it has no model yet.

    Attributes:
        prime: the prime; ``prime_ids`` ``(N,)`` are the ids that the model read, at least one.
        unknown: characters of the prime that the model does not know, with their counts; it reads them as others.
        root, tree: the first branch, and all branches by number, for :mod:`charlstm.generation.session_document`.
        seeds: those with which characters may have been drawn; ``rows()["seed"]`` are their numbers.
        weights_digest: SHA-256 of the model's weights, once it was computed for saving.
    """

    def __init__(
        self,
        model: GivenModel,
        prime: str = "",
        *,
        seed: int = 0,
        sample: int = 0,
        settings: SamplerSettings | None = None,
        stepper: Stepper | None = None,
        clamps: Sequence[Clamp] = (),
        progress: Callable[[int, int], None] | None = None,
        **sampler: Unpack[SamplerKeywords],
    ) -> None:
        model = given_model(model)
        settings = changed_settings(settings, sampler)
        self._start(model, prepare_prime(model, prime), Recipe(seed, sample, settings, clamps), stepper)
        self._consume_prime(progress)

    @classmethod
    def of(
        cls,
        model: Model,
        prime: str | Prime,
        recipe: Recipe,
        *,
        stepper: Stepper | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Session:
        """A new session with a recipe. The other parameters are those of the class."""
        session = cls.__new__(cls)
        session._start(model, prepare_prime(model, prime) if isinstance(prime, str) else prime, recipe, stepper)
        session._consume_prime(progress)
        return session

    @classmethod
    def restored(
        cls,
        model: Model,
        prime: Prime,
        recipe: Recipe,
        *,
        stepper: Stepper,
        tree: dict[int, TreeBranch],
        tip: TreeBranch,
        position: int,
        length: int | None = None,
    ) -> Session:
        """A session with an existing tree, whose missing hidden states are computed again."""
        session = cls.__new__(cls)
        session._start(model, prime, recipe, stepper)
        session.tree, session.root = tree, tree[0]
        session._pending = session.root.pending
        session._numbers = itertools.count(max(tree) + 1)
        session._state_count = sum(len(branch.states) for branch in tree.values())
        session._path, session._position = TextPath(tip, length), position
        if 0 not in session.root.states:
            session._consume_prime()
        session._state_position = None
        return session

    def _start(self, model: Model, prime: Prime, recipe: Recipe, stepper: Stepper | None) -> None:
        stepper = stepper or Stepper(model)
        self.model = model
        self.prime, self.unknown = prime.text, prime.unknown
        self.prime_ids = prime.ids
        self.weights_digest: str | None = None
        self.sample = arguments.number("sample", recipe.sample, 0, 2**63)
        self.seeds: list[int] = []
        self.seed = recipe.seed
        self.settings = recipe.settings
        self._symbols, self._codes = tuple(model.vocabulary.symbols), model.vocabulary.codes
        self._own_stepper = stepper
        self.clamps = recipe.clamps
        self._pending = Pending(len(self._symbols))
        self.root = TreeBranch(None, 0, self._symbols, self._pending)
        self._numbers = itertools.count(1)
        self.tree = {0: self.root}
        self._path = TextPath(self.root)
        self._position = 0
        self._interval = STATE_INTERVAL  # between stored states
        self._state_count = 1
        self._state: StepperState = stepper.zero_state()
        self._no_repeat_before = 0  # before this position no repeat can be long enough for a penalty
        self._state_position: int | None = None  # position of _state on the current path; None: not on it

    @blas_threads(1)
    def _consume_prime(self, progress: Callable[[int, int], None] | None = None) -> None:
        self._state = self._stepper.zero_state()
        self._stepper.consume(self.prime_ids, self._state, progress)
        self.root.states[0] = self._state.pack()
        self._compute_logits(0)

    # -- settings ------------------------------------------------------------------------------------------------

    @property
    def recipe(self) -> Recipe:
        """Seed, sample, settings and clamps as they are now."""
        return Recipe(self.seed, self.sample, self.settings, self.clamps)

    @property
    def settings(self) -> SamplerSettings:
        """How the next characters are chosen. Assigning changes no existing text."""
        return self._sampler.settings

    @settings.setter
    def settings(self, settings: SamplerSettings) -> None:
        self._sampler = Sampler(settings)
        self._no_repeat_before = 0

    @property
    def clamps(self) -> tuple[Clamp, ...]:
        """Cells that are held or scaled. Assigning changes no existing text and not the state at the cursor; it acts
        from the next character on, and on text that has to be read again after a rewind.

        Raises :class:`GenerationError` when one is assigned that the model does not have.
        """
        return self._clamps

    @clamps.setter
    def clamps(self, clamps: Sequence[Clamp]) -> None:
        check_clamps(clamps, self.model.config.num_layers, self.model.config.hidden_size)
        self._clamps = tuple(clamps)

    @property
    def _stepper(self) -> Stepper:
        """The stepper with this session's clamps; other sessions may share it."""
        self._own_stepper.clamps = self._clamps
        return self._own_stepper

    @property
    def shared_stepper(self) -> Stepper:
        """The stepper, for another session of the same model."""
        return self._own_stepper

    @property
    def seed(self) -> int:
        """The random seed. Assigning another one changes what is drawn from the cursor on."""
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self._seed = check_seed(seed)
        self._key = key_for(self._seed, self.sample)
        if self._seed not in self.seeds:
            self.seeds.append(self._seed)
        self._seed_number = self.seeds.index(self._seed)

    def seed_places(self) -> list[tuple[int, int]]:
        """With which seeds the characters of the current text were drawn: a position and the seed from there on, for
        each place where the seed is another."""
        rows = self.rows()
        drawn = np.flatnonzero(rows["source"] == GENERATED)
        numbers = rows["seed"][drawn]
        begins = np.flatnonzero(np.concatenate([[True], numbers[1:] != numbers[:-1]])) if len(drawn) else drawn
        return [(int(drawn[at]), self.seeds[numbers[at]]) for at in begins]

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def tip(self) -> TreeBranch:
        """The last branch of the current text."""
        return self._path.tip

    @property
    def position(self) -> int:
        """The cursor: number of characters before it, without the prime."""
        return self._position

    def __len__(self) -> int:
        """Number of characters of the current text, before and after the cursor."""
        return len(self._path)

    def __repr__(self) -> str:
        return (
            f"Session({self.model!r}, prime={short(self.prime)}, text={short(self.text)}, "
            f"position {self.position:,} of {len(self):,})"
        )

    def _repr_html_(self) -> str:
        """The end of the prime and of the text up to the cursor, for a notebook: coloured by surprise."""
        start = max(0, self._position - MOST_CHARS)
        rows = self.rows(start, self._position)
        bits = in_bits(rows["probability"])
        bits[(rows["source"] != GENERATED) | ~read_as_themselves(rows, self._codes)] = 0
        before = "…" if start else self.prime[-MOST_CHARS:]
        return surprise_html(before, self.read(start, self._position), bits)

    @property
    def text(self) -> str:
        """The current text up to the cursor, without the prime."""
        return self.read(0, self._position)

    def read(self, start: int = 0, stop: int | None = None) -> str:
        """Characters ``start`` to ``stop`` of the current text, before and after the cursor."""
        return text_of(self.rows(start, stop))

    def rows(self, start: int = 0, stop: int | None = None) -> Rows:
        """Statistics of characters ``start`` to ``stop`` as an array (:func:`charlstm.generation.tree.row_type`), for
        reading many at once."""
        return self._path.rows(*self._range(start, stop))

    def at(self, position: int) -> Step:
        """The character at ``position`` of the current text. Raises :class:`GenerationError` if there is none."""
        if not 0 <= position < len(self._path):
            raise GenerationError(f"There is no character {position}: the text has {len(self._path)} of them")
        return self._path.holder(position).step(position)

    def steps(self, start: int = 0, stop: int | None = None) -> list[Step]:
        """Characters ``start`` to ``stop`` of the current text with their statistics."""
        return [self._path.holder(position).step(position) for position in range(*self._range(start, stop))]

    def state_at(self, position: int) -> Floats | None:
        """The packed hidden state after so many characters of the current text, if it is stored."""
        return self._path.owner(position).states.get(position)

    def mirostat_limits(self) -> Floats:
        """Mirostat's limit after each character of the current text, not-a-number where it was off."""
        limits = np.full(len(self), np.nan, np.float32)
        branch: TreeBranch | None = self._path.tip
        stop = len(self)
        while branch is not None:
            own = np.array(branch.mirostat, np.float32)[: max(0, stop - branch.start)]
            limits[branch.start : branch.start + len(own)] = own
            stop, branch = min(stop, branch.start), branch.parent
        return limits

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        """The positions of a slice of the current text."""
        start, stop, _ = slice(start, stop).indices(len(self._path))
        return start, max(start, stop)

    def next_char_distribution(self, count: int = ALTERNATIVES) -> NextCharDistribution:
        """The distribution of the next character at the cursor, with at most ``count`` alternatives; draws nothing."""
        count = arguments.number("count", count, 0)
        logits = self._logits()
        weights = self._weights(logits)
        row = np.zeros(1, self.root.rows.dtype)
        fill_statistics(row, logits[None], weights[None])
        probabilities = np.exp(logits - logits.max())
        kept = weights > 0
        share = float(probabilities[kept].sum() / probabilities.sum())
        alternatives = row_alternatives(row[0], self._symbols)
        if count != ALTERNATIVES:
            best = np.argsort(-logits, kind="stable")[:count]
            likely, sampled = probabilities[best] / probabilities.sum(), weights[best] / weights.sum()
            columns = (best.tolist(), likely.tolist(), sampled.tolist(), kept[best].tolist())
            alternatives = tuple(Alternative(self._symbols[n], *each) for n, *each in zip(*columns, strict=True))
        return NextCharDistribution(alternatives, float(row[0]["entropy"]), int(kept.sum()), len(self._symbols), share)

    def peek(self) -> tuple[Alternative, ...]:
        """The most likely characters at the cursor under the current settings; draws nothing."""
        return self.next_char_distribution().alternatives

    # -- generating -----------------------------------------------------------------------------------------------

    def step(self) -> Step:
        """Draw a character, put it at the cursor and move the cursor past it.

        If the tree has this character here already, the cursor moves along it. Otherwise it is added; what followed
        the cursor before remains as another branch.
        """
        logits = self._logits()
        weights = self._weights(logits)
        return self._put(draw(weights, uniform(self._key, self._position)), weights, GENERATED)

    def stream(self, length: int | None = None, *, stop: str | Sequence[str] = ()) -> Iterator[Step]:
        """Draw characters one by one, until there are ``length`` of them or they end with a string of ``stop``.

        The stop string is part of the text. A character is drawn only when it is requested, so changes of the session
        between two characters affect the next one. Raises :class:`GenerationError` for an empty stop string.
        """
        return self._drawn(None if length is None else arguments.number("length", length, 0), stop_strings(stop))

    def find_seed(self) -> int | None:
        """A seed with which another character is drawn at the cursor than the one that is there: the next one after the
        session's. None if the settings allow no other character, or one so rarely that no seed draws it.

        Raises :class:`GenerationError` if there is no character at the cursor.
        """
        which = int(self.at(self._position).id)
        return other_seed(self._weights(self._logits()), which, self._seed, self.sample, self._position)

    def _drawn(self, length: int | None, stop: tuple[str, ...]) -> Iterator[Step]:
        longest = max(map(len, stop), default=0)
        recent = ""
        for _ in itertools.count() if length is None else range(length):
            step = self.step()
            yield step
            if stop:
                recent = (recent + step.char)[-longest:]
                if recent.endswith(stop):
                    return

    @blas_threads(1)
    def suggest(
        self, length: int, progress: Callable[[int], object] = lambda done: None, *, position: int | None = None
    ) -> str:
        """What :meth:`stream` would generate next, as text; changes nothing. ``progress`` is called with the number of
        characters so far; an exception that it raises ends the work. ``position`` is where the text stands, if not at
        the cursor: the random numbers are those of that position. A session that has read only the end of a text has
        another cursor.

        Mirostat and the repetition penalty, which depend on the text before, are ignored.
        """
        length = arguments.number("length", length, 0, MOST_AT_ONCE)
        start = self._position if position is None else arguments.number("position", position, 0)
        sampler = Sampler(replace(self.settings, mirostat=None, repetition=0.0))
        logits = self._logits()
        state = self._stepper.zero_state()
        state.unpack(self._state.pack())
        ids: list[int] = []
        for place in range(start, start + length):
            progress(len(ids))
            ids.append(draw(sampler.weights(logits), uniform(self._key, place)))
            self._stepper.advance(ids[-1], state)
            logits = self._stepper.logits(state)[0]
        return "".join(self._symbols[which] for which in ids)

    @blas_threads(1)
    def continuations(
        self,
        count: int,
        length: int,
        *,
        lines: int | None = None,
        first: int = 1,
        progress: Callable[[Sequence[Continuation]], object] = lambda continuations: None,
        position: int | None = None,
    ) -> list[Continuation]:
        """Different texts that could come next, which advance together by matrix products; changes nothing.

        Text n uses the random numbers of ``Session(sample=sample + n)``. As for :meth:`suggest`, mirostat and the
        repetition penalty are ignored.

        Args:
            count: how many texts, at least 1; there are fewer if some are equal.
            length: most characters of each. One that reaches it ends with its last whole word.
            lines: each text ends after so many lines; None for no limit.
            first: the first n.
            progress: called with the texts so far every 8 characters; an exception that it raises ends the work.
            position: where the text stands, as for :meth:`suggest`.
        """
        start = self._position if position is None else arguments.number("position", position, 0)
        count = arguments.number("count", count, 1, MOST_TEXTS)
        length = arguments.number("length", length, 0, MOST_AT_ONCE)
        first = arguments.number("first", first, 0, 2**62)
        lines = None if lines is None else arguments.number("lines", lines, 1)
        sampler = Sampler(replace(self.settings, mirostat=None, repetition=0.0))
        logits = self._logits()[None].repeat(count, 0)
        single = self._stepper.zero_state()
        single.unpack(self._state.pack())
        state = single.repeat(count)
        keys = np.array([key_for(self.seed, self.sample + first + n) for n in range(count)], np.uint64)
        texts, bits = [""] * count, np.zeros((length, count))
        going = set(range(count))

        def made(number: int, text: str) -> Continuation:
            """A text, or its beginning: its surprise is that of the characters that it has."""
            return Continuation(text, float(bits[: len(text), number].sum()) / max(1, len(text)))

        def found() -> list[Continuation]:
            return [made(number, text) for number, text in enumerate(texts)]

        for step in range(length):
            which = draws(sampler.weights(logits), uniforms(keys, start + step))
            bits[step] = np.take_along_axis(surprises(logits), which[:, None], 1)[:, 0]
            for number in sorted(going):
                texts[number] += self._symbols[which[number]]
                if lines is not None and _has_lines(texts[number], lines):
                    going.remove(number)
            if step % 8 == 7:
                progress(found())
            if not going:
                break
            logits = self._stepper.step(which, state)
        ended = found()
        for number in going:
            ended[number] = made(number, re.sub(r"(?<=\S)\s+\S*$", "", texts[number]))
        return list({each.text: each for each in ended}.values())

    def choose(self, char: str) -> Step:
        """Put ``char`` at the cursor instead of drawing one. What followed before remains as a branch.

        Raises :class:`GenerationError` if ``char`` is not a single character that the model knows.
        """
        which = self.model.vocabulary.index(char) if len(char) == 1 else None
        if which is None:
            raise GenerationError(
                f"The model does not know {char!r}: choose one of its {len(self._symbols)} characters"
            )
        return self._put(which, self._weights(self._logits()), CHOSEN)

    def type(self, text: str) -> dict[str, int]:
        """Put the user's own text at the cursor, with the same statistics as generated text; the model's text options
        apply.

        Returns the characters that the model does not know, with their counts; it reads them as others.
        """
        prepared = prepare_prime(self.model, text, empty_is_fine=True)
        for which, char in zip(prepared.ids.tolist(), prepared.text, strict=True):
            self._put(which, self._weights(self._logits()), TYPED, char=ord(char))
        return prepared.unknown

    def put_back(self, rows: Rows) -> None:
        """Put characters of another text at the cursor, as :meth:`rows` gave them: each keeps who wrote it and its
        seed, and has new statistics."""
        columns = (rows[name].tolist() for name in ("id", "source", "seed", "char"))
        for which, *about in zip(*columns, strict=True):
            self._put(which, self._weights(self._logits()), *about)

    def cut(self) -> None:
        """End the current text at the cursor. What followed stays in the tree."""
        if self._position < len(self._path):
            self._pending.flush()
            self._path = TextPath(self._path.owner(self._position), self._position)

    def rewind(self, position: int) -> None:
        """Move the cursor to ``position``, back or forward; the text stays.

        Raises :class:`GenerationError` if the current text has no such position.
        """
        position = arguments.of_python(position)
        if not 0 <= position <= len(self._path):
            raise GenerationError(f"The text has no position {position}: it ends at {len(self._path)}")
        if position != self._position:
            self._pending.flush()
            self._position = position
            self._no_repeat_before = 0

    # -- what was read, for a reader ------------------------------------------------------------------------------

    @property
    def path_end(self) -> PathEnd:
        """Where the current text ends in the tree, to come back to it."""
        return PathEnd(self._path.tip, len(self._path))

    def go_to(self, end: PathEnd, length: int) -> None:
        """Make the first ``length`` characters of the text up to ``end`` the current text, with the cursor behind
        them. Raises :class:`GenerationError` for another length."""
        length = arguments.number("length", length, 0, end.length)
        self._pending.flush()
        path = TextPath(end.tip, end.length)
        self._go(TextPath(path.owner(length), length))
        self._position = length

    @property
    def held(self) -> int:
        """Characters of all branches together."""
        return sum(branch.size for branch in self.tree.values())

    def keep_only(self, ends: Sequence[PathEnd]) -> None:
        """Forget all characters that are neither in the current text nor in those up to ``ends``."""
        self._pending.flush()
        needed: dict[int, int] = {id(self.root): 0}
        for branch, stop in (*((end.tip, end.length) for end in ends), (self._path.tip, len(self._path))):
            here: TreeBranch | None = branch
            while here is not None:
                needed[id(here)] = max(stop, needed.get(id(here), 0))
                stop, here = here.start, here.parent
        self.tree = {number: branch for number, branch in self.tree.items() if id(branch) in needed}
        for branch in self.tree.values():
            branch.children = [child for child in branch.children if id(child) in needed]
            branch.truncate(needed[id(branch)])
        if self._pending.branch is not None and id(self._pending.branch) not in needed:
            self._pending.branch = None
        self._state_count = sum(len(branch.states) for branch in self.tree.values())
        self._path = TextPath(self._path.tip, len(self._path))

    # -- branches ------------------------------------------------------------------------------------------------

    def branches(self) -> list[BranchInfo]:
        """All branches, each before those that continue it."""
        numbers = {id(branch): number for number, branch in self.tree.items()}
        on_path = set()
        branch: TreeBranch | None = self._path.tip
        while branch is not None:
            on_path.add(id(branch))
            branch = branch.parent
        infos = []
        for branch in self.root.descendants():
            parent = None if branch.parent is None else numbers[id(branch.parent)]
            begin = branch.slice(branch.start, min(branch.stop, branch.start + 80))
            number, current = numbers[id(branch)], id(branch) in on_path
            infos.append(BranchInfo(number, parent, branch.start, branch.stop, branch.name, text_of(begin), current))
        return infos

    def switch(self, number: int, position: int | None = None, length: int | None = None) -> None:
        """Make the text to the end of branch ``number`` the current one, and move the cursor to its end or to
        ``position``. With ``length`` the text ends after so many characters, which must be on that branch.

        Raises :class:`GenerationError` if there is no such branch, position or length.
        """
        tip = self._branch(number)
        length = None if length is None else arguments.number("length", length, 0)
        first = 0 if tip is self.root else tip.start + 1
        if length is not None and not (first <= length <= tip.stop or length == tip.stop):
            raise GenerationError(f"That branch has characters {tip.start} to {tip.stop}: it cannot end at {length}")
        path = TextPath(tip, length)
        if position is not None and not 0 <= position <= len(path):
            raise GenerationError(f"That branch has no position {position}: it ends at {len(path)}")
        self._pending.flush()
        self._go(path)
        self._position = len(path) if position is None else arguments.of_python(position)

    def prune(self, number: int) -> None:
        """Remove the branch ``number`` and all that continue it. If the current text is on one of them, it becomes that
        of the parent.

        Raises :class:`GenerationError` if there is no such branch or it is the root.
        """
        branch = self._branch(number)
        if branch.parent is None:
            raise GenerationError("The first branch cannot be removed: the others continue it")
        self._pending.flush()
        removed = {id(each): each for each in branch.descendants()}
        if id(self._pending.branch) in removed:
            self._pending.branch = None
        self._state_count -= sum(len(each.states) for each in removed.values())
        branch.parent.children.remove(branch)
        self.tree = {key: each for key, each in self.tree.items() if id(each) not in removed}
        if id(self._path.tip) in removed:
            self._go(TextPath(branch.parent))
            self._position = min(self._position, branch.start)

    def rename(self, number: int, name: str) -> None:
        """Name the branch ``number``; the first 200 characters of ``name`` are used. Raises :class:`GenerationError` if
        there is no such branch."""
        self._branch(number).name = unicodedata.normalize("NFC", name)[:200]

    def _branch(self, number: int) -> TreeBranch:
        branch = self.tree.get(number)
        if branch is None:
            raise GenerationError(f"There is no branch {number}: the branches are {', '.join(map(str, self.tree))}")
        return branch

    # -- internals -----------------------------------------------------------------------------------------------

    def _go(self, path: TextPath) -> None:
        """Make ``path`` the current text; the hidden state may then belong to another text."""
        self._path = path
        self._state_position = None
        self._no_repeat_before = 0

    def _weights(self, logits: Floats) -> Floats:
        sampler = self._sampler
        if not (sampler.needs_history or sampler.needs_mu):
            return sampler.weights(logits)
        penalties = self._penalties(sampler.settings) if sampler.needs_history else None
        return sampler.weights(logits, penalties, self._mirostat_limit())

    def _penalties(self, settings: SamplerSettings) -> Floats | None:
        """What the repetition penalty subtracts from the logits at the cursor, ``(V,)``; None for nothing."""
        if self._position < self._no_repeat_before:
            return None
        back = settings.repetition_range
        history = self._path.ids(max(0, self._position - back), self._position)
        if len(history) < back:
            start = self.prime_ids[-(back - len(history)) :].astype(history.dtype)
            history = np.concatenate([start, history])
        penalties, missing = penalties_after(history, len(self._symbols), settings)
        self._no_repeat_before = self._position + missing
        return penalties

    def _mirostat_limit(self) -> np.float32 | None:
        """Mirostat's limit at the cursor: that after the character before, or the first one. None when it is off."""
        target = self.settings.mirostat
        if target is None:
            return None
        position = self._position
        limit = self._path.owner(position).mirostat_after(position - 1) if position else None
        return mirostat_start(target) if limit is None else limit

    def _logits(self) -> Floats:
        """The logits at the cursor, ``(V,)``: a buffer that is valid until the next character is put."""
        if self._state_position != self._position:
            self._replay()
        logits: Floats = self._pending.logits[self._pending.count]
        return logits

    @blas_threads(1)
    def _replay(self) -> None:
        """Compute the hidden state at the cursor, by the same steps as the first time."""
        self._pending.flush()
        path, goal = self._path, self._position
        stored = goal - goal % STATE_INTERVAL
        while stored not in path.owner(stored).states:
            stored -= STATE_INTERVAL
        here, self._state_position = self._state_position, None  # as in _forward
        if here is None or not stored <= here <= goal:
            self._state.unpack(path.owner(stored).states[stored])
            here = stored
        for which in path.rows(here, goal)["id"].astype(np.intp).tolist():
            self._stepper.advance(which, self._state)
            here += 1
            self._store_state(here)
        self._compute_logits(goal)

    def _compute_logits(self, position: int) -> None:
        pending = self._pending
        self._stepper.logits(self._state, out=pending.logits[pending.count : pending.count + 1])
        self._state_position = position

    def _put(self, which: int, weights: Floats, source: int, seed: int | None = None, char: int | None = None) -> Step:
        """Put the character ``which`` at the cursor: move along it if the tree has it there, else add it. ``seed`` is
        the number of its seed, if that is not the current one, and ``char`` its code, if it is only read as that."""
        path, position, pending = self._path, self._position, self._pending
        char = int(self._codes[which]) if char is None else char
        owner = path.tip
        if position < owner.stop or position == owner.start:
            owner = path.owner(position)
            if (existing := owner.continuation(position, char)) is not None:
                return self._walk(existing, which)
            if position < owner.stop:
                owner = self._new_branch(owner, position)
        if pending.branch is not owner:
            pending.flush()
            pending.branch = owner
        pending.weights[pending.count] = weights
        limit = self._next_mirostat_limit(which)
        self._state_position = None  # the logits at the cursor are those of the next position from now on
        size = owner.size
        try:
            owner.append(which, source, self._seed_number if seed is None else seed, char, limit)
        finally:  # an interrupt must not separate the two
            pending.count += owner.size - size
        self._forward(which)
        if pending.count == BLOCK:
            pending.flush()
        return Step(owner, position, chr(char))

    def _walk(self, branch: TreeBranch, which: int) -> Step:
        """Move past the character ``which``, which is on ``branch`` already."""
        position = self._position
        if position >= len(self._path):  # the text was cut here, and grows again
            self._path = TextPath(branch, position + 1)
        elif self._path.holder(position) is not branch:
            self._path = TextPath(branch)
        self._forward(which)
        return branch.step(position)

    def _new_branch(self, parent: TreeBranch, position: int) -> TreeBranch:
        branch = TreeBranch(parent, position, self._symbols, self._pending)
        parent.children.append(branch)
        self.tree[next(self._numbers)] = branch
        self._path = TextPath(branch)
        return branch

    @blas_threads(1)
    def _forward(self, which: int) -> None:
        self._state_position = None  # if this is interrupted, the state is half updated and has to be computed again
        self._position += 1
        self._stepper.advance(which, self._state)
        self._store_state(self._position)
        self._compute_logits(self._position)

    def _next_mirostat_limit(self, which: int) -> float | None:
        """Mirostat's limit after the character ``which`` at the cursor; None when it is off."""
        settings, limit = self.settings, self._mirostat_limit()
        if settings.mirostat is None:
            return None
        surprise = surprises(self._logits())[which]
        return float(mirostat_update(limit, surprise, settings.mirostat, settings.mirostat_rate))

    def _store_state(self, position: int) -> None:
        if position % self._interval:
            return
        states = self._path.owner(position).states
        if position not in states:
            states[position] = self._state.pack()
            self._state_count += 1
            if self._state_count * self.root.states[0].nbytes > STATE_BYTES:
                self._drop_every_second_state()

    def _drop_every_second_state(self) -> None:
        self._interval *= 2
        self._state_count = 0
        for branch in self.tree.values():
            branch.states = {at: state for at, state in branch.states.items() if at % self._interval == 0}
            self._state_count += len(branch.states)


def _has_lines(text: str, lines: int) -> bool:
    """Whether ``text`` ends with a line break after so many lines that are not empty."""
    return text.endswith("\n") and sum(bool(line.strip()) for line in text.split("\n")) >= lines


def stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    """``stop`` as a tuple. Raises :class:`GenerationError` for an empty string in it."""
    strings = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(strings):
        raise GenerationError("A stop string needs at least one character")
    return strings

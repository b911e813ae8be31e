"""A session: generate text one character at a time, rewind, branch, and read what the model predicted.

``for step in session.stream()`` generates. A session is not thread-safe.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Unpack

from charlstm import arguments
from charlstm.display import short
from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp
from charlstm.generation.colouring import MOST_CHARS, surprise_html
from charlstm.generation.document import BranchInfo, Document
from charlstm.generation.generate import stop_strings
from charlstm.generation.prime import prepare_prime, read_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import (
    ALTERNATIVES,
    CHOSEN,
    GENERATED,
    TYPED,
    Alternative,
    NextCharDistribution,
    Rows,
    Step,
    in_bits,
    read_as_themselves,
)
from charlstm.generation.sampler_settings import SamplerKeywords, SamplerSettings, changed_settings
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model
from charlstm.model.given import GivenModel, given_model


class Session:
    """A generated text with a cursor in it, and its branches.

    What is put at the cursor in the place of other text begins a branch, unless one goes on like this already.
    Positions count characters of the current text, without the prime: at position p the cursor has p before it.

    Args:
        model: the model that generates, or what :func:`charlstm.load_model` takes, such as the name of a run.
        prime: the text to continue; the model's text options apply. Empty: see :func:`prepare_prime`.
        seed: a whole number of at most 64 bits. The same seed, settings and prime give the same text on one machine.
        sample: which of several texts of one seed; each has random numbers of its own.
        settings: how characters are chosen; assign to :attr:`settings` at any time. None is :class:`SamplerSettings`'
            defaults.
        sampler: settings of the sampler as keywords, such as ``temperature=0.5``; they change ``settings``.
        stepper: of the same model, to share its packed weights with another session.
        clamps: cells that are held while the prime is read and text is generated; assign to :attr:`clamps` at
            any time.
        progress: called with ``(done, total)`` characters of a long prime; an exception that it raises ends the work.

    Raises:
        GenerationError: the seed is not a whole number of at most 64 bits, or the model has no such cell to
            clamp.
        ModelError: the weights are so large that logits would not be finite, or there is no such model.
        RunError: there is no such run, or it has no model yet.

    Attributes:
        document: the text with its cursor and its branches.
        reading: what the model has read of it.
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
        recipe = Recipe(seed, sample, changed_settings(settings, sampler), clamps)
        self.reading = Reading(model, prepare_prime(model, prime), recipe, stepper=stepper, progress=progress)
        self.document = Document(self.prime)

    @classmethod
    def of(
        cls,
        model: Model,
        prime: str,
        recipe: Recipe,
        *,
        stepper: Stepper | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Session:
        """A new session with a recipe. The other parameters are those of the class."""
        reading = Reading(model, prepare_prime(model, prime), recipe, stepper=stepper, progress=progress)
        return cls.of_document(Document(reading.prime.text), reading)

    @classmethod
    def of_document(cls, document: Document, reading: Reading) -> Session:
        """A session of an existing text. The reading, which has read its prime, reads all of it here."""
        session = cls.__new__(cls)
        session.document, session.reading = document, reading
        document.move(max(document.cursor, document.prime_length), undoable=False)
        session._read()
        return session

    # -- settings ------------------------------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        return self.reading.model

    @property
    def prime(self) -> str:
        """The prime."""
        return self.reading.prime.text

    @property
    def unknown(self) -> dict[str, int]:
        """Characters of the prime that the model does not know, with their counts; it reads them as others."""
        return self.reading.prime.unknown

    @property
    def recipe(self) -> Recipe:
        """Seed, sample, settings and clamps as they are now."""
        return self.reading.recipe

    @property
    def sample(self) -> int:
        return self.recipe.sample

    @property
    def settings(self) -> SamplerSettings:
        """How the next characters are chosen. Assigning changes no existing text."""
        return self.recipe.settings

    @settings.setter
    def settings(self, settings: SamplerSettings) -> None:
        self.reading.use(replace(self.recipe, settings=settings))

    @property
    def clamps(self) -> tuple[Clamp, ...]:
        """Cells that are held. Assigning changes no existing text and not the state at the cursor; it acts
        from the next character on, and on text that has to be read again after a rewind.

        Raises :class:`GenerationError` when one is assigned that the model does not have.
        """
        return tuple(self.recipe.clamps)

    @clamps.setter
    def clamps(self, clamps: Sequence[Clamp]) -> None:
        self.reading.use(replace(self.recipe, clamps=clamps))

    @property
    def seed(self) -> int:
        """The random seed. Assigning another one changes what is drawn from the cursor on."""
        return self.recipe.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self.reading.use(replace(self.recipe, seed=seed))

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self) -> Reading:
        """The reading, which has read all of the text."""
        reading, document = self.reading, self.document
        if reading.read_to != len(document):
            reading.follow(document.text)
            reading.read(len(document))
        return reading

    @property
    def _first(self) -> int:
        """The position in the document of the first character after the prime."""
        return self.reading.prime_length

    @property
    def position(self) -> int:
        """The cursor: number of characters before it, without the prime."""
        return self.document.cursor - self._first

    def __len__(self) -> int:
        """Number of characters of the current text, before and after the cursor."""
        return len(self.document) - self._first

    def __repr__(self) -> str:
        return (
            f"Session({self.model!r}, prime={short(self.prime)}, text={short(self.text)}, "
            f"position {self.position:,} of {len(self):,})"
        )

    def _repr_html_(self) -> str:
        """The end of the prime and of the text up to the cursor, for a notebook: coloured by surprise."""
        start = max(0, self.position - MOST_CHARS)
        rows = self.rows(start, self.position)
        bits = in_bits(rows["probability"])
        own = self.document.text.sources(*self._range(start, self.position)) != GENERATED
        bits[own | ~read_as_themselves(rows, self.model.vocabulary.codes)] = 0
        before = "…" if start else self.prime[-MOST_CHARS:]
        return surprise_html(before, self.read(start, self.position), bits)

    @property
    def text(self) -> str:
        """The current text up to the cursor, without the prime."""
        return self.read(0, self.position)

    def read(self, start: int = 0, stop: int | None = None) -> str:
        """Characters ``start`` to ``stop`` of the current text, before and after the cursor."""
        return self.document.text.read(*self._range(start, stop))

    def rows(self, start: int = 0, stop: int | None = None) -> Rows:
        """Statistics of characters ``start`` to ``stop`` as an array (:func:`charlstm.generation.rows.row_type`), for
        reading many at once."""
        return self._read().rows(*self._range(start, stop))

    def at(self, position: int) -> Step:
        """The character at ``position`` of the current text. Raises :class:`GenerationError` if there is none."""
        return self._read().step_at(self._first + position)

    def steps(self, start: int = 0, stop: int | None = None) -> list[Step]:
        """Characters ``start`` to ``stop`` of the current text with their statistics."""
        return [self._read().step_at(position) for position in range(*self._range(start, stop))]

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        """The positions in the document of a slice of the current text."""
        start, stop, _ = slice(start, stop).indices(len(self))
        return self._first + start, self._first + max(start, stop)

    def next_char_distribution(self, count: int = ALTERNATIVES) -> NextCharDistribution:
        """The distribution of the next character at the cursor, with at most ``count`` alternatives; draws nothing."""
        return self._read().distribution(self.document.cursor, arguments.number("count", count, 0))

    def peek(self) -> tuple[Alternative, ...]:
        """The most likely characters at the cursor under the current settings; draws nothing."""
        return self.next_char_distribution().alternatives

    # -- generating -----------------------------------------------------------------------------------------------

    def step(self) -> Step:
        """Draw a character, put it at the cursor and move the cursor past it.

        If this or another branch has this character here already, the cursor moves along it. Otherwise it is added;
        what followed the cursor before remains as another branch.
        """
        reading, document = self._read(), self.document
        position = document.cursor
        if position < len(document):
            return self._put(reading.draw_at(position), GENERATED)
        document.generate(reading.draw())
        return reading.step_at(position)

    def stream(self, length: int | None = None, *, stop: str | Sequence[str] = ()) -> Iterator[Step]:
        """Draw characters one by one, until there are ``length`` of them or they end with a string of ``stop``.

        The stop string is part of the text. A character is drawn only when it is requested, so changes of the session
        between two characters affect the next one. Raises :class:`GenerationError` for an empty stop string.
        """
        return self._drawn(None if length is None else arguments.number("length", length, 0), stop_strings(stop))

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

    def choose(self, char: str) -> Step:
        """Put ``char`` at the cursor instead of drawing one. What followed before remains as a branch.

        Raises :class:`GenerationError` if ``char`` is not a single character that the model knows.
        """
        if len(char) != 1 or char not in self.model.vocabulary:
            count = len(self.model.vocabulary)
            raise GenerationError(f"The model does not know {char!r}: choose one of its {count} characters")
        return self._put(char, CHOSEN)

    def type(self, text: str) -> dict[str, int]:
        """Put the user's own text at the cursor, with the same statistics as generated text; the model's text options
        apply.

        Returns the characters that the model does not know, with their counts; it reads them as others.
        """
        prepared = prepare_prime(self.model, text, empty_is_fine=True)
        if prepared.text:
            self._put(prepared.text, TYPED)
        return prepared.unknown

    def _put(self, text: str, source: int) -> Step:
        """Put ``text`` at the cursor, along what stands there as far as it is the same. Returns its first character."""
        document, position = self.document, self.document.cursor
        if document.text.read(position, position + len(text)) == text:
            document.move(position + len(text), undoable=False)
        else:
            document.branch_off(position, text, source, kind="branching off")
            self.reading.follow(document.text)
        return self._read().step_at(position)

    def rewind(self, position: int) -> None:
        """Move the cursor to ``position``, back or forward; the text stays.

        Raises :class:`GenerationError` if the current text has no such position.
        """
        position = arguments.of_python(position)
        if not 0 <= position <= len(self):
            raise GenerationError(f"The text has no position {position}: it ends at {len(self)}")
        self.document.move(self._first + position, undoable=False)

    # -- branches ------------------------------------------------------------------------------------------------

    def branches(self) -> list[BranchInfo]:
        """All branches, each after its parent."""
        return self.document.list_branches()

    def switch(self, number: int, position: int | None = None) -> None:
        """Make the text to the end of branch ``number`` the current one, and move the cursor to its end or to
        ``position``.

        Raises :class:`GenerationError` if there is no such branch or position.
        """
        branch = self.document.branches.get(number)
        if branch is not None and position is not None:
            length = len(branch.text) - self._first
            if not 0 <= position <= length:
                raise GenerationError(f"That branch has no position {position}: it ends at {length}")
        self.document.switch(number)
        self._follow()
        if position is not None:
            self.rewind(position)

    def prune(self, number: int) -> None:
        """Remove the branch ``number`` and all that continue it. If the current branch is removed, its parent becomes
        current.

        Raises :class:`GenerationError` if there is no such branch or it is the root.
        """
        self.document.prune(number)
        self._follow()

    def _follow(self) -> None:
        """Read the current text, which after a change of branch may have another prime."""
        document, reading = self.document, self.reading
        if reading.fits(document.text, document.prime_length):
            reading.follow(document.text)
            return
        prime = read_prime(self.model, document.text.read(0, document.prime_length))
        self.reading = Reading(self.model, prime, reading.recipe, stepper=reading.stepper)
        self.reading.follow(document.text)

    def rename(self, number: int, name: str) -> None:
        """Name the branch ``number``; the first 200 characters of ``name`` are used. Raises :class:`GenerationError` if
        there is no such branch."""
        self.document.rename(number, name)

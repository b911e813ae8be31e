"""Let a model follow the text of the player's thread. Positions are those of the document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.prime import read_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import NextCharDistribution, Rows, Step
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.model.file import Model


class _Stopped(Exception):
    """Something else is to be done first."""


class Reader:
    """Follows a document; ``reading`` has read its prime, or as much of its text as it has."""

    def __init__(self, document: Document, reading: Reading) -> None:
        self.document = document
        self._readings = [reading]
        self._reading = reading
        self._version = -1
        self.follow()

    @property
    def reading(self) -> Reading:
        """What was read of the document as it is."""
        self.follow()
        return self._reading

    @property
    def read_to(self) -> int:
        """How many characters of the text were read; the prime always is."""
        return self.reading.read_to

    @property
    def has_read_all(self) -> bool:
        """Whether all of the text was read. While text is generated this takes no time."""
        document = self.document
        if document.settled_version == self._version and document.has_new:
            return True  # what is new was generated here, at the end
        return self.read_to >= len(document)

    def follow(self) -> None:
        """Forget what was read of text that is another by now."""
        document = self.document
        if document.settled_version == self._version and self._reading.read_to == len(document):
            return  # since then only this reader generated
        if (version := document.version) != self._version:
            text, prime_length = document.text, document.prime_length
            found = (each for each in (self._reading, *self._readings) if each.fits(text, prime_length))
            self._reading = next(found, None) or self._begin(text.read(0, prime_length))
            self._reading.follow(text)
            self._version = version
        self._reading.use(replace(self._reading.recipe, seed=document.seed))

    def _begin(self, prime: str) -> Reading:
        """Begin to read with another prime. One that was edited has no characters: all of the text is read as text."""
        old = self._reading
        reading = Reading(old.model, read_prime(old.model, prime), old.recipe, stepper=old.stepper)
        self._readings = [old, reading]  # of the others none is near
        return reading

    # ---- settings

    @property
    def model(self) -> Model:
        return self._reading.model

    @property
    def recipe(self) -> Recipe:
        return self._reading.recipe

    @property
    def settings(self) -> SamplerSettings:
        return self.recipe.settings

    @settings.setter
    def settings(self, settings: SamplerSettings) -> None:
        for each in self._readings:
            each.use(replace(each.recipe, settings=settings))

    @property
    def clamps(self) -> tuple[Clamp, ...]:
        return tuple(self.recipe.clamps)

    @clamps.setter
    def clamps(self, clamps: Sequence[Clamp]) -> None:
        for each in self._readings:
            each.use(replace(each.recipe, clamps=clamps))

    # ---- reading

    def read(self, until: int, proceed: Callable[[], bool] = lambda: True) -> bool:
        """Read the text up to position ``until``. ``proceed`` is asked every few characters whether to go on; what was
        read by then stays read. Returns whether all of it was."""

        def check() -> None:
            if not proceed():
                raise _Stopped

        try:
            self.reading.read(until, check)
        except _Stopped:
            return False
        return True

    def rows(self, start: int, stop: int) -> Rows:
        """The figures of the characters ``start`` to ``stop``, which are read and after the prime."""
        return self.reading.rows(start, stop)

    def at(self, position: int) -> Step | None:
        """The figures of one character; None where it is not read."""
        reading = self.reading
        return reading.step_at(position) if reading.prime_length <= position < reading.read_to else None

    def distribution(self, position: int, count: int) -> NextCharDistribution:
        """What could come at ``position``; without characters where the text is not read up to there."""
        return self.reading.distribution(position, count)

    def generate(self) -> str:
        """Draw a character at the end of the text, all of which is read, and add it to the document."""
        if self.document.settled_version != self._version:
            self.follow()
        char = self._reading.draw()
        self.document.generate(char)
        return char

"""What a model makes of a document's text, as far as it has read it: figures, hidden states, what could come next.

A document changes at once, at any place; the reader follows when there is time (:meth:`Reader.follow`,
:meth:`Reader.read`). What stands before a change is not read again. Texts that were left, as branches and by undo, are
kept as they were read for some time, so that going back to them reads nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.prime import read_prime
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import PathEnd, Session
from charlstm.generation.text_pieces import Text
from charlstm.generation.tree import GENERATED, NextCharDistribution, Rows, Step

READ_CHUNK = 8
"""Characters that the model reads between two calls of ``proceed``: some 10 ms with a network of 2×512."""

MOST_KEPT = 100_000
"""With more characters read than these and twice those of the text, the texts that were left first are forgotten. A
character takes 250 bytes: half for its figures, half for hidden states."""

MOST_LEFT = 64
"""Texts that were left and are kept as they were read."""

NO_DISTRIBUTION = NextCharDistribution((), 0.0, 0, 0, 0.0)
"""Where the model has not read so far."""


class Reading:
    """What was read with one prime. A text whose prime was edited has none, and is read anew."""

    def __init__(self, session: Session, text: Text) -> None:
        self.session = session
        self.text = text  # its beginning is what was read
        self.prime_length = len(session.prime)
        self._left: deque[tuple[Text, PathEnd]] = deque(maxlen=MOST_LEFT)

    @property
    def read_to(self) -> int:
        """Characters from the first one of the prime on that were read."""
        return self.prime_length + len(self.session)

    def follow(self, text: Text) -> None:
        """Go on from where ``text`` is the same as the one that was read, or one of those that were left."""
        session = self.session
        if (known := len(self.text)) < self.read_to:  # the session has generated since
            self.text += Text.of(session.read(known - self.prime_length, len(session)), GENERATED)
        same = text.same_start(self.text, sources=False)
        if same < self.read_to:
            self._left.append((self.text, session.path_end))
            place = session.path_end
            for other, end in self._left:
                common = min(self.prime_length + end.length, text.same_start(other, sources=False))
                if common > same:
                    same, place = common, end
            session.go_to(place, max(0, same - self.prime_length))
            self._forget(len(text))
        self.text = text

    def _forget(self, length: int) -> None:
        """Forget the texts that were left first, when too much is kept."""
        if self.session.held <= 2 * length + MOST_KEPT:
            return
        while self._left and self.session.held > length + MOST_KEPT // 2:
            for _ in range(1 + len(self._left) // 2):
                self._left.popleft()
            self.session.keep_only([end for _, end in self._left])


class Reader:
    """Follows a document. Positions are those of the document.

    Args:
        document: what is read.
        session: that has read the document's prime, or as much of its text as it has.

    Attributes:
        session: what has read the text up to :attr:`read_to`; the text after the prime is its current text.
    """

    def __init__(self, document: Document, session: Session) -> None:
        self.document = document
        text = document.text
        known = Text.of(session.prime + session.read(), 0)
        self._readings = [Reading(session, known)]
        self._reading = self._readings[0]
        self._version = -1
        assert text.starts_with(Text.of(session.prime, 0)) or not document.prime_length
        self.follow()

    @property
    def session(self) -> Session:
        return self._reading.session

    @property
    def read_to(self) -> int:
        """How many characters of the text were read; the prime always is."""
        self.follow()
        return self._reading.read_to

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
        only_generated = document.settled_version == self._version and self._reading.read_to == len(document)
        version = document.version
        if only_generated:  # since then, by this reader, which is the end of the text
            self._reading.text, self._version = document.text, version
        elif version != self._version:
            text, prime_length = document.text, document.prime_length
            if not self._fits(self._reading, text, prime_length):
                found = (each for each in self._readings if self._fits(each, text, prime_length))
                self._reading = next(found, None) or self._begin(text.part(0, prime_length))
            self._reading.follow(text)
            self._version = version
        self.session.seed = document.seed

    def _fits(self, reading: Reading, text: Text, prime_length: int) -> bool:
        if reading.prime_length != prime_length:
            return False
        return text.same_start(reading.text, sources=False) >= prime_length

    def _begin(self, prime: Text) -> Reading:
        """Begin to read with another prime. One that was edited has no characters: all of the text is read as text."""
        old = self.session
        session = Session.of(old.model, read_prime(old.model, prime.read()), old.recipe, stepper=old.shared_stepper)
        self._readings = [self._reading, Reading(session, prime)]  # of the others none is near
        return self._readings[-1]

    # ---- settings

    @property
    def settings(self) -> SamplerSettings:
        return self.session.settings

    @settings.setter
    def settings(self, settings: SamplerSettings) -> None:
        for reading in self._readings:
            reading.session.settings = settings

    @property
    def clamps(self) -> tuple[Clamp, ...]:
        return self.session.clamps

    @clamps.setter
    def clamps(self, clamps: Sequence[Clamp]) -> None:
        for reading in self._readings:
            reading.session.clamps = clamps

    # ---- reading

    def read(self, until: int, proceed: Callable[[], bool] = lambda: True) -> bool:
        """Read the text up to position ``until``. ``proceed`` is asked every :data:`READ_CHUNK` characters whether to
        go on; what was read by then stays read. Returns whether all of it was."""
        self.follow()
        session, text = self.session, self.document.text
        until = min(until, len(text))
        start = self._reading.read_to
        if start >= until:
            return True
        session.rewind(len(session))
        rows = np.zeros(until - start, session.rows(0, 0).dtype)
        rows["id"], _ = session.model.vocabulary.encode(text.read(start, until))
        rows["source"], rows["char"] = text.sources(start, until), text.codes(start, until)
        for place in range(0, until - start, READ_CHUNK):
            if not proceed():
                return False
            session.put_back(rows[place : place + READ_CHUNK])
        return True

    def rows(self, start: int, stop: int) -> Rows:
        """The figures of the characters ``start`` to ``stop``, which are read and after the prime."""
        self.follow()
        first = self._reading.prime_length
        return self.session.rows(max(0, start - first), max(0, stop - first))

    def at(self, position: int) -> Step | None:
        """The figures of one character; None where it is not read."""
        self.follow()
        place = position - self._reading.prime_length
        return self.session.at(place) if 0 <= place < len(self.session) else None

    def go_to(self, position: int) -> bool:
        """Let :attr:`session` stand at ``position``, to ask what could come next there. Returns whether the text is
        read up to there."""
        self.follow()
        place = position - self._reading.prime_length
        if not 0 <= place <= len(self.session):
            return False
        self.session.rewind(place)
        return True

    def distribution(self, position: int, count: int) -> NextCharDistribution:
        """What could come at ``position``; without characters where the text is not read up to there."""
        if not self.go_to(position):
            return NO_DISTRIBUTION
        return self.session.next_char_distribution(count)

    def draw(self, position: int, count: int, seed: int) -> str:
        """``count`` characters as another seed draws them at ``position``, up to which the text is read. Changes
        nothing."""
        self.go_to(position)
        session, end = self.session, self.session.path_end
        session.seed = seed
        try:
            return "".join(step.char for step in session.stream(count))
        finally:
            session.seed = self.document.seed
            session.go_to(end, end.length)

    def generate(self) -> str:
        """Draw a character at the end of the text, all of which is read, and add it to the document."""
        if self.document.settled_version != self._version:
            self.follow()
        session = self.session
        session.rewind(len(session))
        char = session.step().char
        self.document.generate(char)
        return char

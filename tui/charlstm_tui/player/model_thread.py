"""Compute on a background thread what is wanted of texts: figures, what could come next, generated characters.

The message loop has the texts (:mod:`charlstm_tui.player.text_player`). What the loop wants of a text is an
:class:`Order` about an immutable value. A newer order takes the place of the earlier one, also in the middle of its
work. What was computed comes back as a :class:`Batch` about exactly one order, at most 20 a second while text streams.

One thread serves all texts (Duel has two), for models and their packed weights are shared between them. Characters are
generated when they can be shown: generating them one by one, each after a wait, would find the weights out of the
processor's cache.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from charlstm.errors import CharLSTMError
from charlstm.generation import reading_cache
from charlstm.generation.document import Document
from charlstm.generation.prime import read_prime
from charlstm.generation.reading import Continuation, Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import ALTERNATIVES, GENERATED, NextCharDistribution
from charlstm.generation.text_pieces import Text
from charlstm.generation.threads import blas_threads
from charlstm.text.sentences import LONGEST_END, ends_sentence
from charlstm.text.unit_kinds import separator
from charlstm_tui import formatting
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.player.edits import LONGEST_SENTENCE, as_suggestion
from charlstm_tui.player.figures import NewFigures, figures_of
from charlstm_tui.player.opening import LearntModel, LoadedModel
from charlstm_tui.player.played import FULL

SLICE = 0.008
"""Seconds of computing for one text before the next one has its turn."""
LONGEST_DRAW = 0.03
"""Seconds without computing after an order or a batch, unless the screen has drawn it earlier. Both at once would
compete for the interpreter, and drawing would take twice as long."""
LONGEST_WAIT = 0.25
"""Seconds after which an order begins where nothing is drawn, as behind a dialog. Waking the thread for each order
would take a turn of the interpreter before the screen has drawn what the key did."""
BATCH_INTERVAL = 1 / 20
"""Seconds between two batches of text that streams. Drawing one takes the screen some 10 ms, for which keys wait."""
READING_INTERVAL = 0.25
"""Seconds between two batches while a model reads. For each one it reads again up to 64 characters."""
READ_ON_AFTER = 0.5
"""Seconds without another order before the text behind the cursor is read in Write: who types there is not held up."""
LONGEST_UNIT = 20_000
"""Characters after which a unit that is to be generated ends without its end."""
MAX_DELAY = 0.25
"""Seconds that characters may be late, before they are skipped."""
MAX_UNSEEN = 20_000
"""Characters that are generated before the screen takes a batch."""
PROGRESS_AFTER = 0.3
"""Seconds of reading before its progress is shown."""
RATE_INTERVAL = 0.5
"""Seconds over which characters per second are measured."""
CHOICES = 200
"""Characters to choose from at the cursor, while no text streams."""
SUGGESTION_LENGTH = 60
LEARNT_CONTEXT = 1024
"""Characters that a learning copy reads before it suggests: trained models forget earlier characters."""
MOST_READINGS = 2
"""Readings that are kept of a text: with its prime and after an edit of it, by one model and by another."""
ERROR_PAUSE = 0.5
"""Seconds without doing anything after an error outside all texts, so that one that repeats does not take all of a
processor."""

Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Stream:
    """Text that is generated: so many characters, at full speed or so many a second; with ``to_sentence`` then on to
    the end of a sentence, with ``to_unit`` to that of a unit."""

    speed: float
    count: int
    to_sentence: bool = False
    to_unit: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What the loop asks once the text is read up to ``reads``: ``ask(work)`` is called on the thread, ``grown`` with
    what it tells meanwhile and ``then`` with its answer on the loop."""

    reads: int
    ask: Callable[[Work], Any]
    changes_text: bool = True
    """Whether the answer changes the text: what is typed meanwhile comes afterwards."""
    grown: Callable[[Any], object] = lambda answer: None
    then: Callable[[Any], object] = lambda answer: None


@dataclass(frozen=True, slots=True)
class Order:
    """All that is wanted of one text now. Where two are equal, the same is wanted.

    Attributes:
        figures_from: the loop has the figures of the characters before.
        writing: the text is read up to the cursor first; else all of it.
        suggests: whether a suggestion of how the text could continue at the cursor is wanted, from ``learnt`` if that
            is a copy.
        file: the one that it was opened from, with which what a model has read of it may have been kept: where cells
            are held, then while the prime is read too.
    """

    loaded: LoadedModel
    text: Text
    prime_length: int
    cursor: int
    recipe: Recipe
    figures_from: int = field(default=0, compare=False)
    writing: bool = False
    stream: Stream | None = None
    question: Question | None = None
    suggests: bool = False
    learnt: LearntModel | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What was computed for an order since the batch before.

    Attributes:
        added: characters that were generated at the end of the text.
        figures: of the characters that were read since.
        ahead: what could come at the cursor, once the text is read up to there.
        answer: what was asked for, or with ``answered`` not set what is known of it so far.
        stopped: why no more is generated: ``count``, ``sentence`` or ``unit``.
        rate: characters per second, measured.
        progress: a sentence about what is being read, if that takes long.
        failure: a sentence about why the order cannot be carried out.
    """

    order: Order
    added: str = ""
    figures: NewFigures | None = None
    ahead: NextCharDistribution | None = None
    suggestion: str | None = None
    answer: Any = None
    answered: bool = False
    stopped: str = ""
    rate: float | None = None
    progress: str = ""
    failure: str = ""


class _Interrupted(Exception):
    """There is a newer order, or the turn of another text has come."""


class Work:
    """What the thread has done for the order of one text.

    Attributes:
        reading: that has read the text, as far as it has.
        readings: of the text with this prime and with another one, by this model and by another; the first one is
            ``reading``.
        added: characters that were drawn, and not handed over.
        is_done: whether what the order wants is computed, but for what may be read and suggested afterwards.
    """

    def __init__(self, post: Callable[[Batch], None], order: Order, check: Check) -> None:
        self._post = post
        self.readings: list[Reading] = []
        self.reading: Reading
        self.begin(order, check)

    def begin(self, order: Order, check: Check) -> None:
        """Begin with an order, in the place of the one before. ``check`` raises when there is a newer one."""
        self.order, self.check = order, check
        self.added = list[str]()
        self.is_followed = self.is_done = self.is_failed = self.is_answered = self._is_suggested = False
        self._drawn, self._stopped = 0, ""
        self._end = ""  # of the text
        self._figures_to = order.figures_from
        self._read_from, self._read_since = 0, 0.0
        self._owed = 0.0  # characters that are due
        self._rated = 0
        self._rate: float | None = None
        self._begun_at = self._posted_at = self._paced_at = self._rated_at = time.monotonic()

    # ---- turns

    def seconds_to_wait(self, now: float, visible: bool) -> float:
        """When there is something to do."""
        if self._is_idle:
            return math.inf
        if self.is_done and self.order.writing and not self._suggests:
            return self._begun_at + READ_ON_AFTER - now
        stream = self._streams
        if stream is None or not self.is_followed or self.reading.read_to < self._goal:
            return 0.0
        if not visible or len(self.added) >= MAX_UNSEEN:
            return math.inf
        if stream.speed == FULL:
            return 0.0
        return max((1 - self._owed_at(stream, now)) / stream.speed, self._posted_at + BATCH_INTERVAL - now)

    @property
    def _streams(self) -> Stream | None:
        """What is to be generated still."""
        return None if self.order.question is not None or self._stopped else self.order.stream

    @property
    def _is_idle(self) -> bool:
        if self.is_failed:
            return True
        return self.is_done and self.reading.read_to >= len(self.order.text) and not self._suggests

    @property
    def _suggests(self) -> bool:
        """Whether a suggestion is to be found still."""
        return self.order.suggests and not self._is_suggested

    @property
    def _goal(self) -> int:
        """Up to where the text has to be read for what the order wants."""
        order = self.order
        if order.question is not None:
            return order.question.reads
        return order.cursor if order.writing and order.stream is None else len(order.text)

    def turn(self, until: float, may_post: bool) -> None:
        """Work for some milliseconds."""
        order = self.order
        if self.is_failed:
            return
        try:
            if not self.is_followed:
                self._follow(order)
            if self.reading.read_to < self._goal:
                self._read(self._goal, until)
            elif order.question is not None and not self.is_answered:
                self._answer(order.question)
            elif (stream := self._streams) is not None:
                self._draw(stream, until, may_post)
            elif not self.is_done:
                self.is_done = True
                self._hand_over(ahead=self._ahead(order.cursor, CHOICES))
            elif self._suggests:
                suggestion = self.suggest()
                self._is_suggested = True
                self._hand_over(suggestion=suggestion)
            elif self.reading.read_to < len(order.text):
                self._read(len(order.text), until)
        except _Interrupted:
            pass
        except Exception as error:
            self.is_failed = True
            if not isinstance(error, CharLSTMError):
                LOG.exception("Unexpected error in the thread that generates")
            self._post(Batch(order, failure=sentence(error, "generating")))

    # ---- reading

    def _follow(self, order: Order) -> None:
        """Let a reading with the model and the prime of the order follow its text."""
        of_model = (each for each in self.readings if each.model is order.loaded.model)
        fitting = (each for each in of_model if each.fits(order.text, order.prime_length))
        reading = next(fitting, None) or self._recall(order) or self._begin_reading(order)
        self.readings = [reading, *(each for each in self.readings if each is not reading)][:MOST_READINGS]
        self.reading = reading
        reading.use(order.recipe)
        reading.follow(order.text)
        self.is_followed = True
        self._read_from, self._read_since = reading.read_to, time.monotonic()
        self._paced_at = self._read_since
        self._end = order.text.read(max(0, len(order.text) - LONGEST_END))

    def _begin_reading(self, order: Order) -> Reading:
        begin, told = time.monotonic(), time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal told
            self.check()
            now = time.monotonic()
            if done and now - begin > PROGRESS_AFTER and now - told > BATCH_INTERVAL:
                told = now
                self._post(Batch(order, progress=_progress("reading the prime", now - begin, done, total)))

        model, prime = order.loaded.model, order.text.read(0, order.prime_length)
        recipe = order.recipe if order.file is not None else replace(order.recipe, clamps=())
        return Reading(model, read_prime(model, prime), recipe, stepper=order.loaded.stepper, progress=show)

    def _recall(self, order: Order) -> Reading | None:
        """The reading of this text from an earlier play, if kept."""
        if order.file is None or self.readings:
            return None
        document = Document(order.text.read(0, order.prime_length))
        return reading_cache.recall(order.file, document, order.loaded.model, order.loaded.stepper, order.recipe)

    def _read(self, goal: int, until: float) -> None:
        """Read on, until it is the turn of another text."""
        try:
            self.reading.read(goal, lambda: self._check_until(until))
        finally:
            now, is_read = time.monotonic(), self.reading.read_to >= goal
            if (is_read and self.is_done) or now - self._posted_at >= READING_INTERVAL:
                done, unread = self.reading.read_to - self._read_from, goal - self.reading.read_to
                words = ""
                if now - self._read_since >= PROGRESS_AFTER and unread and not self.is_done:
                    words = _progress("reading again", now - self._read_since, done, done + unread)
                self._hand_over(progress=words)

    def _check_until(self, until: float) -> None:
        self.check()
        if time.monotonic() >= until:
            raise _Interrupted

    # ---- generating

    def _owed_at(self, stream: Stream, now: float) -> float:
        """How many characters are due by now."""
        most = max(1.0, stream.speed * (MAX_DELAY + BATCH_INTERVAL))  # the model is slower than the speed
        return min(most, self._owed + (now - self._paced_at) * stream.speed)

    def _draw(self, stream: Stream, until: float, may_post: bool) -> None:
        """Generate what is due, for a slice of time."""
        now = time.monotonic()
        if stream.speed != FULL:
            self._owed, self._paced_at = self._owed_at(stream, now), now
        is_late = True
        while now < until and is_late and not self._stopped:
            self.check()
            char = self.reading.draw()
            self.added.append(char)
            self._end = (self._end + char)[-max(LONGEST_END, self.reading.stepper.separator_length) :]
            self._drawn, self._rated, self._owed = self._drawn + 1, self._rated + 1, self._owed - 1
            is_late = stream.speed == FULL or self._owed >= 1
            if self._drawn >= stream.count:
                self._stopped = self._why_stopped(stream)
            now = time.monotonic()
        if now - self._rated_at >= RATE_INTERVAL:
            self._rate = self._rated / (now - self._rated_at)
            self._rated_at, self._rated = now, 0
        interval = 2 * BATCH_INTERVAL if is_late and stream.speed != FULL else BATCH_INTERVAL
        if self._stopped or (may_post and now - self._posted_at >= interval):
            self._hand_over(ahead=self._ahead(self.reading.read_to, ALTERNATIVES))

    def _why_stopped(self, stream: Stream) -> str:
        if stream.to_unit and (units := self.reading.model.text_options.units) is not None:
            is_ended = self._end.endswith(separator(units)) or self._drawn >= stream.count + LONGEST_UNIT
            return "unit" if is_ended else ""
        if not stream.to_sentence:
            return "count"
        is_ended = ends_sentence(self._end) or self._drawn >= stream.count + LONGEST_SENTENCE
        return "sentence" if is_ended else ""

    # ---- what could come

    def _ahead(self, position: int, count: int) -> NextCharDistribution:
        """What could come at a position, with at most ``count`` alternatives."""
        return self.reading.distribution(position, count)

    def _answer(self, question: Question) -> None:
        self.is_followed = False  # an interrupted question leaves no characters
        answer = question.ask(self)
        self.is_followed = self.is_answered = True
        self._hand_over(answer=answer, answered=True)

    def tell(self, answer: object) -> None:
        """Hand over what is known so far of an answer."""
        if time.monotonic() - self._posted_at >= BATCH_INTERVAL:
            self._hand_over(answer=answer)

    def ways_on(
        self, position: int, count: int, length: int, *, first: int = 1, lines: int | None = None,
        grown: Callable[[Sequence[Continuation]], object] = lambda found: None,
    ) -> list[Continuation]:  # fmt: skip
        """Texts that could come at a position, up to which the text is read; by the copy that has learnt, if there is
        one."""

        def check(found: Sequence[Continuation]) -> object:
            self.check()
            return grown(found)

        reading, read_to, drawn_at = self._offering(position)
        return reading.ways_on(read_to, count, length, first=first, lines=lines, grown=check, drawn_at=drawn_at)

    def _offering(self, position: int) -> tuple[Reading, int, int]:
        """The reading that offers texts at a position: of the text, or of its end by the copy that has learnt. With it
        the position in that reading, and the offset after the prime, to which the random numbers belong in both."""
        order = self.order
        drawn_at = max(0, position - order.prime_length)
        if order.learnt is None:
            return self.reading, position, drawn_at
        model, text = order.learnt.model, order.text.read(max(0, position - LEARNT_CONTEXT), position)
        reading = Reading(
            model, read_prime(model, text), order.recipe, stepper=order.learnt.stepper,
            progress=lambda done, total: self.check(),
        )  # fmt: skip
        return reading, len(text), drawn_at

    def suggest(self) -> str:
        """How the text could continue at the cursor: what would be generated there now."""
        order = self.order
        reading, read_to, drawn_at = self._offering(order.cursor)
        found = reading.suggest(read_to, SUGGESTION_LENGTH, lambda done: self.check(), drawn_at=drawn_at)
        return as_suggestion(found, within=order.cursor < len(order.text))

    # ---- handing over

    def _hand_over(self, **values: Any) -> None:
        """Post what is new."""
        order, reading = self.order, self.reading
        start, end = max(order.prime_length, self._figures_to), min(reading.read_to, len(order.text) + self._drawn)
        figures = self._figures(start, end) if end > start else None
        self._figures_to = end
        added, self.added = "".join(self.added), []
        self._posted_at = time.monotonic()
        self._post(Batch(order, added=added, figures=figures, stopped=self._stopped, rate=self._rate, **values))

    def _figures(self, start: int, stop: int) -> NewFigures:
        order = self.order
        sources = order.text.sources(start, stop)
        sources = np.concatenate([sources, np.full(stop - start - len(sources), GENERATED, np.uint8)])
        return figures_of(self.reading.rows(start, stop), sources, order.loaded.model.vocabulary.codes, start)


def _progress(doing: str, seconds: float, done: int, total: int) -> str:
    left = formatting.clock(seconds * (total - done) / done) if done else "–"
    return f"{doing} {100 * done / total:.0f} %, left {left}"


class ModelThread:
    """The thread. ``deliver`` is called on it with each batch and the number of its text; who draws it calls
    :meth:`drawn` then."""

    def __init__(self, deliver: Callable[[int, Batch], object]) -> None:
        self._deliver = deliver
        self._changed = threading.Condition()
        self._orders: dict[int, Order] = {}
        self._acts: deque[Callable[[], object]] = deque()
        self._works: dict[int, Work] = {}  # on the thread alone
        self._quiet_until = 0.0
        self._is_delivered = False  # and not drawn yet
        self._visible = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="charlstm-model", daemon=True)

    # ---- for the loop; nothing here waits but close()

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def put(self, number: int, order: Order) -> None:
        """Let this be what is wanted of text ``number``."""
        with self._changed:
            self._orders[number] = order
            self._quiet_until = time.monotonic() + LONGEST_DRAW
            if order.question is not None:  # else it begins when the screen has drawn
                self._changed.notify()

    def forget(self, number: int) -> None:
        """Nothing more is wanted of a text, and what was read of it is forgotten."""
        with self._changed:
            self._orders.pop(number, None)
            self._acts.append(lambda: self._works.pop(number, None))
            self._changed.notify()

    def do(self, number: int, act: Callable[[Reading | None], object]) -> None:
        """Do something on the thread with what is read of a text so far, whatever order comes next; ``None`` if nothing
        is."""
        with self._changed:
            self._acts.append(lambda: act(self._reading_of(number)))
            self._changed.notify()

    def _reading_of(self, number: int) -> Reading | None:
        work = self._works.get(number)
        return None if work is None or not work.readings else work.readings[0]

    def drawn(self) -> None:
        """Say that what was put and delivered is on the screen: the thread goes on."""
        with self._changed:
            self._quiet_until, self._is_delivered = 0.0, False
            self._changed.notify()

    def set_visible(self, visible: bool) -> None:
        """Say whether Generate is on the screen. While it is not, no character is generated, which leaves the processor
        to training."""
        with self._changed:
            self._visible = visible
            self._changed.notify()

    def close(self, timeout: float) -> bool:
        """End the thread, after what it has to do with what was read. Waits ``timeout`` seconds at most; returns
        whether it has ended."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # ---- the thread

    @blas_threads(1)  # entered once, as entering it for each character would take time
    def _run(self) -> None:
        while True:
            try:
                if self._turn():
                    return
            except Exception:
                LOG.exception("Unexpected error in the thread that generates")
                time.sleep(ERROR_PAUSE)

    def _turn(self) -> bool:
        """Wait for something to do, and do it for some milliseconds. Returns whether the thread is to end."""
        acts, orders, closing = self._wait()
        for act in acts:
            try:
                act()
            except Exception as error:
                LOG.warning("What was read of a text cannot be used: %s", error)
        if closing:
            return True
        for number, order in orders.items():
            work, check = self._works.get(number), partial(self._check, number, order)
            if work is None:
                self._works[number] = Work(partial(self._post, number), order, check)
            elif work.order is not order:
                work.begin(order, check)
        now, may_post = time.monotonic(), not self._is_delivered
        for work in self._works.values():
            if work.seconds_to_wait(now, self._visible) <= 0:
                work.turn(time.monotonic() + SLICE, may_post)
        return False

    def _check(self, number: int, order: Order) -> None:
        if self._closing or self._acts or self._orders.get(number) is not order:
            raise _Interrupted

    def _wait(self) -> tuple[list[Callable[[], object]], dict[int, Order], bool]:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._acts or self._closing:
                    break
                wait = self._seconds_to_wait(now)
                if wait <= 0:
                    break
                self._changed.wait(min(wait, LONGEST_WAIT))
            acts = [*self._acts]
            self._acts.clear()
            return acts, dict(self._orders), self._closing

    def _seconds_to_wait(self, now: float) -> float:
        quiet = max(0.0, self._quiet_until - now)
        waits = [math.inf]
        for number, order in self._orders.items():
            work = self._works.get(number)
            if work is None or work.order is not order:  # what is asked for is not put off
                waits.append(quiet if order.question is None else 0.0)
            elif order.question is not None and not work.is_answered:
                waits.append(0.0)
            else:
                waits.append(max(quiet, work.seconds_to_wait(now, self._visible)))
        return min(waits)

    def _post(self, number: int, batch: Batch) -> None:
        with self._changed:
            self._is_delivered = True
            self._quiet_until = time.monotonic() + LONGEST_DRAW
        self._deliver(number, batch)


class Orders:
    """The orders for one text: the order that the ``thread`` has, and the part of its work that is still wanted."""

    def __init__(self, thread: ModelThread, number: int) -> None:
        self.thread, self._number = thread, number
        self.clear()

    def clear(self) -> None:
        """No order stands any more."""
        self._placed: Order | None = None
        self._wanted: Order | None = None

    def forget(self) -> None:
        """The text has ended."""
        self.clear()
        self.thread.forget(self._number)

    def stands(self, order: Order) -> bool:
        """Whether what was computed for an order is still wanted."""
        return order is self._placed

    def go_on_with(self, order: Order | None) -> None:
        """After a batch the placed order stands for ``order``, which wants the rest of the work."""
        self._wanted = order

    def place(self, order: Order | None) -> None:
        """Let this be wanted, if something else was."""
        if order is not None and order != self._wanted:
            self._wanted = self._placed = order
            self.thread.put(self._number, order)

    def do(self, act: Callable[[Reading | None], object]) -> None:
        """See :meth:`ModelThread.do`."""
        self.thread.do(self._number, act)

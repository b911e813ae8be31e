"""The thread that computes for texts: what it delivers, about which order, and that it ends."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import TYPED
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.text_pieces import Text
from charlstm.text.reading import TextOptions
from charlstm_tui.player import model_thread
from charlstm_tui.player.model_thread import Batch, ModelThread, Order, Question, Stream, Work
from charlstm_tui.player.opening import LoadedModel
from charlstm_tui.player.played import FULL
from recorded_run import PRIME, tiny_model
from waiting import wait_until


class Running:
    """A thread that computes for text 0, and what it has delivered."""

    def __init__(self) -> None:
        model = tiny_model(prime=PRIME)
        self.loaded = LoadedModel((Path(), None), model, Stepper(model), "")
        self.batches: list[Batch] = []
        self.thread = ModelThread(lambda number, batch: self.batches.append(batch))

    def order(self, text: str = PRIME, **values: Any) -> Order:
        """Put an order about a text that begins with the prime."""
        values = {"cursor": len(text), "figures_from": len(PRIME), **values}
        order = Order(self.loaded, Text.of(text, TYPED), len(PRIME), recipe=Recipe(), **values)
        self.thread.put(0, order)
        return order

    def until(self, condition: Callable[[Batch], bool], seconds: float = 60) -> Batch:
        """Wait for a batch, as a screen does that draws each one."""
        deadline, seen = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            for batch in self.batches[seen:]:
                seen += 1
                if condition(batch):
                    return batch
            self.thread.drawn()
            time.sleep(0.002)
        raise AssertionError(f"not within {seconds} s: {self.batches[-3:]}")

    def added(self, order: Order) -> str:
        return "".join(batch.added for batch in self.batches if batch.order is order)


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    running.thread.start()
    yield running
    assert running.thread.close(60)


def test_batch_is_about_the_order_that_was_put_last(running: Running) -> None:
    """What was generated and not taken is generated again."""
    first = running.order(stream=Stream(FULL, 10**9))
    running.until(lambda batch: bool(batch.added))
    taken = running.added(first)
    second = running.order(PRIME + taken, stream=Stream(FULL, 50))
    running.until(lambda batch: batch.order is second and bool(batch.stopped))
    expected = Session(tiny_model(), PRIME)
    whole = "".join(step.char for step in expected.stream(len(taken) + 50))
    assert taken + running.added(second) == whole
    count = len(running.batches)
    running.thread.drawn()
    third = running.order(PRIME + whole)
    running.until(lambda batch: batch.order is third and batch.ahead is not None)
    assert all(batch.order is third for batch in running.batches[count:])


def test_stream_to_a_unit_ends_with_it(running: Running) -> None:
    model = replace(running.loaded.model, text_options=TextOptions(units="lines"))
    running.loaded = replace(running.loaded, model=model, stepper=Stepper(model))
    order = running.order(stream=Stream(FULL, 1, to_unit=True))
    assert running.until(lambda batch: bool(batch.stopped)).stopped == "unit"
    added = running.added(order)
    assert added.index("\n") == len(added) - 1


def test_nothing_is_generated_while_the_text_is_hidden() -> None:
    work = Work(lambda batch: None, Running().order(stream=Stream(60, 10)), lambda: None)
    work.turn(math.inf, may_post=True)
    now = time.monotonic()
    assert work.seconds_to_wait(now, visible=False) == math.inf
    assert work.seconds_to_wait(now, visible=True) <= model_thread.BATCH_INTERVAL


def test_rate_counts_the_characters_since_it_was_measured_last(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, batches = [0.0], list[Batch]()
    monkeypatch.setattr(model_thread, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    work = Work(batches.append, Running().order(stream=Stream(60, 10**9)), lambda: None)
    for _ in range(12):
        work.turn(math.inf, may_post=True)
        clock[0] += 0.25
    assert batches[-1].rate == 60


def test_question_is_answered_once_the_text_is_read_and_goes_with_its_order(running: Running) -> None:
    text = PRIME + "the light on the stairs"
    asked = Question(len(text), lambda work: (work.reading.read_to, work.reading.draw()), print)
    order = running.order(text, question=asked)
    answered = running.until(lambda batch: batch.answered)
    assert (answered.order, answered.answer[0]) == (order, len(text))
    assert answered.figures.start + len(answered.figures.marks) == len(text)  # not of what it has drawn

    held, begun = threading.Event(), threading.Event()

    def ask(work: Work) -> None:
        begun.set()
        held.wait(60)
        work.check()

    running.order(text, question=Question(0, ask, print))
    assert begun.wait(60)
    newer = running.order(text)
    held.set()
    count = len(running.batches)
    running.until(lambda batch: batch.order is newer and batch.ahead is not None)
    assert not any(batch.answered for batch in running.batches[count:])


def test_error_ends_one_order(running: Running, monkeypatch: pytest.MonkeyPatch, unexpected_errors: deque[str]) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bad luck")

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "draw", fail)
        running.order(stream=Stream(FULL, 20))
        assert "ValueError: bad luck" in running.until(lambda batch: bool(batch.failure)).failure
    assert "ValueError: bad luck" in unexpected_errors[0]
    again = running.order(stream=Stream(FULL, 20))
    running.until(lambda batch: batch.order is again and bool(batch.stopped))


def test_thread_survives_an_error_outside_all_texts(unexpected_errors: deque[str]) -> None:
    running, failures = Running(), iter([True])

    def deliver(number: int, batch: Batch) -> None:
        if next(failures, False):
            raise RuntimeError("bad luck")
        running.batches.append(batch)

    running.thread = ModelThread(deliver)
    running.thread.start()
    running.order()
    wait_until(lambda: unexpected_errors)
    order = running.order(stream=Stream(FULL, 10))
    running.until(lambda batch: batch.order is order and bool(batch.stopped))
    assert running.thread.close(60)


def test_closing_ends_a_stream_at_once(running: Running) -> None:
    running.order(stream=Stream(FULL, 10**9))
    running.until(lambda batch: bool(batch.added))
    assert running.thread.close(60)

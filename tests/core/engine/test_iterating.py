"""A trainer that is iterated several times, and what it changes in the process of its caller."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from charlstm.engine.train_step import TrainStep
from charlstm.engine.trainer import Trainer
from charlstm.errors import RunError
from charlstm.model.file import Model
from charlstm.text.corpus import Corpus
from charlstm.training.events import Event, Finished, Started
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from small_training import MemoryStore, ScriptedCommands, log_of

pytestmark = pytest.mark.numeric

COMMANDS: dict[int, list[tuple[str, float | None]]] = {
    8: [("checkpoint", None), ("set-lr", 1e-3)],
    20: [("pause", None), ("resume", None)],
}


def sample(model: Model) -> tuple[str, str]:
    return "the", f"{float(sum(np.abs(array).sum() for array in model.weights.values())):.9e}"


def trained(
    corpus: Corpus, settings: Settings, plan: Plan, pieces: Callable[[int], int]
) -> tuple[list[Event], MemoryStore]:
    """All events of a trainer whose n-th iterator is closed after ``pieces(n)`` events and followed by another."""
    store, commands = MemoryStore(), ScriptedCommands(COMMANDS)
    trainer = Trainer(corpus, settings, sample=sample, store=store, plan=plan, commands=commands)
    events: list[Event] = []
    turn = 0
    while not (events and isinstance(events[-1], Finished)):
        stream = trainer.events()
        for _ in range(pieces(turn)):
            event = next(stream, None)
            assert event is not None or isinstance(events[-1], Finished)
            if event is None:
                break
            commands.see(event)
            events.append(event)
        stream.close()
        turn += 1
    assert list(trainer.events()) == []
    return events, store


def assert_same(a: tuple[list[Event], MemoryStore], b: tuple[list[Event], MemoryStore]) -> None:
    assert log_of(a[0]) == log_of(b[0])
    assert [event.name for event in a[0] if event.name != "checkpoint"] == [
        event.name for event in b[0] if event.name != "checkpoint"
    ]
    assert a[1].order == b[1].order
    assert [state.step for state in a[1].states] == [state.step for state in b[1].states]
    last_a, last_b = a[1].states[-1], b[1].states[-1]
    assert last_a.tensors.keys() == last_b.tensors.keys()
    for name, array in last_a.tensors.items():
        assert array.tobytes() == last_b.tensors[name].tobytes(), name


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_trainer_iterated_again_at_any_event_continues_exactly(
    corpus: Corpus, settings: Settings, plan: Plan, pieces: int
) -> None:
    whole = trained(corpus, settings, plan, lambda _: 10**6)
    assert_same(trained(corpus, settings, plan, lambda _: pieces), whole)


def test_resumed_trainer_iterated_again_continues_exactly(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    _, store = trained(corpus, settings, plan, lambda _: 10**6)
    state = next(state for state in store.states if state.step >= 8)
    whole = list(Trainer.resume(corpus, settings, state, sample=sample).events())
    trainer = Trainer.resume(corpus, settings, state, sample=sample)
    parts: list[Event] = []
    while not (parts and isinstance(parts[-1], Finished)):
        parts.append(next(trainer.events()))
    assert parts[0].name == "resumed"
    assert log_of(parts) == log_of(whole)


def test_finished_trainer_yields_nothing_more(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    store = MemoryStore()
    trainer = Trainer(corpus, settings, store=store, plan=plan)
    list(trainer.events())
    best, written = trainer.best, len(store.order)
    assert list(trainer.events()) == []
    assert len(store.order) == written
    assert all(np.array_equal(array, trainer.best.weights[name]) for name, array in best.weights.items())


def test_trainer_refuses_a_second_iterator_while_one_is_in_use(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    trainer = Trainer(corpus, settings, sample=sample, plan=plan)
    first = trainer.events()
    events = [next(first)]
    with pytest.raises(RunError, match="already being iterated"):
        next(trainer.events())
    events += first  # and the first continues
    assert log_of(events) == log_of(list(Trainer(corpus, settings, sample=sample, plan=plan).events()))


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_trainer_that_was_interrupted_within_a_step_cannot_continue(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    step = TrainStep.step

    def breaks(learner: TrainStep, number: int, rate: float) -> object:
        if number == 10:
            raise kind("in the middle")
        return step(learner, number, rate)

    monkeypatch.setattr(TrainStep, "step", breaks)
    trainer = Trainer(corpus, settings, plan=plan)
    with pytest.raises(kind):
        list(trainer.events())
    monkeypatch.undo()
    with pytest.raises(RunError, match=r"interrupted at step 10.*Trainer\.resume"):
        list(trainer.events())


def test_closed_iterator_leaves_no_thread_of_the_trainer(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    before = threading.active_count()
    stream = Trainer(corpus, settings, store=MemoryStore(), plan=plan).events()
    while next(stream).name != "checkpoint":
        pass
    stream.close()
    assert threading.active_count() == before


def test_trainer_restores_the_threads_and_does_not_use_the_generator_of_torch(
    corpus: Corpus, settings: Settings
) -> None:
    """Measured, from nothing, from a model and resumed: at every event, and at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        torch.manual_seed(11)
        random = torch.get_rng_state()
        threads = []
        seen: list[int] = []

        def look(model: Model) -> tuple[str, str]:
            seen.append(torch.get_num_threads())
            return "", ""

        settings = settings.with_changes(max_steps=4, val_every=2, kernel="auto", threads=2)
        store = MemoryStore()
        first = Trainer(corpus, settings, store=store, sample=look)
        for event in first.events():
            threads.append(torch.get_num_threads())
            assert torch.equal(torch.get_rng_state(), random), event
        child = Trainer(corpus, settings, start_from=first.best, plan=store.plans[0])
        resumed = Trainer.resume(corpus, settings, store.states[0])
        for trainer in (child, resumed):
            for event in trainer.events():
                threads.append(torch.get_num_threads())
                assert torch.equal(torch.get_rng_state(), random), event
        assert set(threads) == {3}
        assert set(seen) == {2}
        assert torch.get_num_threads() == 3
        stream = Trainer(corpus, settings, plan=store.plans[0]).events()
        assert isinstance(next(stream), Started)
        stream.close()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)

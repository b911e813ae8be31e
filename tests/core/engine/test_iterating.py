"""A trainer that is iterated several times, and what it changes in the process of its caller."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from charlstm.engine.train_step import TrainStep
from charlstm.engine.trainer import Trainer
from charlstm.errors import RunError
from charlstm.model.file import Model
from charlstm.text.corpus import Corpus
from charlstm.training.events import Event, Finished, Started
from charlstm.training.hooks import Hooks
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from small_training import MemoryStore, ScriptedCommands, log_of

pytestmark = pytest.mark.numeric

COMMANDS: dict[int, list[tuple[str, float | None]]] = {
    8: [("checkpoint", None), ("set-lr", 1e-3)],
    20: [("pause", None), ("resume", None)],
}


def sample(model: Model) -> tuple[str, str]:
    return "the", f"{float(sum(np.abs(array).sum() for array in model.weights.values())):.9e}"


def trained(corpus: Corpus, settings: Settings, plan: Plan, each: int) -> tuple[list[Event], MemoryStore]:
    """All events of a trainer of which each iterator is closed after ``each`` events and followed by another."""
    store, commands = MemoryStore(), ScriptedCommands(COMMANDS)
    trainer = Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), store=store, plan=plan)
    events: list[Event] = []
    while not (events and isinstance(events[-1], Finished)):
        stream = trainer.events()
        for _ in range(each):
            event = next(stream, None)
            assert event is not None or isinstance(events[-1], Finished)
            if event is None:
                break
            commands.see(event)
            events.append(event)
        stream.close()
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


def test_trainer_iterated_again_at_every_event_continues_exactly(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    assert_same(trained(corpus, settings, plan, 1), trained(corpus, settings, plan, 10**6))


def test_finished_trainer_yields_nothing_more(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    store = MemoryStore()
    trainer = Trainer(corpus, settings, store=store, plan=plan)
    list(trainer.events())
    best, written = trainer.best, len(store.order)
    assert list(trainer.events()) == []
    assert len(store.order) == written
    assert all(np.array_equal(array, trainer.best.weights[name]) for name, array in best.weights.items())


def test_trainer_refuses_a_second_iterator_while_one_is_in_use(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    trainer = Trainer(corpus, settings, hooks=Hooks(sample=sample), plan=plan)
    first = trainer.events()
    events = [next(first)]
    with pytest.raises(RunError, match="already being iterated"):
        next(trainer.events())
    events += first  # and the first continues
    assert log_of(events) == log_of(list(Trainer(corpus, settings, hooks=Hooks(sample=sample), plan=plan).events()))


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
    with pytest.raises(RunError, match="interrupted at step 10"):
        trainer.state()


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, int]]:
    """How many interrupts arrive in the middle of each training step; they are taken out once they were sent."""
    step, at = TrainStep.step, dict[int, int]()

    def interrupted(learner: TrainStep, number: int, rate: float) -> object:
        for _ in range(at.pop(number, 0)):
            signal.raise_signal(signal.SIGINT)
        return step(learner, number, rate)

    monkeypatch.setattr(TrainStep, "step", interrupted)
    yield at
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not at


def test_interrupt_ends_training_between_two_steps_and_the_next_call_continues_exactly(
    corpus: Corpus, settings: Settings, plan: Plan, interrupts: dict[int, int]
) -> None:
    whole: list[Event] = []
    plan = replace(plan, planned_steps=21)
    reference = Trainer(corpus, settings, hooks=Hooks(sample=sample), plan=plan)
    reference.train(whole.append)
    for number in (0, 5, 6, 13, 20):  # nothing is due after 5; a log line after 3; a validation after 6, 13 and 20
        interrupts[number] = 1
        trainer = Trainer(corpus, settings, hooks=Hooks(sample=sample), plan=plan)
        events: list[Event] = []
        with pytest.raises(KeyboardInterrupt):
            trainer.train(events.append)
        assert trainer.progress.step == number + 1
        resumed = Trainer.resume(corpus, settings, trainer.state(), hooks=Hooks(sample=sample))
        trainer.train(events.append)
        assert log_of(events) == log_of(whole)
        resumed.train()
        for finished in (trainer, resumed):
            assert_same_state(finished.state(), reference.state())


def test_second_interrupt_ends_a_step_and_then_there_is_no_state(
    corpus: Corpus, settings: Settings, plan: Plan, interrupts: dict[int, int]
) -> None:
    interrupts[10] = 2
    trainer = Trainer(corpus, settings, plan=plan)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert trainer.progress.step == 10
    for use in (trainer.state, trainer.train):
        with pytest.raises(RunError, match="interrupted at step 10"):
            use()
    assert trainer.best.info["step"] == 7


def test_interrupt_ends_final_validation_and_a_pause(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def interrupt_once(where: str) -> None:
        if where not in sent:
            sent.append(where)
            signal.raise_signal(signal.SIGINT)

    commands = ScriptedCommands({8: [("pause", None)]})
    trainer = Trainer(
        corpus,
        settings,
        plan=replace(plan, planned_steps=20),
        hooks=Hooks(
            commands=commands,
            validation_progress=lambda _: interrupt_once("final validation"),
        ),
    )
    events: list[Event] = []
    monkeypatch.setattr("charlstm.engine.trainer.time.sleep", lambda _: interrupt_once("pause"))

    def see(event: Event) -> None:
        commands.see(event)
        events.append(event)

    with pytest.raises(KeyboardInterrupt):
        trainer.train(see)
    assert (sent, events[-1].name) == (["pause"], "paused")
    commands.at[8].append(("resume", None))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(see)
    assert sent == ["pause", "final validation"]
    assert trainer.train(see).best_whole
    assert [event.name for event in events[-2:]] == ["validation", "finished"]


def assert_same_state(one: TrainingState, other: TrainingState) -> None:
    assert one.step == other.step
    assert one.tensors.keys() == other.tensors.keys()
    for name, array in one.tensors.items():
        assert array.tobytes() == other.tensors[name].tobytes(), name
    for name in ("best_val", "best_step", "whole_val", "stale", "ended"):
        assert one.record["progress"][name] == other.record["progress"][name], name


def test_state_at_any_event_continues_exactly(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    script: dict[int, list[tuple[str, float | None]]] = {8: [("set-lr", 1e-3), ("pause", None), ("resume", None)]}

    def trained_to_end(trainer: Trainer, commands: ScriptedCommands) -> TrainingState:
        trainer.train(commands.see)
        return trainer.state()

    plan = replace(plan, planned_steps=21)
    reference, commands = None, ScriptedCommands(script)
    reference = Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), plan=plan)
    last, count = trained_to_end(reference, commands), 0
    for count in range(1, 40):
        commands = ScriptedCommands(script)
        trainer = Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), plan=plan)
        stream = trainer.events()
        events = []
        for event in stream:
            commands.see(event)
            events.append(event)
            if len(events) == count:
                break
        step, before = trainer.progress.step, threading.active_count()
        state = trainer.state()
        assert state.step == step == events[-1].step
        assert threading.active_count() == before
        later = ScriptedCommands({8: script[8][commands.returned :]}, returned=0)
        resumed = Trainer.resume(corpus, settings, state, hooks=Hooks(sample=sample, commands=later))
        assert_same_state(trained_to_end(resumed, later), last)
        stream.close()
        assert_same_state(trained_to_end(trainer, commands), last)
        if isinstance(events[-1], Finished):
            break
    assert count > 20


def test_state_between_any_two_advances_continues_exactly(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    """Also between a step and what is due after it."""
    plan, hooks = replace(plan, planned_steps=9), Hooks(sample=sample)
    trainer = Trainer(corpus, settings, hooks=hooks, plan=plan)
    states = []
    while not trainer.over:
        trainer.advance()
        with contextlib.suppress(RunError):  # there is none before the network was built
            states.append(trainer.state())
    assert {state.record["progress"]["attended"] for state in states} == {True, False}
    for state in states:
        resumed = Trainer.resume(corpus, settings, state, hooks=hooks)
        resumed.train()
        assert_same_state(resumed.state(), trainer.state())


def test_state_is_refused_within_a_step_and_after_divergence(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def look(_: Model) -> tuple[str, str]:
        with pytest.raises(RunError, match="within a step") as error:
            trainer.state()
        refused.append(str(error.value))
        return "", ""

    trainer = Trainer(corpus, settings, hooks=Hooks(sample=look), plan=plan)
    with pytest.raises(RunError, match="no state yet"):
        trainer.state()
    trainer.train()
    assert refused

    diverging = Trainer(corpus, settings.with_changes(lr=1e30, clip=None), plan=plan)
    assert diverging.train().reason == "diverged"
    with pytest.raises(RunError, match="no longer a number"):
        diverging.state()


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
        first = Trainer(corpus, settings, store=store, hooks=Hooks(sample=look))
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

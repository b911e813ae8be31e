"""A trainer that is iterated several times, and what it changes in the process of its caller."""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from charlstm.engine.train_step import TrainStep
from charlstm.engine.trainer import Trainer
from charlstm.errors import RunError
from charlstm.model.file import Model
from charlstm.system import DeferredInterrupt, StopSignals
from charlstm.training.events import Event
from charlstm.training.hooks import Hooks
from charlstm.training.state import TrainingState
from small_training import MemoryStore, ScriptedCommands, log_of
from trained import CORPUS, PLAN, SETTINGS, Script, Trained, assert_same_state, sample, torch_threads, trained

pytestmark = pytest.mark.numeric


class SlowStore(MemoryStore):
    """Tells whether a write runs."""

    writing = False

    def _write(self, what: str) -> None:
        self.writing = True
        time.sleep(0.01)
        super()._write(what)
        self.writing = False


def test_trainer_iterated_again_at_every_event_continues_exactly_and_yields_nothing_more_at_the_end() -> None:
    at: Script = {8: ["checkpoint", ("set-lr", 1e-3)], 20: ["pause", "resume"]}
    whole = trained(at=at)
    store, commands = SlowStore(), ScriptedCommands(at)
    trainer = Trainer(CORPUS, SETTINGS, hooks=Hooks(sample=sample, commands=commands), store=store, plan=PLAN)
    events: list[Event] = []
    while not (events and events[-1].name == "finished"):
        with contextlib.closing(trainer.events()) as stream:
            events.append(next(stream))
        assert not store.writing, "a write that runs is completed"
        commands.see(events[-1])
    assert list(trainer.events()) == []
    assert log_of(events) == log_of(whole.events)
    names = [event.name for event in events if event.name != "checkpoint"]
    assert names == [name for name in whole.names if name != "checkpoint"]
    assert store.order == whole.store.order
    assert [state.step for state in store.states] == [state.step for state in whole.store.states]
    assert_same_state(store.states[-1], whole.store.states[-1])


def test_trainer_refuses_a_second_iterator_while_one_is_in_use(whole: Trained) -> None:
    first = Trainer(CORPUS, SETTINGS, hooks=Hooks(sample=sample), plan=PLAN)
    stream = first.events()
    events = [next(stream)]
    with pytest.raises(RunError, match="already being iterated"):
        next(first.events())
    events += stream  # and the first continues
    assert log_of(events) == log_of(whole.events)


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


def test_interrupt_ends_training_between_steps_and_the_next_call_continues_exactly(interrupts: dict[int, int]) -> None:
    plan = replace(PLAN, planned_steps=21)
    whole = trained(plan=plan)
    for number in (0, 5, 6, 13, 20):  # nothing is due after 5; a log line after 3; a validation after 6, 13 and 20
        interrupts[number] = 1
        trainer = Trainer(CORPUS, SETTINGS, hooks=Hooks(sample=sample), plan=plan)
        events: list[Event] = []
        with pytest.raises(KeyboardInterrupt):
            trainer.train(events.append)
        assert trainer.progress.step == number + 1
        trainer.train(events.append)
        assert log_of(events) == log_of(whole.events)
        assert_same_state(trainer.state(), whole.trainer.state())


def test_interrupt_ends_the_final_validation_which_the_next_call_begins_anew() -> None:
    plan, shares = replace(PLAN, planned_steps=7), list[float]()

    def interrupted(share: float) -> None:
        shares.append(share)
        if len(shares) == 2:  # the first says that it is about to begin
            signal.raise_signal(signal.SIGINT)

    trainer = Trainer(CORPUS, SETTINGS, hooks=Hooks(sample, validation_progress=interrupted), plan=plan)
    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        trainer.train(events.append)
    assert (trainer.progress.step, len(shares)) == (7, 2)
    trainer.train(events.append)
    assert len(shares) > 2
    assert log_of(events) == log_of(trained(plan=plan).events)


def test_second_interrupt_ends_a_step_and_then_there_is_no_state(interrupts: dict[int, int]) -> None:
    interrupts[10] = 2
    trainer = Trainer(CORPUS, SETTINGS, plan=PLAN)
    with pytest.raises(RunError, match="no state yet"):
        trainer.state()
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert trainer.progress.step == 10
    for use in (trainer.state, trainer.train):
        with pytest.raises(RunError, match="interrupted at step 10"):
            use()
    assert trainer.best.info["step"] == 7


def test_signals_that_another_handles_or_that_are_ignored_stay_so() -> None:
    with StopSignals() as worker, DeferredInterrupt() as trainer:
        signal.raise_signal(signal.SIGINT)
    assert (worker.requested, trainer.requested) == ("SIGINT", None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    with StopSignals() as worker:
        signal.raise_signal(signal.SIGHUP)
    assert worker.requested is None


def test_interrupt_ends_a_pause_in_which_the_next_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.engine.trainer.time.sleep", lambda _: signal.raise_signal(signal.SIGINT))
    names, commands = list[str](), ScriptedCommands({8: ["pause"]})
    trainer = Trainer(CORPUS, SETTINGS, plan=replace(PLAN, planned_steps=20), hooks=Hooks(commands=commands))

    def see(event: Event) -> None:
        commands.see(event)
        names.append(event.name)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trainer.train(see)
        assert names[-1] == "paused"
    commands.at[8].append("resume")
    assert trainer.train(see).step == 20
    assert names.count("paused") == names.count("resumed") == 1


def test_state_between_any_two_advances_continues_exactly() -> None:
    """Also between a step and what is due after it, and in a pause."""
    script: Script = {4: ["pause", "resume"]}
    plan, commands = replace(PLAN, planned_steps=8), ScriptedCommands(script)
    trainer = Trainer(CORPUS, SETTINGS, hooks=Hooks(sample=sample, commands=commands), plan=plan)
    states: list[tuple[TrainingState, Script]] = []
    while not trainer.over:
        for event in trainer.advance():
            commands.see(event)
        with contextlib.suppress(RunError):  # there is none before the network was built
            states.append((trainer.state(), {4: script[4][commands.returned :]}))
    assert {state.record["progress"]["attended"] for state, _ in states} == {True, False}
    for state, left in states:
        assert_same_state(trained(at=left, state=state).trainer.state(), trainer.state())


def test_trainer_restores_the_threads_and_does_not_use_the_generator_of_torch() -> None:
    """Measured, from nothing, from a model and resumed: at every event, and at the end."""
    torch.manual_seed(11)
    random, inside, outside = torch.get_rng_state(), set[int](), set[int]()

    def look(model: Model) -> tuple[str, str]:
        inside.add(torch.get_num_threads())
        return "", ""

    def see(event: Event) -> None:
        outside.add(torch.get_num_threads())
        assert torch.equal(torch.get_rng_state(), random), event

    settings = SETTINGS.with_changes(max_steps=4, val_every=2, kernel="auto", threads=2)
    with torch_threads(3):
        first = trained(settings, None, sample=look, see=see)
        plan = first.store.plans[0]
        trained(settings, plan, start_from=first.trainer.best, sample=look, see=see)
        trained(settings, state=first.store.states[0], sample=look, see=see)
        trained(settings, plan, until=0)
        outside.add(torch.get_num_threads())
    assert (inside, outside) == ({2}, {3})

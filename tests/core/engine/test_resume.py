"""A run that was stopped or killed anywhere and resumed is the same as one that was not interrupted."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from charlstm.engine import kernels as kernels
from charlstm.engine import trainer as trainer_module
from charlstm.engine.distributed import SINGLE_PROCESS, Ranks
from charlstm.engine.resume import amend_schedule, describe_differences, environment
from charlstm.engine.train_step import StepOutcome, TrainStep
from charlstm.engine.trainer import Trainer
from charlstm.errors import ModelError, SettingsError, TextError
from charlstm.fields import plain
from charlstm.model.file import Model
from charlstm.runs.series import RunSeries
from charlstm.text.corpus import Corpus
from charlstm.training.events import Controlled, Decided, Event, Finished, Resumed, Started, Stepped, Validated
from charlstm.training.hooks import Hooks
from charlstm.training.plan import Plan
from charlstm.training.progress import Progress
from charlstm.training.schedule import LearningRate
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState, load_state, save_state
from small_training import MemoryStore, ScriptedCommands, log_of, make_corpus, make_plan, words

pytestmark = pytest.mark.numeric


def sample(model: Model) -> tuple[str, str]:
    """A sample that depends on every weight."""
    return "the", f"{float(sum(np.abs(array).sum() for array in model.weights.values())):.9e}"


def drain(trainer: Trainer, commands: ScriptedCommands | None = None, until: int | None = None) -> list[Event]:
    events = []
    stream = trainer.events()
    for event in stream:
        events.append(event)
        if commands is not None:
            commands.see(event)
        if until is not None and event.step >= until:
            trainer._checkpoint_writer.collect(60.0)  # on a busy machine a state may not have been written yet
            stream.close()  # as if killed: nothing is written after this
            break
    return events


Uninterrupted = tuple[list[Event], MemoryStore]


@pytest.fixture(scope="module")
def uninterrupted(corpus: Corpus, settings: Settings, plan: Plan) -> Uninterrupted:
    """What other runs are compared with. Who changes its states trains one of their own."""
    return untouched(corpus, settings, plan)


def untouched(
    corpus: Corpus, settings: Settings, plan: Plan, at: dict[int, list[tuple[str, float | None]]] | None = None
) -> tuple[list[Event], MemoryStore]:
    store, commands = MemoryStore(), ScriptedCommands(at or {})
    trainer = Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), store=store, plan=plan)
    return drain(trainer, commands), store


def assert_same_end(a: MemoryStore, b: MemoryStore) -> None:
    last_a, last_b = a.states[-1], b.states[-1]
    assert last_a.step == last_b.step
    assert last_a.tensors.keys() == last_b.tensors.keys()
    for name, array in last_a.tensors.items():
        assert array.tobytes() == last_b.tensors[name].tobytes(), name
    assert last_a.record["schedule"] == last_b.record["schedule"]
    for name, value in last_a.record["progress"].items():
        if "seconds" not in name:
            assert value == last_b.record["progress"][name], name


def joined(first: Sequence[Event], second: Sequence[Event]) -> list[Event]:
    """The events of two processes of a run, as a reader of its log sees them."""
    resumed = second[0]
    assert isinstance(resumed, Resumed)
    return [event for event in first if event.step <= resumed.step] + list(second)


@pytest.mark.parametrize("stop", [4, 7, 13, 28, 45, 56])
def test_resume_after_a_stop_is_exact(
    corpus: Corpus, settings: Settings, plan: Plan, uninterrupted: Uninterrupted, stop: int, tmp_path: Path
) -> None:
    whole, reference = uninterrupted

    store, commands = MemoryStore(), ScriptedCommands({stop: [("stop", None)]})
    first = drain(
        Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), store=store, plan=plan), commands
    )
    assert isinstance(first[-1], Finished)
    assert first[-1].reason == "stopped"

    save_state(tmp_path / "state", store.states[-1])
    state = load_state(tmp_path / "state")
    second = drain(Trainer.resume(corpus, settings, state, hooks=Hooks(sample=sample), store=store))
    assert isinstance(second[0], Resumed)
    assert second[0].inexact is None
    assert second[0].changes is None
    assert log_of(joined(first, second)) == log_of(whole)
    assert_same_end(store, reference)


def test_run_without_held_out_text_that_is_stopped_keeps_its_last_model_and_resumes_exactly(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    settings = settings.with_changes(val_fraction=0.0)
    whole, reference = untouched(corpus, settings, plan)
    commands = ScriptedCommands({32: [("stop", None)]})  # the last validation would have been at step 28
    trainer = Trainer(corpus, settings, plan=plan, store=(store := MemoryStore()), hooks=Hooks(sample, commands))
    first = drain(trainer, commands)
    assert isinstance(last := first[-1], Finished)
    assert (last.step, last.best_step, store.models[-1][0], trainer.best.info["step"]) == (32, 32, 32, 32)
    for name, array in store.models[-1][2].weights.items():
        assert array.tobytes() == trainer.network.to_model(trainer.best.vocabulary).weights[name].tobytes()
    assert store.order[-2:] == ["model", "state"]
    second = drain(Trainer.resume(corpus, settings, store.states[-1], hooks=Hooks(sample), store=store))
    assert log_of(joined(first, second)) == log_of(whole)
    assert_same_end(store, reference)


def test_resumed_model_still_says_what_the_model_it_started_from_had_learnt(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    """Else a loss on text that was learnt before would pass for one on new text, without a warning."""
    parent = Trainer(make_corpus(words(800, seed=3), "parent.txt"), settings, plan=plan)
    drain(parent)
    trainer = Trainer(corpus, settings, start_from=parent.best, plan=plan, store=(store := MemoryStore()))
    drain(trainer)
    learnt = trainer.best.info["lineage"]
    assert [text["corpus"] for text in learnt["learnt"]] == ["parent.txt"]
    state = store.states[0]
    for info in ({}, {"corpus": "renamed.txt"}):
        again = Trainer.resume(corpus, settings, state, info=info, store=(later := MemoryStore()))
        drain(again)
        assert again.best.info["lineage"] == learnt
        assert later.states[-1].record["lineage"] == learnt
    given = Trainer.resume(corpus, settings, state, info={"lineage": None})
    drain(given)
    assert given.best.info["lineage"] is None
    del state.record["lineage"]  # as in states of 0.2
    old = Trainer.resume(corpus, settings, state)
    drain(old)
    assert "lineage" not in old.best.info


def test_resume_may_change_how_often_losses_are_logged(
    corpus: Corpus, settings: Settings, plan: Plan, uninterrupted: Uninterrupted
) -> None:
    """It changes nothing else: the weights end as they would have."""
    _, reference = uninterrupted
    store, commands = MemoryStore(), ScriptedCommands({28: [("stop", None)]})
    drain(Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), store=store, plan=plan), commands)
    often = settings.with_changes(log_every=1)
    events = drain(Trainer.resume(corpus, often, store.states[-1], hooks=Hooks(sample=sample), store=store))
    assert isinstance(events[0], Resumed)
    assert events[0].changes == "log_every none → 1"
    assert [event.step for event in events if isinstance(event, Stepped)] == list(range(29, 61))
    assert_same_end(store, reference)


def test_resume_that_lifts_the_interval_of_logging_and_validating_plans_it_again(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    """The stored plan has the numbers that were given."""
    settings = settings.with_changes(val_every=5, log_every=1)
    plan = replace(plan, val_every=5, log_every=1)
    store, commands = MemoryStore(), ScriptedCommands({28: [("stop", None)]})
    drain(Trainer(corpus, settings, hooks=Hooks(commands=commands), store=store, plan=plan), commands)
    state = store.states[-1]
    lifted = settings.with_changes(val_every=None, log_every=None)
    trainer = Trainer.resume(corpus, lifted, state, store=store)
    # a step takes 0.01 s, and there is a log line each 0.3 s; in 0.6 s there is time for the fewest validations
    assert (trainer.plan.log_every, trainer.plan.val_every, trainer.plan.val_chars) == (30, 15, 200)
    assert Trainer.resume(corpus, settings.with_changes(val_every=None), state).plan.log_every == 1
    whole = drain(trainer)
    assert [event.step for event in whole if isinstance(event, Validated) and not event.whole] == [30, 45, 60]
    again = Trainer.resume(corpus, lifted, store.states[-1])
    assert (again.plan.log_every, again.plan.val_every) == (30, 15)


@pytest.mark.parametrize("kill", [5, 21, 40, 60])
def test_resume_from_an_earlier_checkpoint_is_exact(
    corpus: Corpus, settings: Settings, plan: Plan, uninterrupted: Uninterrupted, kill: int
) -> None:
    at = {8: [("checkpoint", None)], 36: [("checkpoint", None)]}
    whole, reference = uninterrupted
    store, commands = MemoryStore(), ScriptedCommands(at)
    first = drain(
        Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), store=store, plan=plan),
        commands,
        until=kill,
    )
    saved = store.states[-1]
    assert saved.step <= kill
    second = drain(Trainer.resume(corpus, settings, saved, hooks=Hooks(sample=sample), store=store))
    assert log_of(joined(first, second)) == log_of(whole)
    assert_same_end(store, reference)


@pytest.mark.parametrize("asked", [("set-lr", 1e-3), ("more", 0.048 / 60), ("finish", None)], ids=str)
def test_command_that_changes_the_course_is_in_a_state_before_it_acts(
    corpus: Corpus,
    settings: Settings,
    plan: Plan,
    asked: tuple[str, float | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed at the event that says that it acts, a run goes on as if it had not been."""
    monkeypatch.setattr("charlstm.training.clock.Clock.pace", lambda self: 0.001)
    monkeypatch.setattr(Trainer, "_finish_steps", lambda self: 15)
    asks: dict[int, list[tuple[str, float | None]]] = {12: [("checkpoint", None)], 20: [asked]}
    whole, reference = untouched(corpus, settings, plan, asks)
    store, commands = MemoryStore(), ScriptedCommands(asks)
    trainer = Trainer(corpus, settings, hooks=Hooks(sample=sample, commands=commands), store=store, plan=plan)
    first: list[Event] = []
    stream = trainer.events()
    for event in stream:
        first.append(event)
        commands.see(event)
        if isinstance(event, Controlled) and event.command == asked[0]:
            stream.close()
            break
    assert store.states[-1].step == first[-1].step == trainer.progress.step == 20
    second = drain(Trainer.resume(corpus, settings, store.states[-1], hooks=Hooks(sample=sample), store=store))
    assert log_of(joined(first, second)) == log_of(whole)
    assert_same_end(store, reference)


def test_rate_that_is_set_in_the_warmup_acts_at_once(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    plan = replace(plan, warmup_steps=12, log_every=1)
    whole, _ = untouched(corpus, settings, plan, {2: [("set-lr", 1e-3)]})
    rates = {event.step: event.lr for event in whole if isinstance(event, Stepped)}
    assert [rates[step] for step in range(3, 13)] == [1e-3] * 10
    assert rates[14] < 1e-3


def test_more_moves_the_time_limit_and_counts_until_the_next_change_of_the_length(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    limited = settings.with_changes(max_minutes=1.0, max_steps=None, epochs=None)
    commands = ScriptedCommands({4: [("more", 50.0), ("checkpoint", None), ("stop", None)]})
    trainer = Trainer(corpus, limited, plan=plan, store=(store := MemoryStore()), hooks=Hooks(commands=commands))
    drain(trainer, commands)
    assert trainer.settings.max_minutes == 51.0
    state = store.states[-1]
    again = Trainer.resume(corpus, limited, state)
    assert again.settings.max_minutes == 51.0
    assert again.schedule.planned_steps == trainer.schedule.planned_steps
    changed = Trainer.resume(corpus, limited.with_changes(max_steps=70, max_minutes=None), state)
    assert (changed.settings.max_steps, changed.settings.max_minutes) == (70, None)
    assert changed.schedule.planned_steps == 70


def test_more_replaces_a_limit_in_steps_and_takes_finish_back(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    commands = ScriptedCommands({8: [("finish", None), ("more", 1e-3)]})
    trainer = Trainer(corpus, settings, plan=plan, hooks=Hooks(commands=commands))
    last = drain(trainer, commands)[-1]
    assert not trainer.schedule.finishing
    assert trainer.settings.max_steps == trainer.schedule.planned_steps == last.step
    assert trainer.settings.epochs is None


def test_run_without_a_state_starts_again_with_its_stored_plan(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    store = MemoryStore()
    first = drain(Trainer(corpus, settings.with_changes(max_steps=10), store=store))
    again = drain(Trainer(corpus, settings.with_changes(max_steps=10), plan=store.plans[0]))
    assert log_of(first) == log_of(again)


def test_training_does_not_depend_on_the_global_generator(
    corpus: Corpus, settings: Settings, plan: Plan, uninterrupted: Uninterrupted
) -> None:
    def noisy(model: Model) -> tuple[str, str]:
        torch.rand(17)
        return sample(model)

    whole, _ = uninterrupted
    torch.manual_seed(99)
    assert log_of(drain(Trainer(corpus, settings, hooks=Hooks(sample=noisy), plan=plan))) == log_of(whole)


def test_resume_with_more_steps_and_another_rate_names_the_changes(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    _, store = untouched(corpus, settings, plan)
    ended = store.states[-1]
    changed = settings.with_changes(max_steps=90, lr=1e-3)
    events = drain(Trainer.resume(corpus, changed, ended, store=store))
    assert isinstance(events[0], Resumed)
    assert events[0].changes == "max_steps 60 → 90, lr 0.003 → 0.001"
    assert events[0].planned_steps == 90
    assert events[-1].step == 90
    rates = [event.lr for event in events if event.name == "step"]  # type: ignore[attr-defined]
    assert max(rates) == pytest.approx(1e-3, rel=0.1)
    assert rates[-1] < 1e-4
    # the changed run is exact again
    second = store.states[-1]
    assert second.record["asked"]["max_steps"] == 90


def test_resume_of_a_finished_run_without_changes_ends_at_once(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    whole, store = untouched(corpus, settings, plan)
    events = drain(Trainer.resume(corpus, settings, store.states[-1]))
    assert [event.name for event in events] == ["resumed", "finished"]
    assert events[-1].best_val == whole[-1].best_val  # type: ignore[attr-defined]


def test_resume_refuses_what_does_not_fit_the_run(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    _, store = untouched(corpus, settings, plan)
    state = store.states[0]
    with pytest.raises(SettingsError, match="hidden_size cannot change"):
        Trainer.resume(corpus, settings.with_changes(hidden_size=16), state)
    with pytest.raises(SettingsError, match=r"already taken 60 steps, and max_steps=30 ends it: raise that$"):
        Trainer.resume(corpus, settings.with_changes(max_steps=30), store.states[-1])
    with pytest.raises(TextError, match="another text"):
        Trainer.resume(make_corpus(words(1200, seed=1)), settings, state)
    broken = TrainingState(state.step, state.record, {k: v for k, v in state.tensors.items() if "fc" not in k})
    with pytest.raises(ModelError, match="does not fit"):
        drain(Trainer.resume(corpus, settings, broken))


def test_resume_names_differences_of_the_environment(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    _, store = untouched(corpus, settings, plan)
    state = store.states[0]
    state.record["environment"]["torch"] = "2.6.0"
    state.record["plan"]["kernel"] = "fused-of-old"
    resumed = drain(Trainer.resume(corpus, settings.with_changes(threads=2), state), until=0)[0]
    assert isinstance(resumed, Resumed)
    assert resumed.inexact is not None
    assert "torch 2.6.0 →" in resumed.inexact
    assert "threads 1 → 2" in resumed.inexact
    assert resumed.changes == "threads 1 → 2"


def begun(device: str, kernel: str) -> Started:
    return Started(
        step=0,
        planned_steps=60,
        steps_per_epoch=98,
        parameters=1,
        train_chars=1,
        val_chars=1,
        device=device,
        kernel=kernel,
        threads=1,
    )


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    for accelerator in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(accelerator, "is_available", lambda: False)


def resumed_in(
    environment: dict[str, str], plan: Plan, corpus: Corpus, settings: Settings, saved: TrainingState
) -> Resumed:
    """The ``resumed`` event of a run of ``plan`` that was ``saved`` in ``environment``."""
    state = replace(saved, record=deepcopy(saved.record))
    state.record["plan"] = plain(plan)
    state.record["asked"]["kernel"] = state.record["settings"]["kernel"] = settings.kernel
    state.record["environment"] |= environment
    resumed = drain(Trainer.resume(corpus, settings, state), until=0)[0]
    assert isinstance(resumed, Resumed)
    return resumed


def test_resume_on_a_cpu_without_bfloat16_takes_another_kernel(
    corpus: Corpus, settings: Settings, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "fast_bfloat16", lambda: False)
    monkeypatch.setattr(kernels, "preferred", lambda turns: next(iter(turns)))
    settings = settings.with_changes(kernel="auto")
    resumed = resumed_in(
        {"kernel": "fused-bf16"}, make_plan(kernel="fused-bf16"), corpus, settings, uninterrupted[1].states[0]
    )
    assert resumed.inexact is not None
    assert "kernel fused-bf16 → fused-f32" in resumed.inexact


@pytest.mark.usefixtures("no_card")
def test_resume_without_the_graphics_card_chooses_device_and_kernel(
    corpus: Corpus, settings: Settings, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "preferred", lambda turns: next(iter(turns)))
    settings = settings.with_changes(kernel="auto")
    before = {"device": "cuda", "kernel": "nn", "GPU": "NVIDIA A100", "cuDNN": "91002"}
    resumed = resumed_in(before, make_plan(device="cuda", kernel="nn"), corpus, settings, uninterrupted[1].states[0])
    assert resumed.inexact is not None
    assert "device cuda → cpu" in resumed.inexact
    started = RunSeries.of([begun("cuda", "nn"), resumed]).started  # as the app shows it
    assert started is not None
    assert (started.device, started.kernel[:5]) == ("cpu", "fused")
    assert "kernel nn → fused" in resumed.inexact


def test_environment_names_processor_and_graphics_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91300)
    here = environment(make_plan(device="cuda:1"), SINGLE_PROCESS)
    assert (here["GPU"], here["cuDNN"]) == ("NVIDIA H100", "91300")
    assert describe_differences(here, here) is None
    before = here | {"GPU": "NVIDIA A100", "cuDNN": "91002", "CPU": "another"}
    assert describe_differences(before, here) == (
        f"CPU another → {here['CPU']}, GPU NVIDIA A100 → NVIDIA H100, cuDNN 91002 → 91300"
    )


def test_resume_counts_what_an_old_state_did_not_record_as_unchanged(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    _, store = untouched(corpus, settings, plan)
    state = store.states[0]
    for name in ("CPU", "kernel path", "processes"):
        del state.record["environment"][name]
    resumed = drain(Trainer.resume(corpus, settings, state), until=0)[0]
    assert isinstance(resumed, Resumed)
    assert resumed.inexact is None


@pytest.mark.usefixtures("no_card")
def test_trainer_plans_again_when_the_stored_plan_is_for_another_machine(corpus: Corpus, settings: Settings) -> None:
    store = MemoryStore()
    settings = settings.with_changes(max_steps=2)
    frozen = make_plan(device="cuda", kernel="fused-bf16", planned_steps=2)
    events = drain(Trainer(corpus, settings, store=store, plan=frozen))
    assert events[-1].name == "finished"
    assert (store.plans[0].device, store.plans[0].kernel) == ("cpu", "nn")


def test_trainer_waits_for_a_full_disk_and_continues_exactly(
    corpus: Corpus, settings: Settings, plan: Plan, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, reference = uninterrupted
    store, waits = MemoryStore(), []
    store.trouble = [OSError(errno.ENOSPC, "No space left on device")] * 3
    monkeypatch.setattr(trainer_module.time, "sleep", waits.append)
    events = drain(Trainer(corpus, settings, hooks=Hooks(sample=sample), store=store, plan=plan))
    assert len(waits) == 3
    names = [event.name for event in events]
    assert names.count("paused") == names.count("resumed") == 1
    assert log_of(events) == log_of(whole)
    assert_same_end(store, reference)


def test_patience_does_not_end_an_extended_run(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    """The rate climbs again, and here so high that the loss does not improve any more."""
    settings = settings.with_changes(patience=1, ema_decay=None)
    _, store = untouched(corpus, settings.with_changes(patience=None), plan)
    state = store.states[-1]
    state.record["asked"]["patience"] = state.record["settings"]["patience"] = 1
    longer = settings.with_changes(max_steps=120, lr=1.0)
    last = drain(Trainer.resume(corpus, longer, state))[-1]
    assert isinstance(last, Finished)
    assert (last.step, last.reason) == (120, "done")


def test_amend_schedule_lowers_the_rate_of_a_run_that_ended_by_patience(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    progress = Progress(step=30, ended="patience", work_seconds=3.0)
    schedule = LearningRate(3e-3, "linear", 6, 60)
    changed = amend_schedule(schedule, settings, settings.with_changes(lr=1e-3), {"lr": 1e-3}, plan, progress)
    assert changed.rate(30) == pytest.approx(schedule.rate(30) / 3)


class ForcedThreads:
    """Replaces the search for the fastest number of threads: each number of ``changes`` is used from its step on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changes: dict[int, int]) -> None:
        self.changes, self.step, self.count, self.asked = changes, 0, 1, list[int]()
        monkeypatch.setattr(trainer_module, "ThreadSearch", self)
        take_step = TrainStep.step

        def counted(learner: TrainStep, number: int, rate: float) -> StepOutcome:
            self.step = number + 1
            return take_step(learner, number, rate)

        monkeypatch.setattr(TrainStep, "step", counted)

    def __call__(self, counts: Sequence[int], now: int) -> ForcedThreads:
        self.count = now
        return self

    def add(self, seconds: float, processor_seconds: float) -> None:
        self.asked.append(self.step)
        self.count = self.changes.get(self.step, self.count)


@pytest.fixture
def fused(plan: Plan) -> Plan:
    """A plan with rows for two threads of a kernel whose last digits depend on their number."""
    return replace(plan, kernel="fused-f32", batch_size=8)


def test_run_whose_threads_change_is_continued_exactly_after_a_kill(
    corpus: Corpus, settings: Settings, fused: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.with_changes(kernel="fused", checkpoint_steps=10, threads=None)
    one_thread, _ = untouched(corpus, settings, fused)
    ForcedThreads(monkeypatch, {17: 2, 33: 1})
    whole, reference = untouched(corpus, settings, fused)
    assert [(event.step, event.threads) for event in whole if isinstance(event, Decided)] == [(17, 2), (33, 1)]
    assert log_of(whole) != log_of(one_thread), "or else this test shows nothing"
    for killed in (12, 17, 18, 30, 34, 45):
        store = MemoryStore()
        first = drain(Trainer(corpus, settings, hooks=Hooks(sample=sample), store=store, plan=fused), until=killed)
        second = resumed_after(first, corpus, settings, store)
        assert second[0].inexact is None, f"killed at {killed}"  # type: ignore[attr-defined]
        assert log_of(joined(first, second)) == log_of(whole), f"killed at {killed}"
        assert_same_end(store, reference)


def test_resumed_search_that_wants_a_change_at_once_waits_until_the_log_ends(
    corpus: Corpus, settings: Settings, fused: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that has become busy: the lines that the log has are computed with the threads that they had."""
    settings, store = settings.with_changes(kernel="fused", checkpoint_steps=10, threads=None), MemoryStore()
    forced = ForcedThreads(monkeypatch, {})
    whole, _ = untouched(corpus, settings, fused)
    first = drain(Trainer(corpus, settings, hooks=Hooks(sample=sample), store=store, plan=fused), until=28)
    assert store.states[-1].step == 20
    forced.changes = {step: 2 - step % 2 for step in range(20, 61)}
    second = resumed_after(first, corpus, settings, store)
    changes = [event.step for event in second if isinstance(event, Decided)]
    assert changes
    assert min(changes) == first[-1].step == 28
    again = [line for line in log_of(second) if json.loads(line)["step"] <= 28]
    assert again == [line for line in log_of(whole) if 20 < json.loads(line)["step"] <= 28]


def resumed_after(first: list[Event], corpus: Corpus, settings: Settings, store: MemoryStore) -> list[Event]:
    """The events of a trainer that goes on from the last state, after the log ``first``."""
    state, logged = store.states[-1], RunSeries.of(first).step
    return drain(Trainer.resume(corpus, settings, state, logged_until=logged, hooks=Hooks(sample=sample), store=store))


def test_resume_with_another_number_of_threads_saves_it_before_its_first_step(
    corpus: Corpus, settings: Settings, fused: Plan
) -> None:
    settings, store = settings.with_changes(kernel="fused", checkpoint_steps=10, threads=None), MemoryStore()
    drain(Trainer(corpus, settings, store=store, plan=fused), until=25)
    count = len(store.states)
    again = Trainer.resume(corpus, settings.with_changes(threads=2), store.states[-1], store=store)
    events = drain(again)
    assert again.plan.threads == 2
    assert [event.name for event in events[:2]] == ["resumed", "checkpoint"]
    assert [(state.step, state.record["plan"]["threads"]) for state in store.states[count - 1 : count + 1]] == [
        (20, 1),
        (20, 2),
    ]


class TwoProcesses(Ranks):
    """Two processes on a machine of two cores, of which this one takes the whole step."""

    world_size = 2

    def threads(self, cores: int) -> int:
        return 1


def test_several_processes_share_the_cores_that_a_single_one_had(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    settings, store = settings.with_changes(threads=None), MemoryStore()
    commands = ScriptedCommands({8: [("stop", None)]})
    plan = replace(plan, threads=2)
    drain(Trainer(corpus, settings, plan=plan, store=store, hooks=Hooks(commands=commands)), commands)
    assert Trainer.resume(corpus, settings, store.states[-1], ranks=TwoProcesses()).plan.threads == 1

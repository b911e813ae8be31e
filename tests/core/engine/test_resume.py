"""A run that was stopped or killed anywhere and resumed is the same as one that was not interrupted."""

import errno
import json
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
import torch

from charlstm.engine import kernels as kernels
from charlstm.engine import trainer as trainer_module
from charlstm.engine.distributed import SINGLE_PROCESS, ProcessGroup, Ranks
from charlstm.engine.resume import adapt_plan, amend_schedule, describe_differences, environment
from charlstm.engine.train_step import StepOutcome, TrainStep
from charlstm.engine.trainer import Trainer
from charlstm.errors import ModelError, SettingsError, TextError
from charlstm.runs.series import RunSeries
from charlstm.text.batches import TrainingText
from charlstm.text.reading import TextOptions
from charlstm.training.events import Event
from charlstm.training.plan import Plan
from charlstm.training.progress import Progress
from charlstm.training.schedule import LearningRate
from charlstm.training.state import TrainingState, load_state, save_state
from charlstm.training.torchrun import TorchrunRank
from small_training import MemoryStore, log_of, make_corpus, make_plan, words
from trained import CORPUS, PLAN, SETTINGS, Script, Trained, assert_same_state, trained

pytestmark = pytest.mark.numeric


def assert_continues(first: Trained, second: Trained, whole: Trained) -> None:
    """That two processes of a run have saved at last what a single one has, and logged what a reader takes for the
    same: events of steps that are taken again do not count."""
    kept = [event for event in first.events if event.step <= second.events[0].step]
    assert log_of(kept + second.events) == log_of(whole.events)
    assert_same_state(second.store.states[-1], whole.store.states[-1])


@pytest.mark.parametrize(
    ("at", "kill"),
    [
        ({13: ["stop"]}, None), ({28: ["stop"]}, None), ({}, 5), ({8: ["checkpoint"]}, 21),
        ({8: ["checkpoint"], 36: ["checkpoint"]}, 60),
    ],
)  # fmt: skip
def test_resume_after_a_stop_or_a_kill_is_exact(whole: Trained, at: Script, kill: int | None, tmp_path: Path) -> None:
    first = trained(at=at, until=kill)
    save_state(tmp_path / "state", first.store.states[-1])
    second = trained(state=load_state(tmp_path / "state"))
    [resumed] = second.only("resumed")
    assert (resumed.inexact, resumed.changes) == (None, None)
    assert_continues(first, second, whole)


def test_resume_of_a_run_on_units_is_exact_in_a_later_epoch() -> None:
    corpus = replace(make_corpus(words(150).replace(" ", "\n")), options=TextOptions(units="lines"))
    text = TrainingText.of(corpus, corpus.vocabulary, SETTINGS.val_fraction, SETTINGS.split)
    plan = make_plan(steps_per_epoch=text.batches(4, 16, SETTINGS.seed).steps_per_epoch)
    assert plan.steps_per_epoch < 25
    whole, first = trained(plan=plan, corpus=corpus), trained(plan=plan, at={28: ["stop"]}, corpus=corpus)
    assert_continues(first, trained(corpus=corpus, state=first.store.states[-1]), whole)


def test_run_without_held_out_text_that_is_stopped_keeps_its_last_model_and_resumes_exactly() -> None:
    settings = SETTINGS.with_changes(val_fraction=0.0)
    first = trained(settings, at={32: ["stop"]})  # the last validation would have been at step 28
    trainer, store = first.trainer, first.store
    assert {first.last.step, first.last.best_step, store.models[-1][0], trainer.best.info["step"]} == {32}
    for name, array in store.models[-1][2].weights.items():
        assert array.tobytes() == trainer.network.to_model(trainer.best.vocabulary).weights[name].tobytes()
    assert store.order[-2:] == ["model", "state"]
    second = trained(settings, state=store.states[-1])
    assert_continues(first, second, trained(settings))


def test_resumed_model_still_says_what_the_model_it_started_from_had_learnt() -> None:
    """Else a loss on text that was learnt before would pass for one on new text, without a warning."""
    parent = trained(corpus=make_corpus(words(800, seed=3), "parent.txt"), steps=2).trainer.best
    run = trained(start_from=parent, steps=2)
    lineage, state = run.trainer.best.info["lineage"], run.store.states[0]
    assert [text["corpus"] for text in lineage["learnt"]] == ["parent.txt"]
    for info in ({}, {"corpus": "renamed.txt"}):
        again = trained(state=state, info=info, steps=2)
        assert again.trainer.best.info["lineage"] == again.store.states[-1].record["lineage"] == lineage
    assert trained(state=state, info={"lineage": None}, steps=2).trainer.best.info["lineage"] is None


def test_resume_writes_the_best_model_anew() -> None:
    """Its file may be missing, or from steps after the state."""
    first = trained(at={32: ["stop"]})
    second = trained(state=first.store.states[-1], until=lambda event: event.name == "resumed")
    assert [model[:2] for model in second.store.models] == [first.store.models[-1][:2]]


def test_resume_may_change_how_often_losses_are_logged(whole: Trained) -> None:
    """It changes nothing else: the weights end as they would have."""
    first = trained(at={28: ["stop"]})
    second = trained(SETTINGS.with_changes(log_every=1), state=first.store.states[-1])
    assert second.only("resumed")[0].changes == "log_every none → 1"
    assert [event.step for event in second.only("step")] == list(range(29, 61))
    assert_same_state(second.store.states[-1], whole.store.states[-1])


@pytest.mark.parametrize("asked", [("set-lr", 1e-3), ("more", 0.048 / 60), ("finish", None)], ids=str)
def test_command_acts_once_a_state_names_it(asked: tuple[str, float | None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at the event that says that it acts, a run goes on as if it had not been."""
    monkeypatch.setattr("charlstm.training.clock.Clock.pace", lambda self: 0.001)
    monkeypatch.setattr(Trainer, "_finish_steps", lambda self: 15)
    at: Script = {12: ["checkpoint"], 20: [asked]}
    store = SlowStore()

    def acts(event: Event) -> bool:
        if event.name != "control" or event.command != asked[0]:
            return False
        assert len(store.states[-1].record["schedule"]["amendments"]) == 1
        return True

    first = trained(at=at, store=store, until=acts)
    state = store.states[-1]
    assert state.step == first.events[-1].step == first.trainer.progress.step == 20
    assert_continues(first, trained(state=state), trained(at=at))


class SlowStore(MemoryStore):
    """Training that does not wait for a state is ahead of it."""

    def save_state(self, state: TrainingState) -> None:
        time.sleep(0.05)
        super().save_state(state)


def test_more_moves_the_time_limit_and_counts_until_the_next_change_of_the_length() -> None:
    limited = SETTINGS.with_changes(max_minutes=1.0, max_steps=None)
    run = trained(limited, at={4: [("more", 50.0), "checkpoint", "stop"]})
    trainer, state = run.trainer, run.store.states[-1]
    again = Trainer.resume(CORPUS, limited, state)
    for each in (trainer, again):
        assert (each.settings.max_steps, each.settings.max_minutes) == (None, 51.0)
    assert again.schedule.planned_steps == trainer.schedule.planned_steps
    changed = Trainer.resume(CORPUS, limited.with_changes(max_steps=70, max_minutes=None), state)
    assert (changed.settings.max_steps, changed.settings.max_minutes) == (70, None)
    assert changed.schedule.planned_steps == 70


def test_more_replaces_a_limit_in_steps_and_takes_finish_back() -> None:
    run = trained(at={8: ["finish", ("more", 1e-3)]})
    schedule, settings = run.trainer.schedule, run.trainer.settings
    assert not schedule.finishing
    assert (settings.max_steps, settings.epochs) == (schedule.planned_steps, None) == (run.last.step, None)


def test_run_without_a_state_starts_again_with_its_stored_plan() -> None:
    settings = SETTINGS.with_changes(max_steps=10)
    first = trained(settings, None)
    assert log_of(first.events) == log_of(trained(settings, first.store.plans[0]).events)


def test_run_without_a_state_is_planned_anew_where_the_device_of_its_plan_is_gone() -> None:
    run = trained(plan=replace(PLAN, device="cuda:99"), steps=1)
    assert run.trainer.plan.device == run.only("started")[0].device == "cpu"


def test_resume_with_more_steps_and_another_rate_names_the_changes(whole: Trained) -> None:
    again = trained(SETTINGS.with_changes(max_steps=90, lr=1e-3), state=whole.store.states[-1])
    [resumed] = again.only("resumed")
    assert (resumed.changes, resumed.planned_steps) == ("max_steps 60 → 90, lr 0.003 → 0.001", 90)
    assert again.last.step == 90
    rates = [event.lr for event in again.only("step")]
    assert max(rates) == pytest.approx(1e-3, rel=0.1)
    assert rates[-1] < 1e-4
    assert again.store.states[-1].record["asked"]["max_steps"] == 90


def test_resume_of_a_finished_run_without_changes_ends_at_once(whole: Trained) -> None:
    again = trained(state=whole.store.states[-1])
    assert [name for name in again.names if name != "checkpoint"] == ["resumed", "finished"]
    assert again.last.loss == whole.last.loss


def test_resume_refuses_what_does_not_fit_the_run(whole: Trained) -> None:
    state = whole.store.states[0]
    with pytest.raises(SettingsError, match="hidden_size cannot change"):
        Trainer.resume(CORPUS, SETTINGS.with_changes(hidden_size=16), state)
    with pytest.raises(SettingsError, match=r"already taken 60 steps, and max_steps=30 ends it: raise that$"):
        Trainer.resume(CORPUS, SETTINGS.with_changes(max_steps=30), whole.store.states[-1])
    with pytest.raises(TextError, match="another text"):
        Trainer.resume(make_corpus(words(1200, seed=1)), SETTINGS, state)
    broken = replace(state, tensors={name: array for name, array in state.tensors.items() if "fc" not in name})
    with pytest.raises(ModelError, match="does not fit"):
        trained(state=broken)


def test_resume_names_differences_of_the_environment(whole: Trained) -> None:
    state = deepcopy(whole.store.states[0])
    state.record["environment"]["torch"] = "2.6.0"
    state.record["plan"]["kernel"] = "fused-of-old"
    resumed = trained(SETTINGS.with_changes(threads=2), state=state, until=0).events[0]
    assert "torch 2.6.0 →" in str(resumed.inexact)
    assert "threads 1 → 2" in str(resumed.inexact)
    assert resumed.changes == "threads 1 → 2"


def test_plan_of_another_machine_gets_the_device_and_kernel_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for accelerator in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(accelerator, "is_available", lambda: False)
    monkeypatch.setattr(kernels, "fast_bfloat16", lambda: False)
    monkeypatch.setattr("charlstm.engine.resume.cpu_count", lambda: 2)
    settings, two = SETTINGS.with_changes(kernel="auto", threads=None), ProcessGroup(TorchrunRank(0, 2, 0, 2))

    def adapted(plan: Plan, ranks: Ranks = SINGLE_PROCESS) -> tuple[str, str, int]:
        found = adapt_plan(plan, settings, {"processes": "1"}, ranks)
        return found.device, found.kernel, found.threads

    assert adapted(make_plan(kernel="fused-bf16")) == ("cpu", "fused-f32", 1)
    assert adapted(make_plan(device="cuda", kernel="nn")) == ("cpu", "fused-f32", 1)
    assert adapted(make_plan(threads=2), two) == ("cpu", "nn", 1)


def test_environment_names_processor_and_graphics_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91300)
    here = environment(make_plan(device="cuda:1"), SINGLE_PROCESS)
    before = here | {"GPU": "NVIDIA A100", "cuDNN": "91002", "CPU": "another"}
    assert describe_differences(before, here) == (
        f"CPU another → {here['CPU']}, GPU NVIDIA A100 → NVIDIA H100, cuDNN 91002 → 91300"
    )


def test_trainer_waits_for_a_full_disk_and_continues_exactly(whole: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(trainer_module.time, "sleep", waits.append)
    store = MemoryStore(trouble=[OSError(errno.ENOSPC, "No space left on device")] * 3)
    run = trained(store=store)
    assert len(waits) == 3
    assert run.names.count("paused") == run.names.count("resumed") == 1
    assert log_of(run.events) == log_of(whole.events)
    assert_same_state(store.states[-1], whole.store.states[-1])


def test_patience_does_not_end_an_extended_run() -> None:
    """The rate climbs again, and here so high that the loss does not improve any more."""
    settings = SETTINGS.with_changes(ema_decay=None)
    state = trained(settings).store.states[-1]
    last = trained(settings.with_changes(max_steps=120, lr=1.0, patience=1), state=state).last
    assert (last.step, last.reason) == (120, "done")


def test_amend_schedule_lowers_the_rate_of_a_run_that_ended_by_patience() -> None:
    progress = Progress(step=30, ended="patience", work_seconds=3.0)
    schedule = LearningRate(3e-3, "linear", 6, 60)
    changed = amend_schedule(schedule, SETTINGS, SETTINGS.with_changes(lr=1e-3), {"lr": 1e-3}, PLAN, progress)
    assert changed.rate(30) == pytest.approx(schedule.rate(30) / 3)


FUSED = replace(PLAN, kernel="fused-f32", batch_size=8, planned_steps=40)
"""With rows for two threads of a kernel whose last digits depend on their number."""
FREE = SETTINGS.with_changes(kernel="fused", checkpoint_steps=10, threads=None, max_steps=40)


class ForcedThreads:
    """Replaces the search for the fastest number of threads: each number of ``changes`` is used from its step on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changes: dict[int, int]) -> None:
        self.changes, self.step, self.count = changes, 0, 1
        monkeypatch.setattr(trainer_module, "ThreadSearch", self)
        take_step = TrainStep.step

        def counted(learner: TrainStep, number: int, rate: float) -> StepOutcome:
            self.step = number + 1
            return take_step(learner, number, rate)

        monkeypatch.setattr(TrainStep, "step", counted)

    def __call__(self, counts: Sequence[int], now: int) -> Self:
        self.count = now
        return self

    def add(self, seconds: float, processor_seconds: float) -> None:
        self.count = self.changes.get(self.step, self.count)


def test_run_whose_threads_change_is_continued_exactly_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    one_thread = trained(FREE, FUSED)
    ForcedThreads(monkeypatch, {17: 2, 33: 1})
    whole = trained(FREE, FUSED)
    assert [(event.step, event.threads) for event in whole.only("decision")] == [(17, 2), (33, 1)]
    assert log_of(whole.events) != log_of(one_thread.events), "or else this test shows nothing"
    for killed in (12, 17, 18, 34):
        first = trained(FREE, FUSED, until=killed)
        second = resumed_after(first)
        assert second.only("resumed")[0].inexact is None, f"killed at {killed}"
        assert_continues(first, second, whole)


def test_resumed_search_that_wants_a_change_at_once_waits_until_the_log_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has become busy: the lines that the log has are computed with the threads that they had."""
    forced = ForcedThreads(monkeypatch, {})
    first = trained(FREE, FUSED, until=28)
    assert first.store.states[-1].step == 20
    forced.changes = {step: 2 - step % 2 for step in range(20, 41)}
    second = resumed_after(first)
    assert min(event.step for event in second.only("decision")) == first.events[-1].step == 28
    logged = [line for line in log_of(first.events) if json.loads(line)["step"] > 20]
    assert log_of(second.events)[: len(logged)] == logged


def resumed_after(first: Trained) -> Trained:
    """A run that goes on from the last state, after the log of ``first``."""
    return trained(FREE, state=first.store.states[-1], logged_until=RunSeries.of(first.events).step)


def test_resume_with_another_number_of_threads_saves_it_before_its_first_step() -> None:
    before = trained(FREE, FUSED, until=25).store.states[-1]
    again = trained(FREE.with_changes(threads=2), state=before)
    assert again.trainer.plan.threads == 2
    assert again.names[:2] == ["resumed", "checkpoint"]
    saved = [(state.step, state.record["plan"]["threads"]) for state in (before, again.store.states[0])]
    assert saved == [(20, 1), (20, 2)]

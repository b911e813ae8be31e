"""The trainer: its events, what it saves, its commands and its time limit."""

from __future__ import annotations

import errno
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from charlstm import system
from charlstm.engine import benchmark, checkpoint_writer, final_validation, recurrence
from charlstm.engine import trainer as trainer_module
from charlstm.engine.evaluation import Evaluation, evaluate
from charlstm.engine.fused import FusedKernel
from charlstm.engine.kernels import NNKernel
from charlstm.engine.network import CharLSTM
from charlstm.engine.resume import EXTENSION_PEAK
from charlstm.engine.train_step import StepOutcome, Tensors, TrainStep
from charlstm.engine.trainer import Trainer
from charlstm.errors import TextError
from charlstm.fields import plain, read
from charlstm.generation.samples import make_sampler
from charlstm.text.batches import TrainingText
from charlstm.text.corpus import Corpus
from charlstm.training import clock as clock_module
from charlstm.training import estimate as estimates
from charlstm.training.events import (
    Checkpointed,
    Controlled,
    Decided,
    Event,
    Resumed,
    Sampled,
    Started,
    Stepped,
    Validated,
    Warned,
)
from charlstm.training.hooks import Hooks
from charlstm.training.plan import MOST_START_SHARE, MeasuredSpeed, Plan
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from small_training import MemoryStore, make_corpus, make_plan, words
from trained import Script, Trained, only, trained

TWO_SECONDS = Settings(
    hidden_size=8, num_layers=1, batch_size=4, seq_length=16, max_minutes=2.0 / 60, threads=1, kernel="nn"
)


class Time:
    """A clock for the trainer on which each step takes ``seconds`` and nothing else takes time. For ``stopped`` seconds
    the process was suspended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = self.stopped = 0.0
        fake_time = SimpleNamespace(
            perf_counter=lambda: self.now,
            time=lambda: self.now,
            process_time=lambda: self.now - self.stopped,
            sleep=lambda seconds: None,
        )
        for module in (trainer_module, clock_module, final_validation, checkpoint_writer):
            monkeypatch.setattr(module, "time", fake_time)
        step = TrainStep.step

        def timed(learner: TrainStep, number: int, rate: float) -> StepOutcome:
            self.now += seconds
            return step(learner, number, rate)

        monkeypatch.setattr(TrainStep, "step", timed)


def test_trainer_logs_validates_samples_and_saves_at_its_planned_steps(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    run = trained(corpus, settings, plan)
    assert run.names[:3] == ["started", "validation", "sample"]
    assert run.names[-1] == "finished"
    steps, store = run.only(Stepped), run.store
    assert [event.step for event in steps] == list(range(4, 61, 4))
    assert steps[-1].train_loss < steps[0].train_loss
    assert steps[1].epoch == pytest.approx(8 / 98)
    validated = [event.step for event in run.on_the_way]
    assert validated == [0, 7, 14, 21, 28, 35, 42, 49, 56, 60]
    assert [event.step for event in run.only(Sampled)] == sorted({0, 3, 20, *validated})
    assert sorted(store.snapshots) == [0, 3, 20]
    assert store.snapshots[0].info["step"] == 0
    assert [state.step for state in store.states] == [0, 60, 60]  # before and after the last validation
    assert all(event.best == (event.step in {step for step, _, _ in store.models}) for event in run.on_the_way)


def test_trainer_ends_with_the_loss_of_its_best_model_on_all_held_out_text(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    run = trained(corpus, settings, plan)
    last = run.last
    assert last.reason == "done"
    step, val_loss, model = run.store.models[-1]
    assert last.best_step == step == model.info["step"]
    held_out = corpus.split(settings.val_fraction, settings.split).held_out
    figure = evaluate(CharLSTM.from_model(model), corpus.ids, held_out)
    assert figure.nats == last.best_val == val_loss == model.info["val_loss"]
    whole = run.only(Validated)[-1]
    assert (whole.whole, whole.val_loss, whole.chars) == (True, figure.nats, figure.chars)
    assert min(run.on_the_way, key=lambda event: event.val_loss).step == step


def test_trainer_saves_the_measured_plan_before_its_first_event_and_waits_for_a_full_disk_to_do_so(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(trouble=[OSError(errno.ENOSPC, "No space left on device")])
    waits: list[float] = []
    monkeypatch.setattr(trainer_module.time, "sleep", waits.append)
    settings = Settings(hidden_size=8, num_layers=1, batch_size=4, seq_length=16, epochs=0.2, threads=1, kernel="nn")
    run = trained(corpus, settings, store=store, until=lambda event: isinstance(event, Started))
    assert run.names == ["paused", "resumed", "started"]
    assert (store.order, len(waits)) == (["plan"], 1)
    [started] = run.only(Started)
    plan = store.plans[0]
    assert started.planned_steps == plan.planned_steps == math.ceil(0.2 * plan.steps_per_epoch)
    assert plan.log_every >= 1
    assert plan.seconds_per_step > 0
    assert read(Plan, plain(plan)) == plan


def test_trainer_warns_when_the_compiled_kernel_is_unavailable(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(function: Any) -> Any:
        raise RuntimeError("not supported here")

    settings = settings.with_changes(kernel="fused", max_steps=8)
    recurrence.loops.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(torch.jit, "script", unsupported)
        first = trained(corpus, settings, replace(plan, kernel="fused-f32", planned_steps=8))
    recurrence.loops.cache_clear()
    started, warned = first.events[:2]
    assert isinstance(started, Started)
    assert started.kernel_path.startswith("Python loops")
    assert isinstance(warned, Warned)
    assert "its loops are not compiled (RuntimeError: not supported here)" in warned.message
    # a resume with the compiled kernel names the difference
    again = trained(corpus, settings, state=first.store.states[0])
    [resumed] = again.only(Resumed)
    assert "kernel path Python loops with" in str(resumed.inexact)
    assert not again.only(Warned)


def test_run_whose_end_moves_far_out_validates_no_more_often_than_planned(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else ``patience`` would end a run that was planned beside other programs after a few per cent of its steps. What
    was planned then is saved at once, so that a run that is killed later validates at the same steps."""
    Time(monkeypatch, 0.0625)
    settings = settings.with_changes(max_steps=None, max_minutes=0.5, val_every=None, checkpoint_minutes=None)
    plan = make_plan(planned_steps=85, val_every=3, snapshot_steps=(0,), seconds_per_step=0.35)
    run = trained(corpus, settings, plan)
    assert [event.step for event in run.only(Decided)] == [3]
    assert run.last.step == 480
    assert 28 <= len(run.on_the_way) <= 34
    assert [state.step for state in run.store.states] == [0, 3, 480, 480]
    assert Trainer.resume(corpus, settings, run.store.states[1]).plan == run.trainer.plan


@pytest.mark.parametrize(("spent", "measuring"), [(9.5, 0.0), (0.0, 500.0)])
def test_start_uses_up_its_share_of_max_minutes_at_most(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, spent: float, measuring: float
) -> None:
    """On a busy machine measuring once took two minutes, and ``quick`` ended after a single step."""
    clock = Time(monkeypatch, 0.01)

    def measure(*_: object, **__: object) -> MeasuredSpeed:
        clock.now += measuring
        return MeasuredSpeed("nn", 0.01, 64)

    monkeypatch.setattr(benchmark, "measure", measure)
    share = 2 * (1 - MOST_START_SHARE)
    assert 0.5 * share < trained(corpus, TWO_SECONDS, spent=spent).last.train_seconds <= share


def test_stop_ends_the_final_validation_and_a_resume_repeats_it(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    at: Script = {}

    def asked(*args: Any, progress: Any = None, **how: Any) -> Evaluation:
        if progress is not None:
            at[plan.planned_steps] = [("stop", None)]
        return evaluate(*args, progress=progress, **how)

    monkeypatch.setattr(final_validation, "evaluate", asked)
    run = trained(corpus, settings, plan, at)
    assert (run.last.reason, run.last.step) == ("stopped", plan.planned_steps)
    assert run.only(Validated) == run.on_the_way
    monkeypatch.undo()
    again = trained(corpus, settings, state=run.store.states[-1])
    assert [event.step for event in again.only(Validated)] == [plan.planned_steps]
    assert again.last.reason == "done"


def test_calibration_lowers_the_loss_by_a_factor_of_the_logits_alone(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    runs = [trained(corpus, settings.with_changes(calibrate=calibrate), plan) for calibrate in (False, True)]
    plain, scaled = (run.trainer.best for run in runs)
    assert plain.loss is not None
    assert scaled.loss is not None
    assert scaled.loss < plain.loss
    factors = {float(np.mean(scaled.weights[name] / plain.weights[name])) for name in ("fc.weight", "fc.bias")}
    assert max(factors) == pytest.approx(min(factors), abs=1e-4)
    assert factors.pop() != pytest.approx(1, abs=1e-3)
    for name in plain.weights.keys() - {"fc.weight", "fc.bias"}:
        assert np.array_equal(plain.weights[name], scaled.weights[name])
    # what training goes on with is not scaled
    one, other = (run.store.states[-1].tensors for run in runs)
    assert all(name.startswith("best.fc") or np.array_equal(tensor, other[name]) for name, tensor in one.items())


def test_trainer_handles_every_command_at_its_step(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    at: Script = {
        8: [("pause", None), ("set-lr", 1e-4), ("resume", None)], 16: [("checkpoint", None)], 24: [("stop", None)]
    }  # fmt: skip
    run = trained(corpus, settings, plan, at)
    seen = [(event.id, event.command) for event in run.only(Controlled)]
    assert seen == [("c0", "pause"), ("c1", "set-lr"), ("c2", "resume"), ("c3", "checkpoint"), ("c4", "stop")]
    assert run.names.index("paused") < run.names.index("resumed")
    rates = {event.step: event.lr for event in run.only(Stepped)}
    assert rates[8] > 2e-3
    assert rates[12] == pytest.approx(1e-4, rel=0.1)
    assert (run.last.reason, run.last.step) == ("stopped", 24)
    # the second state at 8 names the new rate, before that acts
    states = [(state.step, len(state.record["schedule"]["amendments"])) for state in run.store.states]
    assert states == [(0, 0), (8, 0), (8, 1), (16, 1), (24, 1)]
    assert [event.step for event in run.only(Checkpointed)] == [step for step, _ in states]


def test_more_at_the_end_lengthens_the_run_and_what_comes_too_late_is_said(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came in the last step or its validation was dropped without a word."""
    monkeypatch.setattr(clock_module.Clock, "pace", lambda self: 0.001)
    at: Script = {60: [("more", 0.03 / 60)], 90: [("set-lr", 1e-4), ("checkpoint", None)]}
    run = trained(corpus, settings, replace(plan, log_every=1), at)
    assert (run.last.reason, run.last.step) == ("done", 90)
    rates = [event.lr for event in run.only(Stepped) if event.step > 60]
    assert max(rates) == pytest.approx(EXTENSION_PEAK * settings.lr)
    assert [event.command for event in run.only(Controlled)] == ["more"]
    warned = run.events[-2]
    assert isinstance(warned, Warned)
    assert warned.message == "The run ended before this could be done: set-lr, checkpoint"


def test_trainer_saves_a_checkpoint_every_few_minutes(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Time(monkeypatch, 10.0)
    plan = make_plan(planned_steps=10, snapshot_steps=(0,), log_every=1)
    for minutes, steps in ((0.5, [0, 3, 6, 9, 10, 10]), (None, [0, 10, 10])):
        run = trained(corpus, settings.with_changes(checkpoint_minutes=minutes), plan)
        assert [state.step for state in run.store.states] == steps


@pytest.mark.parametrize(("seconds", "steps"), [(0.5, 50), (10.0, 2), (60.0, 1)])
def test_finish_takes_25_seconds_at_the_current_pace(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int
) -> None:
    clock = Time(monkeypatch, seconds)
    plan = make_plan(planned_steps=10**7, snapshot_steps=(0,), log_every=1, seconds_per_step=0.01)
    run = trained(corpus, settings.with_changes(schedule="constant"), plan, {20: [("finish", None)]})
    assert (run.last.reason, run.last.step) == ("done", 20 + steps)
    assert clock.now == seconds * (20 + steps)
    rates = [event.lr for event in run.only(Stepped)]
    assert rates[20:] == pytest.approx([settings.lr * (1 - step / steps) for step in range(steps)])
    assert run.trainer.schedule.rate(run.last.step) == 0


def test_finish_ends_a_pause_and_does_not_count_it(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch, 0.5)
    at: Script = {20: [("pause", None)]}

    def wait(seconds: float) -> None:
        assert len(at[20]) == 1, "it is still paused"
        at[20] += [("checkpoint", None), ("finish", None)]
        clock.now += 1000

    plan = make_plan(planned_steps=10**7, snapshot_steps=(0,), log_every=1)
    monkeypatch.setattr(trainer_module.time, "sleep", wait)
    run = trained(corpus, settings, plan, at)
    assert (run.last.reason, run.last.step) == ("done", 20 + 50)
    assert [event.planned_steps for event in run.only(Resumed)] == [20 + 50]
    assert run.last.work_seconds == 0.5 * (20 + 50)


def test_trainer_stops_at_a_loss_that_is_not_a_number_and_keeps_its_best_model(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    run = trained(corpus, settings.with_changes(lr=1e30, clip=None, ema_decay=None), plan)
    assert (run.last.reason, run.last.best_step) == ("diverged", 0)
    assert run.last.best_val is not None
    assert "no longer a number" in run.only(Warned)[-1].message
    assert all(np.isfinite(array).all() for array in run.store.models[-1][2].weights.values())
    assert [state.step for state in run.store.states] == [0]


def test_trainer_writes_no_sample_with_diverged_weights(corpus: Corpus, settings: Settings, plan: Plan) -> None:
    sample = make_sampler("the ", 0)
    trainer = Trainer(corpus, settings.with_changes(ema_decay=None), hooks=Hooks(sample=sample), plan=plan)
    events: list[Event] = []
    while not trainer.over:
        events += trainer.advance()
        if trainer.progress.step == 28 and not trainer.progress.attended:  # a validation is next
            for parameter in trainer._train_step.network.parameters():
                parameter.data.fill_(3e38)
    assert trainer.progress.ended == "diverged"
    assert [event.step for event in only(events, Sampled)] == [0, 3, 7, 14, 20, 21]
    assert any(event.message.startswith("No sample was written: ") for event in only(events, Warned))


@pytest.mark.parametrize(
    ("changes", "planned", "seconds", "end"),
    [
        ({"patience": 2}, {}, 0.0, (14, "patience", "patience")),
        ({"patience": 9}, {}, 0.0, (60, "done", "max_steps")),  # nine without improvement, at 7, 14, …, 56 and 60
        (
            {"max_steps": None, "max_minutes": 0.5, "patience": 1},
            {"planned_steps": 100, "val_every": 50, "snapshot_steps": (0,), "log_every": 50}, 1.0,
            (30, "time", "max_minutes"),
        ),
    ],
)  # fmt: skip
def test_run_that_does_not_improve_ends_by_patience_unless_its_steps_or_time_are_over(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any], planned: dict[str, Any], seconds: float, end: tuple[int, str, str],
) -> None:  # fmt: skip
    """It is validated once more when its time is over, at a step at which no validation is due."""
    losses = itertools.count(2)
    monkeypatch.setattr(trainer_module, "evaluate", lambda *_, **__: Evaluation(float(next(losses)), 100))
    if seconds:
        Time(monkeypatch, seconds)
    run = trained(corpus, settings.with_changes(**changes), make_plan(**planned))
    assert (run.last.step, run.last.reason, run.last.limit) == end
    assert run.on_the_way[-1].step == run.last.step


@pytest.mark.parametrize("text", ["ab", "aaaa", "the cat", "one line of a very small text\n" * 3])
def test_trainer_trains_on_tiny_texts_and_warns(text: str, settings: Settings) -> None:
    run = trained(make_corpus(text), settings.with_changes(max_steps=3, val_fraction=0.1))
    assert run.last.step == 3
    assert any("is small" in event.message for event in run.only(Warned))


def test_trainer_refuses_a_text_of_one_character(settings: Settings) -> None:
    with pytest.raises(TextError, match="too short"):
        Trainer(make_corpus("a"), settings)


def test_trainer_that_starts_from_a_model_starts_lower_and_adds_characters(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    parent = trained(corpus, settings.with_changes(max_steps=200), replace(plan, planned_steps=200)).trainer.best
    text, other_size = make_corpus(words(800, seed=3) + " ÄÖÜ"), settings.with_changes(hidden_size=99, num_layers=1)
    child, nothing = trained(text, other_size, plan, start_from=parent), trained(text, settings, plan)
    assert child.on_the_way[0].val_loss < nothing.on_the_way[0].val_loss - 0.3
    model = child.store.models[-1][2]
    assert model.vocabulary.symbols[: len(parent.vocabulary)] == parent.vocabulary.symbols
    assert "Ä" in model.vocabulary
    assert model.config.hidden_size == parent.config.hidden_size
    assert trained(text, other_size, state=child.store.states[0]).last.best_val == child.last.best_val


def slow_evaluation(clock: Time, seconds_per_char: float) -> Any:
    """A replacement of ``evaluate`` that takes so long, in ten parts that are reported."""

    def slowly(
        network: CharLSTM, ids: Any, spans: Any, limit: int | None = None, *, progress: Any = None
    ) -> Evaluation:
        figure = evaluate(network, ids, spans, limit)
        for part in range(1, 11):
            clock.now += figure.chars * seconds_per_char / 10
            if progress is not None:
                progress(figure.chars * part // 10, figure.chars)
        return figure

    return slowly


@pytest.mark.parametrize(("seconds_per_char", "whole"), [(0.005, True), (0.02, False)])
def test_final_validation_takes_a_tenth_of_the_time_or_the_loss_stays_an_estimate(
    corpus: Corpus,
    settings: Settings,
    seconds_per_char: float,
    whole: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine it took eight and a half minutes of a run of one. There are 641 characters to validate."""
    clock = Time(monkeypatch, 0.5)
    for module in (trainer_module, final_validation):
        monkeypatch.setattr(module, "evaluate", slow_evaluation(clock, seconds_per_char))
    settings = settings.with_changes(max_steps=None, epochs=None, max_minutes=1.0, calibrate=False)
    run = trained(corpus, settings, make_plan(planned_steps=60, val_every=20, snapshot_steps=(0,)))
    assert run.last.best_whole is whole
    assert run.last.best_val is not None
    assert any("The loss is an estimate from" in event.message for event in run.only(Warned)) is not whole
    assert run.last.best_val not in [event.val_loss for event in run.on_the_way], "it was measured on more text"
    assert clock.now <= 60 * 1.025, "the end is not moved for less than a fiftieth"


def test_time_limit_holds_where_each_validation_takes_a_minute(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch, 0.5)
    monkeypatch.setattr(trainer_module, "evaluate", slow_evaluation(clock, 0.3))
    settings = settings.with_changes(max_steps=None, epochs=None, max_minutes=10.0, calibrate=False)
    trained(corpus, settings, make_plan(planned_steps=600, val_every=50, snapshot_steps=(0,)))
    assert clock.now < 600 * 1.15


def test_final_validation_that_becomes_slow_is_given_up(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch, 0.5)
    slow, fast = slow_evaluation(clock, 1.0), slow_evaluation(clock, 0.001)

    def evaluated(*args: Any, **how: Any) -> Evaluation:
        found: Evaluation = (fast if args[3] is not None and args[3] <= 200 else slow)(*args, **how)
        return found

    for module in (trainer_module, final_validation):
        monkeypatch.setattr(module, "evaluate", evaluated)
    settings = settings.with_changes(max_steps=None, epochs=None, max_minutes=1.0)
    plan, reported = make_plan(planned_steps=60, val_every=20, snapshot_steps=(0,)), [0.0]
    assert not trained(corpus, settings, plan, validation_progress=reported.append).last.best_whole
    assert reported[-1] == 1.0  # of the time: "left 6:10" stood there after the first 4 % of the characters
    assert clock.now < 60 + 65  # the first tenth of it was enough to see


def test_run_whose_best_model_is_from_before_training_ends_like_any_other(
    corpus: Corpus, settings: Settings, plan: Plan
) -> None:
    """It ended with an estimate, and without calibration."""
    best = trained(corpus, settings, plan).trainer.best
    run = trained(corpus, settings.with_changes(lr=9.0, schedule="constant"), plan, start_from=best)
    assert (run.last.best_step, run.last.best_whole) == (0, True)
    assert run.only(Validated)[-1].val_loss == run.last.best_val
    before, after = (model.weights["fc.weight"] for *_, model in (run.store.models[0], run.store.models[-1]))
    factors = after / before
    assert factors.max() == pytest.approx(factors.min(), abs=1e-4)
    assert factors.max() != pytest.approx(1, abs=1e-3)


def test_change_of_threads_is_saved_before_a_step_is_taken_with_it(
    corpus: Corpus, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With steps that take four times their processor time, a search on a machine of two cores tries one thread."""
    monkeypatch.setattr(system, "cpu_count", lambda: 2)
    clock = Time(monkeypatch, 0.5)
    used: list[int] = []
    take_step = TrainStep.step

    def timed(learner: TrainStep, number: int, rate: float) -> StepOutcome:
        used.append(torch.get_num_threads())
        clock.now += 0.5 * (used[-1] == 2)
        clock.stopped += 0.75 * used[-1]
        return take_step(learner, number, rate)

    monkeypatch.setattr(TrainStep, "step", timed)
    store, changes = MemoryStore(), []

    def see(event: Event) -> None:
        if isinstance(event, Decided):
            assert event.step == len(used)
            saved = store.states[-1]
            assert (saved.step, saved.record["plan"]["threads"]) == (event.step, event.threads)
            changes.append(event.threads)

    trained(corpus, settings.with_changes(threads=None), replace(plan, threads=2), store=store, see=see)
    assert changes[0] == 1
    assert used[:7] == [2] * 7
    assert used[-1] == 1
    assert len(used) == 60


def test_measurement_takes_no_more_steps_after_its_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine measuring took minutes. Each step takes four seconds here."""
    now = [0.0]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])
    taken: list[str] = []

    def slow(learner: TrainStep, number: int, rate: float) -> None:
        now[0] += 4.0
        taken.append(learner.kernel.name)

    monkeypatch.setattr(TrainStep, "step", slow)
    monkeypatch.setattr(benchmark, "candidates", lambda asked, device: ["fused-f32", "nn"])
    monkeypatch.setattr(NNKernel, "step", lambda *_: pytest.fail("there is no time for a second kernel"))
    step = FusedKernel.step

    def slow_step(kernel: FusedKernel, *batch: Any) -> Any:
        now[0] += 3.0
        return step(kernel, *batch)

    monkeypatch.setattr(FusedKernel, "step", slow_step)
    monkeypatch.setattr(system, "cpu_count", lambda: 2)
    for crowded, threads in ((False, 2), (True, 1)):
        monkeypatch.setattr(benchmark, "_was_crowded", lambda before, crowded=crowded: crowded)
        measured = benchmark.measure(settings.with_changes(kernel="auto", threads=None), 20, torch.device("cpu"), 4, 16)
        assert taken == ["fused-f32"]
        assert (measured.kernel, measured.seconds, measured.threads) == ("fused-f32", 4.0, threads)
        taken.clear()


def test_speed_measured_beside_other_programs_is_not_stored(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[MeasuredSpeed] = []
    monkeypatch.setattr(estimates, "_add_to_cache", stored.append)
    monkeypatch.setattr(benchmark, "SHORT_BUDGET", 0.01)
    for crowded in (True, False):
        monkeypatch.setattr(benchmark, "_was_crowded", lambda before, crowded=crowded: crowded)
        benchmark.measure_and_plan(
            settings, TrainingText.of(corpus, corpus.vocabulary, 0.1, "tail"), worked=lambda: 0.0
        )
        assert len(stored) == (not crowded)


def test_trainer_takes_the_stored_kernel_for_the_same_settings(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison takes over a second of the minute that ``quick`` has."""
    chosen: list[str] = []

    def choose(names: Sequence[str], *_: Any, **__: Any) -> str:
        chosen.append(names[0])
        return names[0]

    monkeypatch.setattr(benchmark, "choose_kernel", choose)
    monkeypatch.setattr(benchmark, "_was_crowded", lambda before: False)  # else nothing is stored
    settings = settings.with_changes(max_steps=2, kernel="auto", device="cpu", hidden_size=13)
    kernels = [trained(corpus, settings).trainer.plan.kernel for _ in range(2)]
    assert (len(chosen), kernels) == (1, chosen * 2)
    # a stored kernel that this machine lacks is not taken
    monkeypatch.setattr(benchmark, "find_speed", lambda *_: MeasuredSpeed("none", 0.1, 64))
    trained(corpus, settings)
    assert len(chosen) == 2


def ends(run: Trained) -> list[int]:
    """The steps at which the clock decided that a run should end."""
    return [event.step + (event.steps_left or 0) for event in run.only(Decided)]


def test_resumed_trainer_measures_its_pace_over_a_whole_validation_interval(
    corpus: Corpus, ten_minutes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch, 1.0)

    def slowly(*args: Any, **how: Any) -> Evaluation:
        clock.now += 30.0 if clock.now else 0.0
        return evaluate(*args, **how)

    monkeypatch.setattr(trainer_module, "evaluate", slowly)
    again = trained(corpus, ten_minutes, state=stopped_at(38, corpus, ten_minutes))
    assert all(190 < end < 240 for end in ends(again))  # 16 seconds a step, as the first two, would have made it 71
    assert 190 < again.last.step <= 240


def test_resumed_trainer_does_not_count_loading_in_its_pace(
    corpus: Corpus, ten_minutes: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch, 1.0)
    state, load = stopped_at(40, corpus, ten_minutes), TrainStep.load

    def slowly(learner: TrainStep, tensors: Tensors) -> None:
        load(learner, tensors)
        clock.now += 100.0

    monkeypatch.setattr(TrainStep, "load", slowly)
    assert ends(trained(corpus, ten_minutes, state=state))[0] > 400  # at 6 seconds a step it would have been 140


@pytest.fixture
def ten_minutes(settings: Settings) -> Settings:
    return settings.with_changes(max_steps=None, max_minutes=10.0, val_every=None)


def stopped_at(step: int, corpus: Corpus, settings: Settings) -> TrainingState:
    plan = make_plan(planned_steps=200, val_every=20, snapshot_steps=(0,), log_every=1)
    return trained(corpus, settings, plan, {step: [("stop", None)]}).store.states[-1]


def test_held_out_part_that_every_validation_reads_whole_is_read_whole_at_the_end_too(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch, 0.5)
    monkeypatch.setattr(trainer_module, "evaluate", slow_evaluation(clock, 0.02))  # twice what is allowed
    settings = settings.with_changes(max_steps=None, epochs=None, max_minutes=1.0)
    plan = make_plan(planned_steps=60, val_every=20, val_chars=641, snapshot_steps=(0,))
    assert trained(corpus, settings, plan).last.best_whole


def test_time_limit_does_not_count_the_time_of_the_caller(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch, 1.0)
    settings = settings.with_changes(max_steps=None, max_minutes=1.0)

    def wait(event: Event) -> None:
        clock.now += 100.0  # a disk that is full

    last = trained(corpus, settings, make_plan(planned_steps=30, snapshot_steps=(0,), log_every=1), see=wait).last
    assert last.reason == "done"
    assert last.work_seconds == last.step > 30

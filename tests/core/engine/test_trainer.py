"""The trainer: its events, what it saves, its commands and its time limit."""

import errno
import itertools
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
from charlstm.errors import ModelError, RunError, TextError
from charlstm.model.file import Model, Weights
from charlstm.training import clock as clock_module
from charlstm.training import estimate as estimates
from charlstm.training.events import Event
from charlstm.training.plan import MOST_START_SHARE, MeasuredSpeed
from small_training import MemoryStore, make_corpus, make_plan, words
from trained import CORPUS, PLAN, SETTINGS, Script, Trained, trained

MINUTE = SETTINGS.with_changes(max_steps=None, max_minutes=1.0)


class Time:
    """A clock for the trainer on which each step takes ``seconds`` and nothing else takes time. For ``stopped`` seconds
    the process was suspended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = self.stopped = 0.0
        fake_time = SimpleNamespace(perf_counter=lambda: self.now, time=lambda: self.now, sleep=lambda seconds: None)
        fake_time.process_time = lambda: self.now - self.stopped
        for module in (trainer_module, clock_module, final_validation, checkpoint_writer):
            monkeypatch.setattr(module, "time", fake_time)
        step = TrainStep.step

        def timed(learner: TrainStep, number: int, rate: float) -> StepOutcome:
            self.now += seconds
            return step(learner, number, rate)

        monkeypatch.setattr(TrainStep, "step", timed)


def test_trainer_logs_validates_samples_and_saves_at_its_planned_steps(whole: Trained) -> None:
    assert (*whole.names[:3], whole.names[-1]) == ("started", "validation", "sample", "finished")
    steps, store = whole.only("step"), whole.store
    assert [event.step for event in steps] == list(range(4, 61, 4))
    assert steps[-1].train_loss < steps[0].train_loss
    assert steps[1].epoch == pytest.approx(8 / 98)
    validated = [event.step for event in whole.on_the_way]
    assert validated == [0, 7, 14, 21, 28, 35, 42, 49, 56, 60]
    assert [event.step for event in whole.only("sample")] == sorted({0, 3, 20, *validated})
    assert {step: model.info["step"] for step, model in store.snapshots.items()} == {0: 0, 3: 3, 20: 20}
    assert [state.step for state in store.states] == [0, 60, 60]  # before and after the last validation
    assert all(event.best == (event.step in {step for step, _, _ in store.models}) for event in whole.on_the_way)


def test_trainer_ends_with_the_loss_of_its_best_model_on_all_held_out_text(whole: Trained) -> None:
    last, (step, val_loss, model) = whole.last, whole.store.models[-1]
    assert (last.reason, last.best_step, model.info["step"]) == ("done", step, step)
    held_out = CORPUS.split(SETTINGS.val_fraction, SETTINGS.split).held_out
    figure = evaluate(CharLSTM.from_model(model), CORPUS.ids, held_out)
    assert figure.loss == last.loss == val_loss == model.info["val_loss"]
    measured = whole.only("validation")[-1]
    assert (measured.whole, measured.loss, measured.chars) == (True, figure.loss, figure.chars)
    assert min(whole.on_the_way, key=lambda event: event.loss).step == step


def test_trainer_saves_the_measured_plan_first_and_waits_for_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(trouble=[OSError(errno.ENOSPC, "No space left on device")])
    waits: list[float] = []
    monkeypatch.setattr(trainer_module.time, "sleep", waits.append)
    run = trained(SETTINGS.with_changes(max_steps=8), None, store=store, until=lambda event: event.name == "started")
    assert run.names == ["paused", "resumed", "started"]
    assert (store.order, store.plans, len(waits)) == (["plan"], [run.trainer.plan], 1)
    assert run.only("started")[0].planned_steps == store.plans[0].planned_steps == 8


def test_trainer_warns_when_the_compiled_kernel_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(function: Any) -> Any:
        raise RuntimeError("not supported here")

    settings = SETTINGS.with_changes(kernel="fused")
    recurrence.loops.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(torch.jit, "script", unsupported)
        first = trained(settings, replace(PLAN, kernel="fused-f32"), steps=2)
    recurrence.loops.cache_clear()
    started, warned = first.events[:2]
    assert started.kernel_path.startswith("Python loops")
    assert "its loops are not compiled (RuntimeError: not supported here)" in warned.message
    # a resume with the compiled kernel names the difference, and computes the same
    again = trained(settings, steps=2, state=first.store.states[0])
    ours, theirs = (run.trainer.network.fc.weight for run in (again, first))
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert "kernel path Python loops with" in str(again.only("resumed")[0].inexact)
    assert not again.warnings


def test_run_whose_end_moves_far_out_validates_no_more_often_than_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else ``patience`` would end a run that was planned beside other programs after a few per cent of its steps. What
    was planned then is saved at once, so that a run that is killed later validates at the same steps."""
    Time(monkeypatch, 0.25)
    settings = MINUTE.with_changes(val_every=None, checkpoint_minutes=None)
    run = trained(settings, make_plan(planned_steps=43, val_every=3, snapshot_steps=(0,), seconds_per_step=1.4))
    assert [event.step for event in run.only("decision")] == [3]
    assert run.last.step == 240
    assert 28 <= len(run.on_the_way) <= 34
    assert [state.step for state in run.store.states] == [0, 3, 240, 240]
    assert Trainer.resume(CORPUS, settings, run.store.states[1]).plan == run.trainer.plan


@pytest.mark.parametrize(("spent", "measuring"), [(9.5, 0.0), (0.0, 500.0)])
def test_start_uses_its_share_of_time_at_most(monkeypatch: pytest.MonkeyPatch, spent: float, measuring: float) -> None:
    """On a busy machine measuring once took two minutes, and ``quick`` ended after a single step."""
    clock = Time(monkeypatch, 0.01)

    def measure(*_: object, **__: object) -> MeasuredSpeed:
        clock.now += measuring
        return MeasuredSpeed("nn", 0.01, 64)

    monkeypatch.setattr(benchmark, "measure", measure)
    share = 2 * (1 - MOST_START_SHARE)
    run = trained(MINUTE.with_changes(max_minutes=2 / 60), None, spent=spent)
    assert 0.5 * share < run.last.train_seconds <= share


def test_stop_ends_the_final_validation_and_a_resume_repeats_it() -> None:
    at: Script = {}
    run = trained(at=at, validation_progress=lambda share: at.update({60: ["stop"]}))
    assert (run.last.reason, run.last.step) == ("stopped", 60)
    assert run.only("validation") == run.on_the_way
    again = trained(state=run.store.states[-1])
    assert [event.step for event in again.only("validation")] == [60]
    assert again.last.reason == "done"


def test_calibration_lowers_the_loss_by_a_factor_of_the_logits_alone(whole: Trained) -> None:
    runs = (trained(SETTINGS.with_changes(calibrate=False)), whole)
    plain, scaled = (run.trainer.best for run in runs)
    assert scaled.loss < plain.loss
    assert_scaled(scaled.weights, plain.weights)
    for name in plain.weights.keys() - {"fc.weight", "fc.bias"}:
        assert np.array_equal(plain.weights[name], scaled.weights[name])
    # what training goes on with is not scaled
    one, other = (run.store.states[-1].tensors for run in runs)
    assert all(name.startswith("best.fc") or np.array_equal(tensor, other[name]) for name, tensor in one.items())


def assert_scaled(after: Weights, before: Weights) -> None:
    """By one factor for all weights of the output layer."""
    factors = np.concatenate([(after[name] / before[name]).ravel() for name in ("fc.weight", "fc.bias")])
    assert factors.max() == pytest.approx(factors.min(), abs=1e-4)
    assert factors.max() != pytest.approx(1, abs=1e-3)


def test_trainer_handles_every_command_at_its_step() -> None:
    """Also the rate that is set in the warm-up, which acts at once and ends it."""
    at: Script = {8: ["pause", ("set-lr", 1e-4), "resume"], 16: ["checkpoint"], 24: ["stop"]}
    run = trained(plan=replace(PLAN, warmup_steps=16), at=at)
    seen = [(event.id, event.command) for event in run.only("control")]
    assert seen == [("c0", "pause"), ("c1", "set-lr"), ("c2", "resume"), ("c3", "checkpoint"), ("c4", "stop")]
    assert run.names.index("paused") < run.names.index("resumed")
    rates = {event.step: event.lr for event in run.only("step")}
    assert rates[8] > 1e-3
    assert rates[12] == rates[16] == 1e-4 > rates[20]
    assert (run.last.reason, run.last.step) == ("stopped", 24)
    # the second state at 8 names the new rate, before that acts
    states = [(state.step, len(state.record["schedule"]["amendments"])) for state in run.store.states]
    assert states == [(0, 0), (8, 0), (8, 1), (16, 1), (24, 1)]
    assert [event.step for event in run.only("checkpoint")] == [step for step, _ in states]


def test_more_at_the_end_lengthens_the_run_and_what_comes_too_late_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came in the last step or its validation was dropped without a word."""
    monkeypatch.setattr(clock_module.Clock, "pace", lambda self: 0.001)
    at: Script = {60: [("more", 0.03 / 60)], 90: [("set-lr", 1e-4), "checkpoint"]}
    run = trained(plan=replace(PLAN, log_every=1), at=at)
    assert (run.last.reason, run.last.step, run.last.limit) == ("done", 90, "")
    rates = [event.lr for event in run.only("step") if event.step > 60]
    assert max(rates) == pytest.approx(EXTENSION_PEAK * SETTINGS.lr)
    assert [event.command for event in run.only("control")] == ["more"]
    warned = run.events[-2]
    assert warned.message == "The run ended before this could be done: set-lr, checkpoint"
    # a limit that a resume sets is named again
    again = trained(SETTINGS.with_changes(max_steps=100), state=run.store.states[-1]).last
    assert (again.step, again.limit) == (100, "max_steps")


def test_trainer_saves_a_checkpoint_every_few_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    Time(monkeypatch, 10.0)
    plan = make_plan(planned_steps=10, snapshot_steps=(0,), log_every=1)
    for minutes, steps in ((0.5, [0, 3, 6, 9, 10, 10]), (None, [0, 10, 10])):
        run = trained(SETTINGS.with_changes(checkpoint_minutes=minutes), plan)
        assert [state.step for state in run.store.states] == steps


@pytest.mark.parametrize(("seconds", "steps"), [(0.5, 50), (10.0, 2), (60.0, 1)])
def test_finish_takes_25_seconds_at_current_pace(monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int) -> None:
    clock = Time(monkeypatch, seconds)
    plan = make_plan(planned_steps=10**7, snapshot_steps=(0,), log_every=1, seconds_per_step=0.01)
    run = trained(SETTINGS.with_changes(schedule="constant"), plan, {20: ["finish"]})
    assert (run.last.reason, run.last.step) == ("done", 20 + steps)
    assert clock.now == seconds * (20 + steps)
    rates = [event.lr for event in run.only("step")]
    assert rates[20:] == pytest.approx([SETTINGS.lr * (1 - step / steps) for step in range(steps)])
    assert run.trainer.schedule.rate(run.last.step) == 0


def test_finish_ends_a_pause_and_does_not_count_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time(monkeypatch, 0.5)
    at: Script = {20: ["pause"]}

    def wait(seconds: float) -> None:
        assert len(at[20]) == 1, "it is still paused"
        at[20] += ["checkpoint", "finish"]
        clock.now += 1000

    plan = make_plan(planned_steps=10**7, snapshot_steps=(0,), log_every=1)
    monkeypatch.setattr(trainer_module.time, "sleep", wait)
    run = trained(plan=plan, at=at)
    assert (run.last.reason, run.last.step) == ("done", 20 + 50)
    assert [event.planned_steps for event in run.only("resumed")] == [20 + 50]
    assert run.last.work_seconds == 0.5 * (20 + 50)


def test_trainer_stops_at_a_loss_that_is_not_a_number_and_keeps_its_best_model() -> None:
    run = trained(SETTINGS.with_changes(lr=1e30, clip=None, ema_decay=None))
    assert (run.last.reason, run.last.best_step) == ("diverged", 0)
    assert run.last.loss is not None
    assert "no longer a number" in run.warnings
    assert all(np.isfinite(array).all() for array in run.store.models[-1][2].weights.values())
    assert [state.step for state in run.store.states] == [0]
    with pytest.raises(RunError, match="no longer a number"):
        run.trainer.state()


def test_trainer_that_cannot_write_a_sample_says_so_and_trains_on() -> None:
    """As with weights that diverge: their sums are not finite."""

    def refuse(model: Model) -> tuple[str, str]:
        raise ModelError("no figures")

    run = trained(sample=refuse, steps=2)
    assert (run.last.reason, run.only("sample")) == ("done", [])
    assert "No sample was written: no figures" in run.warnings


@pytest.mark.parametrize(
    ("changes", "val_every", "end"),
    [
        ({"patience": 2}, 7, (14, "patience", "patience")),
        ({"patience": 9}, 7, (60, "done", "max_steps")),  # nine without improvement, at 7, 14, …, 56 and 60
        ({"patience": 1, "max_steps": None, "max_minutes": 0.5}, 50, (30, "time", "max_minutes")),
    ],
)
def test_run_that_does_not_improve_ends_by_patience_unless_its_steps_or_time_are_over(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], val_every: int, end: tuple[int, str, str]
) -> None:
    """It is validated once more when its time is over, at a step at which no validation is due."""
    losses = itertools.count(2)
    monkeypatch.setattr(trainer_module, "evaluate", lambda *_, **__: Evaluation(float(next(losses)), 100))
    Time(monkeypatch, 1.0)
    run = trained(SETTINGS.with_changes(**changes), replace(PLAN, val_every=val_every, log_every=50))
    assert (run.last.step, run.last.reason, run.last.limit) == end
    assert run.on_the_way[-1].step == run.last.step


@pytest.mark.parametrize("text", ["ab", "aaaa", "the cat", "one line of a very small text\n" * 3])
def test_trainer_trains_on_tiny_texts_and_warns(text: str) -> None:
    run = trained(SETTINGS.with_changes(max_steps=3, val_fraction=0.1), None, corpus=make_corpus(text))
    assert run.last.step == 3
    assert "is small" in run.warnings
    with pytest.raises(TextError, match="too short"):
        Trainer(make_corpus("a"), SETTINGS)


def test_trainer_that_starts_from_a_model_starts_lower_and_adds_characters(whole: Trained) -> None:
    parent = whole.trainer.best
    text, other_size = make_corpus(words(800, seed=3) + " ÄÖÜ"), SETTINGS.with_changes(hidden_size=99, num_layers=1)
    child = trained(other_size, corpus=text, start_from=parent)
    nothing = trained(corpus=text, until=lambda event: event.name == "validation")
    assert child.on_the_way[0].loss < nothing.on_the_way[0].loss - 0.2
    model = child.store.models[-1][2]
    assert model.vocabulary.symbols[: len(parent.vocabulary)] == parent.vocabulary.symbols
    assert "Ä" in model.vocabulary
    assert model.config.hidden_size == parent.config.hidden_size
    assert trained(other_size, corpus=text, state=child.store.states[0]).last.loss == child.last.loss


def slow_evaluation(clock: Time, seconds_per_char: float) -> Any:
    """A replacement of ``evaluate`` that takes so long, in ten parts that are reported."""

    def slowly(*what: Any, progress: Any = None) -> Evaluation:
        figure = evaluate(*what)
        for part in range(1, 11):
            clock.now += figure.chars * seconds_per_char / 10
            if progress is not None:
                progress(figure.chars * part // 10, figure.chars)
        return figure

    return slowly


@pytest.mark.parametrize(("seconds", "val_chars", "whole"), [(0.005, 200, True), (0.02, 200, False), (0.02, 641, True)])
def test_final_validation_takes_a_tenth_of_the_time_unless_each_validation_reads_all_or_the_loss_stays_an_estimate(
    seconds: float, val_chars: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine it took eight and a half minutes of a run of one. There are 641 characters to validate."""
    clock = Time(monkeypatch, 0.5)
    for module in (trainer_module, final_validation):
        monkeypatch.setattr(module, "evaluate", slow_evaluation(clock, seconds))
    plan = make_plan(val_every=20, snapshot_steps=(0,), val_chars=val_chars)
    run = trained(MINUTE.with_changes(calibrate=False), plan)
    assert run.last.best_whole is whole
    assert ("The loss is an estimate from" in run.warnings) is not whole
    if val_chars == 200:
        assert run.last.loss not in [event.loss for event in run.on_the_way], "it was measured on more text"
        assert clock.now <= 60 * 1.025, "the end is not moved for less than a fiftieth"


def test_time_limit_holds_where_each_validation_takes_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time(monkeypatch, 1.0)
    monkeypatch.setattr(trainer_module, "evaluate", slow_evaluation(clock, 0.3))
    settings = MINUTE.with_changes(max_minutes=10.0, calibrate=False)
    trained(settings, make_plan(planned_steps=300, val_every=25, snapshot_steps=(0,)))
    assert clock.now < 600 * 1.15


def test_final_validation_that_becomes_slow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reported = Time(monkeypatch, 0.5), [0.0]
    monkeypatch.setattr(trainer_module, "evaluate", slow_evaluation(clock, 0.001))
    monkeypatch.setattr(final_validation, "evaluate", slow_evaluation(clock, 1.0))
    plan = make_plan(val_every=20, snapshot_steps=(0,))
    assert not trained(MINUTE, plan, validation_progress=reported.append).last.best_whole
    assert reported[-1] == 1.0  # of the time: "left 6:10" stood there after the first 4 % of the characters
    assert clock.now < 60 + 65  # the first tenth of it was enough to see


def test_run_whose_best_model_is_from_before_training_ends_like_any_other(whole: Trained) -> None:
    """It ended with an estimate, and without calibration."""
    settings = SETTINGS.with_changes(lr=9.0, schedule="constant")
    run = trained(settings, start_from=whole.trainer.best)
    assert (run.last.best_step, run.last.best_whole) == (0, True)
    assert run.only("validation")[-1].loss == run.last.loss
    (*_, before), *_, (*_, after) = run.store.models
    assert_scaled(after.weights, before.weights)


def test_run_whose_threads_wait_for_a_busy_processor_goes_on_with_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps that take four times their processor time, a search on a machine of two cores tries one thread."""
    monkeypatch.setattr(system, "cpu_count", lambda: 2)
    clock, used = Time(monkeypatch, 0.5), list[int]()
    take_step = TrainStep.step

    def timed(learner: TrainStep, number: int, rate: float) -> StepOutcome:
        used.append(torch.get_num_threads())
        clock.now += 0.5 * (used[-1] == 2)
        clock.stopped += 0.75 * used[-1]
        return take_step(learner, number, rate)

    monkeypatch.setattr(TrainStep, "step", timed)
    run = trained(SETTINGS.with_changes(threads=None), replace(PLAN, threads=2))
    assert run.only("decision")[0].threads == 1
    assert (used[:7], used[-1], len(used)) == ([2] * 7, 1, 60)


def test_measurement_takes_no_more_steps_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine measuring took minutes. Each step takes four seconds here."""
    now, taken = [0.0], list[type]()
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])

    def slow(which: object, *_: Any) -> None:
        now[0] += 4.0
        taken.append(type(which))

    for each in (TrainStep, FusedKernel, NNKernel):
        monkeypatch.setattr(each, "step", slow)
    monkeypatch.setattr(benchmark, "candidates", lambda asked, device: ["fused-f32", "nn"])
    monkeypatch.setattr(system, "cpu_count", lambda: 2)
    for share, threads in ((0.95, 2), (0.6, 1)):
        monkeypatch.setattr(benchmark, "processor_share", lambda *_, share=share: share)
        measured = benchmark.measure(SETTINGS.with_changes(kernel="auto", threads=None), 20, torch.device("cpu"), 4, 16)
        assert taken == [FusedKernel, TrainStep]
        assert (measured.kernel, measured.seconds, measured.threads) == ("fused-f32", 4.0, threads)
        taken.clear()


def test_speed_measured_beside_other_programs_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[MeasuredSpeed] = []
    monkeypatch.setattr(estimates, "_add_to_cache", stored.append)
    for share, times in ((0.6, 0), (0.95, 1)):
        monkeypatch.setattr(benchmark, "processor_share", lambda *_, share=share: share)
        trained(SETTINGS.with_changes(max_steps=1), None)
        assert len(stored) == times


def test_share_of_the_processor_is_by_load_where_there_are_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a speed that was measured beside other programs would be stored there, and never be measured again."""
    monkeypatch.setattr(system, "processor_times", lambda: None)
    for load, share in ((None, 1.0), (0.5, 1.0), (2.0, 0.5)):
        monkeypatch.setattr(system, "load", lambda load=load: load)
        assert benchmark.processor_share() == share


def test_trainer_takes_the_stored_speed_for_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring takes more than a second before the first step. How busy the machine is now is known anyhow."""
    chosen: list[str] = []

    def choose(names: Sequence[str], *_: Any, **__: Any) -> str:
        chosen.append(names[0])
        return names[0]

    monkeypatch.setattr(benchmark, "choose_kernel", choose)
    monkeypatch.setattr(system, "cpu_count", lambda: 2)
    settings = SETTINGS.with_changes(max_steps=2, kernel="auto", device="cpu", hidden_size=13, threads=None)
    plans = []
    for share in (0.95, 0.95, 0.6):
        monkeypatch.setattr(benchmark, "processor_share", lambda *_, share=share: share)
        plans.append(trained(settings, None).trainer.plan)
    assert plans[0] == plans[1] == replace(plans[2], threads=2)
    assert (len(chosen), plans[0].kernel, plans[2].threads) == (1, *chosen, 1)
    # a stored kernel that this machine lacks is not taken
    monkeypatch.setattr(benchmark, "find_speed", lambda *_: MeasuredSpeed("none", 0.1, 64))
    trained(settings, None)
    assert len(chosen) == 2


def test_resumed_trainer_does_not_count_loading_in_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time(monkeypatch, 1.0)
    settings = MINUTE.with_changes(max_minutes=10.0, val_every=None)
    plan = make_plan(planned_steps=200, val_every=20, snapshot_steps=(0,), log_every=1)
    state, load = trained(settings, plan, {40: ["stop"]}).store.states[-1], TrainStep.load

    def slowly(learner: TrainStep, tensors: Tensors) -> None:
        load(learner, tensors)
        clock.now += 100.0

    monkeypatch.setattr(TrainStep, "load", slowly)
    first = trained(settings, state=state, until=lambda event: event.name == "decision").only("decision")[0]
    assert first.step + (first.steps_left or 0) > 400  # at 6 seconds a step it would have been 140


def test_time_limit_does_not_count_the_time_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time(monkeypatch, 1.0)

    def wait(event: Event) -> None:
        clock.now += 100.0  # a disk that is full

    last = trained(MINUTE, make_plan(planned_steps=30, snapshot_steps=(0,), log_every=1), see=wait).last
    assert last.reason == "done"
    assert last.work_seconds == last.step > 30

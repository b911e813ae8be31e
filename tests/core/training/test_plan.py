"""The plan of a run: its steps, its validations, and its time by the clock."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import small_training
from charlstm.errors import ModelError, SettingsError
from charlstm.fields import plain, read
from charlstm.training import clock as clock_module
from charlstm.training import plan as plan_module
from charlstm.training.clock import Clock
from charlstm.training.plan import MIN_STEPS_PER_EPOCH, MeasuredSpeed, Plan, end_within_time, final_seconds
from charlstm.training.progress import Progress
from charlstm.training.schedule import Amendment, LearningRate
from charlstm.training.settings import Settings
from charlstm.training.time_limit import new_steps_left
from random_examples import examples


def planned(settings: Settings, *, speed: float = 20_000.0, held_out: int = 198_000, spent: float = 0.0) -> Plan:
    chars = settings.batch_size * settings.seq_length
    return plan_module.make_plan(
        settings, measured=MeasuredSpeed("nn", chars / speed, chars), batch_size=settings.batch_size,
        seq_length=settings.seq_length, steps_per_epoch=1_000_000 // chars, held_out=held_out, device="cpu",
        spent=spent,
    )  # fmt: skip


@pytest.mark.parametrize("damage", [{"threads": 0}, {"val_every": 0}, {"seconds_per_step": 0.0}, {"device": "auto"}])
def test_impossible_plan_is_refused(damage: dict[str, object]) -> None:
    plan = planned(Settings(max_steps=100))
    assert read(Plan, plain(plan)) == plan
    with pytest.raises(ModelError, match="start a new run"):
        plan_module.read_plan(plain(plan) | damage)


def test_plan_fits_training_and_validation_into_max_minutes() -> None:
    speed = 1.2 * 40_000
    plan = planned(Settings(max_minutes=1.0), speed=40_000, spent=2.0)
    training = plan.planned_steps * plan.seconds_per_step
    validations = plan.planned_steps // plan.val_every * plan.val_chars / speed
    final = 198_000 / speed
    assert 55 < training + validations + final + 2 <= 61
    assert validations < 0.14 * training


def test_plan_ends_at_the_first_limit() -> None:
    assert planned(Settings(max_steps=10, epochs=5, max_minutes=3)).planned_steps == 10
    assert planned(Settings(epochs=0.1, max_minutes=30)).planned_steps == 49
    assert planned(Settings(max_minutes=1e-6)).planned_steps == 1
    with pytest.raises(SettingsError, match="epochs, max_steps or max_minutes"):
        planned(Settings())


def test_plan_logs_and_validates_at_the_intended_intervals() -> None:
    plan = planned(Settings(epochs=3, batch_size=64, seq_length=100, hidden_size=64))
    assert 0.2 <= plan.log_every * plan.seconds_per_step <= 0.5
    assert plan.planned_steps / plan.val_every <= 31
    often = planned(Settings(epochs=3, val_every=5))
    assert (often.val_every, often.val_chars) == (5, 198_000)
    assert planned(Settings(epochs=3, log_every=7)).log_every == 7
    assert planned(Settings(epochs=3), held_out=0).val_chars == 0
    assert planned(Settings(epochs=300, val_chars=50_000)).val_chars == 50_000


@examples(40)
@given(st.integers(1, 10**9), st.floats(1e-5, 100), st.integers(3, 20))
def test_snapshot_steps_are_few_and_reach_from_0_to_the_end(steps: int, seconds: float, count: int) -> None:
    chosen = plan_module.snapshot_steps(steps, seconds, count)
    assert chosen[0] == 0
    assert len(chosen) <= count
    assert chosen[-1] == steps
    first = chosen[1]
    assert first == 1 or first == steps or first * seconds <= 10


@examples(40)
@given(st.integers(0, 10**7), st.integers(1, 4096), st.integers(1, 4096))
def test_fit_batch_shrinks_batches_for_a_small_text(targets: int, rows: int, length: int) -> None:
    fitted = plan_module.fit_batch(Settings(batch_size=rows, seq_length=length), targets)
    assert 1 <= fitted[0] <= rows
    assert 1 <= fitted[1] <= length
    if rows * length * MIN_STEPS_PER_EPOCH <= targets:
        assert fitted == (rows, length)
    elif targets >= 8 * MIN_STEPS_PER_EPOCH:
        assert fitted[0] * fitted[1] * MIN_STEPS_PER_EPOCH <= targets


@pytest.mark.parametrize(
    ("max_steps", "worked", "last", "end"),
    [
        (None, 20.0, 0.0, 100 + 400), (None, 99.0, 0.0, 101), (200, 20.0, 0.0, 200),
        (None, 20.0, 6.0, 100 + 340),  # with room for a final validation
        (None, 20.0, 6.1, 100 + 352),  # and for the estimate in place of a longer one
    ],
)  # fmt: skip
def test_end_within_time_follows_the_pace(max_steps: int | None, worked: float, last: float, end: int) -> None:
    settings = Settings(max_minutes=1.0, max_steps=max_steps)
    assert end_within_time(settings, planned(settings), step=100, pace=0.1, worked=worked, last=last) == end


def test_final_validation_may_take_half_a_minute_without_a_time_limit() -> None:
    assert final_seconds(Settings(max_minutes=5.0), 100.0) == 30.0
    assert final_seconds(Settings(epochs=1), 20.0) == 30.0
    assert final_seconds(Settings(epochs=1), 4000.0) == 400.0


def test_plan_of_a_text_with_too_much_to_validate_leaves_room_for_the_estimate_at_the_end() -> None:
    settings = Settings(max_minutes=1.0, batch_size=4, seq_length=16, val_chars=1000)
    longest, longer = (planned(settings, speed=1000, held_out=held_out) for held_out in (7_200, 7_201))
    # 6 seconds are allowed, and characters are read for 4.8 of them where there are too many
    assert 0.064 * (longer.planned_steps - longest.planned_steps) == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize("speed", [200.0, 1_000.0, 300_000.0])
def test_plan_of_a_slow_machine_spends_its_time_on_training(speed: float) -> None:
    plan = planned(Settings(max_minutes=1.0, batch_size=16, seq_length=50), speed=speed)
    assert 30 < plan.planned_steps * plan.seconds_per_step < 60
    assert plan.val_chars > 0
    assert plan.val_every < plan.planned_steps or plan.planned_steps < 8


def test_plan_with_frequent_validations_has_fewer_steps() -> None:
    settings = Settings(max_minutes=1.0, batch_size=16, seq_length=50)
    often, seldom = (planned(settings.with_changes(val_every=every)) for every in (50, 5000))
    assert 1 < often.planned_steps < seldom.planned_steps
    assert seldom.planned_steps * seldom.seconds_per_step > 45


def test_a_slow_start_does_not_count_as_the_pace_of_the_few_steps_after_it() -> None:
    plan = small_training.make_plan(seconds_per_step=0.5, planned_steps=1)
    _, end = plan_module.next_end(Settings(max_minutes=4.0), plan, step=1, worked=120.0)  # two minutes of measuring
    assert end == 1 + 120 / (plan_module.SLOWEST * 0.5)


@pytest.mark.parametrize("speed", [1_000.0, 3_000.0, 30_000.0])
def test_validations_read_a_short_held_out_part_whole(speed: float) -> None:
    """From 1,500 of 6,000 characters the loss was 1.02 where that of all of them was 1.20."""
    settings = Settings(max_minutes=1.0, batch_size=16, seq_length=50)
    plan = planned(settings, speed=speed, held_out=6_000)
    assert plan.val_chars == 6_000
    assert 30 < plan.planned_steps * plan.seconds_per_step < 60
    assert planned(settings, speed=speed, held_out=60_000).val_chars < 60_000
    assert planned(settings.with_changes(val_chars=500), speed=speed, held_out=6_000).val_chars == 500


@pytest.mark.parametrize(("held_out", "seconds"), [(198_000, 0.0), (20_000, 10_000 / 12_000)])
def test_final_validation_of_a_calibrated_model_has_time_for_the_calibration(held_out: int, seconds: float) -> None:
    settings = Settings(max_minutes=1.0, batch_size=4, seq_length=16)
    plain, calibrated = (
        planned(settings.with_changes(calibrate=each), speed=10_000, held_out=held_out) for each in (False, True)
    )
    assert 0.0064 * (plain.planned_steps - calibrated.planned_steps) == pytest.approx(seconds, abs=0.1)


# ---- the time limit of a run: when its planned end moves


def steps_left(
    step: int, seconds: float, *changes: Amendment, pace_steps: int | None = None, pace: float | None = None
) -> int | None:
    """Of a run of one minute, 100 steps of which were expected to take 10 s, validated after every 150. Each took
    ``seconds``; this process has taken ``pace_steps``, and one took it ``pace``, with validations."""
    clock = SimpleNamespace(count_work=lambda: step * seconds, pace=lambda: pace or seconds, start_pace=lambda: None)
    clock.pace_steps = step if pace_steps is None else pace_steps
    plan = small_training.make_plan(planned_steps=600, val_every=150, log_every=10, seconds_per_step=0.1)
    schedule = LearningRate(0.01, "linear", 0, 600, changes)
    return new_steps_left(Settings(max_minutes=1.0), clock, plan, schedule, Progress(step=step), last=0.0)


def test_a_run_that_became_slow_is_replanned_before_its_first_validation() -> None:
    assert steps_left(20, 0.4) == 130
    assert steps_left(21, 0.4) is None, "only where the log has a line"


def test_before_a_validation_small_delays_and_the_first_seconds_move_nothing() -> None:
    assert steps_left(20, 0.12) is None  # and 2.4 s are too short to tell
    assert steps_left(100, 0.12) is None
    assert steps_left(10, 0.25) is None
    assert steps_left(100, 0.05) is None, "a faster run is not made longer before its validations are measured"


def test_after_a_validation_the_end_moves_both_ways() -> None:
    assert steps_left(150, 0.1) is None
    assert steps_left(150, 0.12) == 350
    assert steps_left(150, 0.05) == 1050


def test_pace_of_the_few_steps_between_a_resume_and_its_first_validation_does_not_count() -> None:
    """Else a validation among them makes them seem slow."""
    assert steps_left(150, 0.12, pace_steps=2, pace=8.0) == 350


def test_the_command_finish_says_when_a_run_ends() -> None:
    assert steps_left(150, 0.12, Amendment(145, "finish", 30)) is None


# ---- the clock of a run does not count the time in which its process stood still


@pytest.mark.parametrize(("seconds", "counts"), [(1.0, 1.0), (29.0, 29.0), (3600.0, 30.0)])
def test_clock_limits_what_a_gap_counts(monkeypatch: pytest.MonkeyPatch, seconds: float, counts: float) -> None:
    """All of a piece of a validation, and of a suspension 10 s and 20 steps of a second."""
    now = [0.0]
    monkeypatch.setattr(clock_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    progress = Progress(work_seconds=7.0, step=50, train_seconds=50.0)
    clock = Clock(progress)
    now[0] += 0.5
    assert clock.count_work() == 7.5
    now[0] += seconds
    assert clock.count_work() == progress.work_seconds == 7.5 + counts
    now[0] += 1000.0
    clock.skip()
    assert clock.count_work() == 7.5 + counts

"""The time limit of a run: when its planned end moves."""

from __future__ import annotations

from types import SimpleNamespace

from charlstm.training.progress import Progress
from charlstm.training.schedule import Amendment, LearningRate
from charlstm.training.settings import Settings
from charlstm.training.time_limit import new_steps_left
from small_training import make_plan


def steps_left(
    step: int, seconds: float, *changes: Amendment, pace_steps: int | None = None, pace: float | None = None
) -> int | None:
    """Of a run of one minute, 100 steps of which were expected to take 10 s, validated after every 150. Each took
    ``seconds``; this process has taken ``pace_steps``, and one took it ``pace``, with validations."""
    clock = SimpleNamespace(
        count_work=lambda: step * seconds,
        pace=lambda: pace or seconds,
        pace_steps=step if pace_steps is None else pace_steps,
        start_pace=lambda: None,
    )
    plan = make_plan(planned_steps=600, val_every=150, log_every=10, seconds_per_step=0.1)
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

"""The time limit of a run: when its planned end moves."""

from __future__ import annotations

from dataclasses import dataclass

from charlstm.training.progress import Progress
from charlstm.training.schedule import Amendment, LearningRate
from charlstm.training.settings import Settings
from charlstm.training.time_limit import new_steps_left
from training_fixtures import make_plan


@dataclass
class FakeClock:
    """Steps that all take ``seconds``."""

    progress: Progress
    seconds: float

    def count_work(self) -> float:
        return self.progress.step * self.seconds

    def pace(self) -> float | None:
        return self.seconds if self.progress.step else None

    @property
    def pace_steps(self) -> int:
        return self.progress.step

    def start_pace(self) -> None:
        pass


def steps_left(step: int, seconds: float, *changes: Amendment) -> int | None:
    """Of a run of one minute, 100 steps of which were expected to take 10 s, validated after every 150."""
    progress = Progress()
    progress.step = step
    clock, settings = FakeClock(progress, seconds), Settings(max_minutes=1.0)
    plan = make_plan(planned_steps=600, val_every=150, log_every=10, seconds_per_step=0.1)
    schedule = LearningRate(0.01, "linear", 0, 600, changes)
    return new_steps_left(settings, clock, plan, schedule, progress, last=0.0)  # type: ignore[arg-type]


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


def test_the_command_finish_says_when_a_run_ends() -> None:
    assert steps_left(150, 0.12, Amendment(145, "finish", 30)) is None

"""Hold the time limit of a run, ``max_minutes``: end it in time, with a learning rate that reaches its end."""

from __future__ import annotations

from charlstm.training.clock import Clock
from charlstm.training.plan import Plan, end_within_time
from charlstm.training.progress import Progress
from charlstm.training.schedule import LearningRate
from charlstm.training.settings import Settings

REPLAN_BEYOND = 0.02
"""The planned end moves only when it is wrong by more than this part of the steps that are left."""
REPLAN_EARLY_BEYOND = 0.25
"""The same between two validations, where it only comes nearer: a run that other programs slow down would otherwise be
over before its learning rate has fallen, since ``quick`` validates a few times only."""
EARLY_SECONDS = 3.0
"""The shortest time over which the pace is measured for that: first steps are slow."""


def new_steps_left(
    settings: Settings, clock: Clock, plan: Plan, schedule: LearningRate, progress: Progress, last: float
) -> int | None:
    """The steps that are left in the time of a run with ``max_minutes``, where these are not what is planned; else
    ``None``. ``last``: seconds that the final validation would take now."""
    validated = progress.step % plan.val_every == 0
    if schedule.finishing or not (validated or progress.step % plan.log_every == 0):
        return None
    worked, pace = clock.count_work(), clock.pace()
    if validated and (not pace or clock.pace_steps < plan.val_every):
        # This process started between two validations. One validation among few steps would make these seem slow, so
        # the pace is that of the whole run, and is measured from here on.
        pace = worked / progress.step or plan.seconds_per_step
        clock.start_pace()
    if not pace or (not validated and pace * clock.pace_steps < EARLY_SECONDS):
        return None
    end = end_within_time(settings, plan, step=progress.step, pace=pace, worked=worked, last=last)
    change = end - schedule.planned_steps
    beyond = REPLAN_BEYOND if validated else REPLAN_EARLY_BEYOND
    if abs(change) <= beyond * (schedule.planned_steps - progress.step) or (change > 0 and not validated):
        return None
    return end - progress.step

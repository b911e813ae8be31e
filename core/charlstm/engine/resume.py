"""Going on with a run: what a person changed since, what has to be done again, and whether the machine still computes
alike.

The rules for what may differ between two processes. How far the run had come is in ``progress``, which settings may
change in ``config``; what a state file looks like is ``state``'s business, its tensors are the learner's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from charlstm.engine.benchmark import choose_kernel_here
from charlstm.engine.devices import choose_device, cpu_count
from charlstm.engine.distributed import Ranks
from charlstm.engine.kernels import kernel_path, runs_well
from charlstm.errors import SettingsError
from charlstm.training.estimate import cpu_model
from charlstm.training.events import Controlled, Resumed
from charlstm.training.plan import VALIDATIONS, Plan, later_end
from charlstm.training.progress import Progress
from charlstm.training.schedule import Amendment, LearningRate, superseded_commands
from charlstm.training.settings import LENGTH, Settings, current_kernel_name
from charlstm.training.state import TrainingState

MORE_PEAK = 0.5
"""Part of the highest rate to which *more* climbs: enough to move on, without undoing what was learnt."""

PROCESSES = "processes"
"""States from before training could be shared do not name them: it was one."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where and how a run goes on."""

    progress: Progress
    plan: Plan
    schedule: LearningRate
    again: Mapping[int, Sequence[Controlled]]
    """What was asked for after the state was kept, by the step at which it was acted on: to be done again there."""
    event: Resumed


def plan_resume(
    state: TrainingState, replay: Sequence[Controlled], before: Settings, changes: dict[str, Any], ranks: Ranks
) -> Continuation:
    """How the run of ``state``, which had the settings ``before``, goes on with ``changes`` of them. ``replay`` is what
    its log says it was asked for, from the beginning.

    Raises :class:`SettingsError` for a change that such a run cannot take, :class:`ModelError`, KeyError, TypeError,
    ValueError or AttributeError for a record that lacks something.
    """
    record, settings = state.record, before.with_changes(**changes)
    progress = Progress.from_dict(record["progress"])
    logged, schedule = Plan.from_dict(record["plan"]), LearningRate.from_dict(record["schedule"])
    symbols = len(record["vocabulary"]["symbols"])
    plan = adapt_plan(logged, settings, record["environment"], symbols, ranks)
    new_schedule = amend_schedule(schedule, before, changes, logged, progress)
    if LENGTH & changes.keys() and settings.val_every is None:
        left = new_schedule.planned_steps - progress.step
        plan = replace(plan, val_every=max(logged.val_every, math.ceil(left / VALIDATIONS)))
    if progress.ended == "stopped" or changes:
        progress.ended = progress.whole_val = None
        progress.stale = 0 if changes else progress.stale
    again: dict[int, list[Controlled]] = defaultdict(list)
    # What a person says now goes before what was said then.
    lasting = {"set-lr", "finish"} - superseded_commands(changes)
    for event in {event.id: event for event in replay if event.command in lasting}.values():
        if event.step >= state.step and not schedule.knows(event.id):
            again[event.step].append(event)
    resumed = Resumed(
        step=state.step,
        planned_steps=new_schedule.planned_steps,
        inexact=differences(record["environment"], environment(plan, ranks)),
        changes=describe_changes(before, changes),
        changed=tuple(changes),
        device=plan.device,
        kernel=plan.kernel,
    )
    return Continuation(progress, plan, new_schedule, again, resumed)


def environment(plan: Plan, ranks: Ranks) -> dict[str, str]:
    """What the last digits of a run depend on, in words."""
    device = torch.device(plan.device)
    found = {
        "torch": torch.__version__,
        "CPU": cpu_model(),
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(plan.threads),
        "kernel": plan.kernel,
        "kernel path": kernel_path(plan.kernel),
        "device": plan.device,
        PROCESSES: str(ranks.world_size),
    }
    if device.type == "cuda":
        version = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found |= {"GPU": torch.cuda.get_device_name(device), "cuDNN": str(version)}
    return found


def differences(before: dict[str, str], now: dict[str, str]) -> str | None:
    """In words, what of the environment is not as it was; None when a resume is exact. What ``before`` does not name,
    because the program that wrote it did not look at it, counts as unchanged."""
    before = {PROCESSES: "1", **before}
    words = [f"{name} {before[name]} → {value}" for name, value in now.items() if before.get(name, value) != value]
    return ", ".join(words) or None


def as_named_now(plan: Plan) -> Plan:
    """``plan``, whose kernel may have the name that an earlier program gave it."""
    return replace(plan, kernel=current_kernel_name(plan.kernel))


def runs_here(plan: Plan) -> bool:
    """Whether this machine has the device of ``plan``, and that what its kernel computes with."""
    try:
        return runs_well(current_kernel_name(plan.kernel), choose_device(plan.device))
    except SettingsError:
        return False


def adapt_plan(plan: Plan, settings: Settings, before: dict[str, str], symbols: int, ranks: Ranks) -> Plan:
    """The plan with what a person changed, and on a machine that lacks its device or what its kernel computes with,
    with the device that is there and the kernel that is fastest on it. The network knows ``symbols`` characters.

    Cores are divided anew when ``ranks`` are not as many as in the environment ``before``.
    """
    as_many = before.get(PROCESSES, "1") == str(ranks.world_size)
    plan = replace(
        as_named_now(plan),
        threads=settings.threads or (plan.threads if as_many else ranks.threads(cpu_count())),
        val_every=settings.val_every or plan.val_every,
    )
    if runs_here(plan):
        return plan
    try:
        choose_device(plan.device)
    except SettingsError:
        plan = replace(plan, device=choose_device("auto").type)
    return replace(plan, kernel=choose_kernel_here(settings, symbols, plan, ranks).name)


def describe_changes(before: Settings, changes: dict[str, Any]) -> str | None:
    """``epochs 3 → 6, lr 0.003 → 0.001``; None when nothing changed."""
    return ", ".join(f"{name} {getattr(before, name)} → {value}" for name, value in changes.items()) or None


def amend_schedule(
    schedule: LearningRate, before: Settings, changes: dict[str, Any], plan: Plan, progress: Progress
) -> LearningRate:
    """The schedule after ``changes``: another rate rescales the rest, another length stretches it, and a run that had
    come to its end climbs again. Raises :class:`SettingsError` when the new end has already been passed."""
    step, over = progress.step, progress.step >= schedule.planned_steps or progress.ended not in (None, "stopped")
    if "lr" in changes and not (over and LENGTH & set(changes)):
        value = schedule.rate(step) * changes["lr"] / before.lr
        schedule = schedule.amended(Amendment(step, "set-lr", value))
    if not LENGTH & set(changes):
        return schedule
    settings = before.with_changes(**changes)
    total = later_end(settings, plan, step=step, worked=progress.work_seconds)
    peak = changes.get("lr", settings.lr if settings.schedule == "constant" else MORE_PEAK * settings.lr)
    change = Amendment(step, "more" if over else "replan", total - step, peak=peak if over else None)
    return schedule.amended(change)

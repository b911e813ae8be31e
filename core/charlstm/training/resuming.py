"""Going on with a run: what a person changed since, and whether the machine still computes alike.

The rules for what may differ between two processes. How far the run had come is in ``progress``, which settings may
change in ``config``; what a state file looks like is ``state``'s business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from charlstm.errors import SettingsError
from charlstm.model.kernel import kernel_names
from charlstm.training import planning
from charlstm.training.config import LENGTH, Settings
from charlstm.training.learner import choose_device
from charlstm.training.opening import cores
from charlstm.training.progress import Progress
from charlstm.training.ranks import ALONE, Ranks
from charlstm.training.schedule import Amendment, LearningRate
from charlstm.training.seams import Plan

MORE_PEAK = 0.5
"""Part of the highest rate to which *more* climbs: enough to move on, without undoing what was learnt."""

PROCESSES = "processes"
"""States from before training could be shared do not name them: it was one."""


def environment(plan: Plan, ranks: Ranks = ALONE) -> dict[str, str]:
    """What the last digits of a run depend on, in words."""
    return {
        "torch": torch.__version__,
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(plan.threads),
        "kernel": plan.kernel,
        "device": plan.device,
        PROCESSES: str(ranks.size),
    }


def differences(before: dict[str, str], now: dict[str, str]) -> str | None:
    """In words, what of the environment is not as it was; None when a resume is exact."""
    before = {PROCESSES: "1", **before}
    words = [f"{name} {before.get(name, '?')} → {value}" for name, value in now.items() if before.get(name) != value]
    return ", ".join(words) or None


def plan_here(plan: Plan, settings: Settings, before: dict[str, str], ranks: Ranks) -> Plan:
    """The plan with what a person changed, and on a machine that lacks its device or kernel, with what is there.

    Cores are divided anew when ``ranks`` are not as many as in the environment ``before``.
    """
    device = plan.device
    as_many = before.get(PROCESSES, "1") == str(ranks.size)
    try:
        choose_device(device)
    except SettingsError:
        device = choose_device("auto").type
    return replace(
        plan,
        device=device,
        kernel=plan.kernel if plan.kernel in kernel_names() and device == plan.device else "nn",
        threads=settings.threads or (plan.threads if as_many else ranks.threads(cores())),
        val_every=settings.val_every or plan.val_every,
        checkpoint_every=settings.checkpoint_steps,
    )


def in_words(before: Settings, changes: dict[str, Any]) -> str | None:
    """``epochs 3 → 6, lr 0.003 → 0.001``; None when nothing changed."""
    return ", ".join(f"{name} {getattr(before, name)} → {value}" for name, value in changes.items()) or None


def amended(
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
    total = planning.later_end(settings, plan, step=step, worked=progress.work_seconds)
    peak = changes.get("lr", settings.lr if settings.schedule == "constant" else MORE_PEAK * settings.lr)
    change = Amendment(step, "more" if over else "replan", total - step, peak=peak if over else None)
    return schedule.amended(change)

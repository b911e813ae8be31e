"""Going on with a run: how far it had come, what a person changed since, and whether the machine still computes alike.

The trainer's own bookkeeping as data, and the rules for changing it between two processes. What a state file looks
like is ``state``'s business.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import torch

from charlstm.errors import ModelError, SettingsError
from charlstm.model.kernel import kernel_names
from charlstm.records import typed
from charlstm.training.config import Settings
from charlstm.training.learner import choose_device
from charlstm.training.opening import cores
from charlstm.training.planning import planned_steps
from charlstm.training.ranks import ALONE, Ranks
from charlstm.training.schedule import Amendment, LearningRate
from charlstm.training.seams import Plan

_NETWORK = {"hidden_size", "num_layers", "init"}
_COURSE = {"batch_size", "seq_length", "optimizer", "schedule", "warmup", "ema_decay", "seed"}
_TEXT = {"val_fraction", "split"}
FIXED = _NETWORK | _COURSE | _TEXT
"""Settings that a run keeps for life: with others it would be another run."""

LENGTH = {"epochs", "max_steps", "max_minutes"}
MORE_PEAK = 0.5
"""Part of the highest rate to which *more* climbs: enough to move on, without undoing what was learnt."""


@dataclass(slots=True)
class Progress:
    """How far a run has come. All of it is JSON-ready and part of the exact state."""

    step: int = 0
    train_seconds: float = 0.0
    """Spent in training steps alone."""
    work_seconds: float = 0.0
    """Spent in all but pauses; what ``max_minutes`` counts."""
    nats: float = 0.0
    """Since the last ``step`` event: summed loss, targets, largest gradient norm and seconds."""
    count: int = 0
    grad_norm: float = 0.0
    seconds: float = 0.0
    best_val: float | None = None
    best_step: int = 0
    stale: int = 0
    """Validations since the best one."""
    whole_val: float | None = None
    """The best model's loss over all that is held out, once the run has ended."""
    ended: str | None = None
    """Why the run ended: a reason of ``events.Finished``."""
    control_position: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`ModelError` when something is missing or of another kind."""
        try:
            return cls(**typed(cls, {spec.name: values[spec.name] for spec in fields(cls)}))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError("The training state does not say how far the run had come: it is damaged") from error


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


def changed(before: Settings, after: Settings) -> dict[str, Any]:
    """The settings that differ, with their new values. Raises :class:`SettingsError` for one that is fixed."""
    old, new = before.to_dict(), after.to_dict()
    changes = {name: value for name, value in new.items() if old[name] != value}
    for name in changes:
        if name in FIXED:
            raise SettingsError(
                f"{name} cannot change from {old[name]!r} to {new[name]!r} in a run that has begun: start a new run "
                "from its model"
            )
    return changes


def in_words(before: Settings, changes: dict[str, Any]) -> str | None:
    """``epochs 3 → 6, lr 0.003 → 0.001``; None when nothing changed."""
    return ", ".join(f"{name} {getattr(before, name)} → {value}" for name, value in changes.items()) or None


def amended(
    schedule: LearningRate, before: Settings, changes: dict[str, Any], plan: Plan, progress: Progress
) -> LearningRate:
    """The schedule after ``changes``: another rate rescales the rest, another length stretches it, and a run that had
    come to its end climbs again. Raises :class:`SettingsError` when the new end has already been passed."""
    step, over = progress.step, progress.step >= schedule.planned_steps or progress.ended not in (None, "stopped")
    if "lr" in changes and not over:
        value = schedule.rate(step) * changes["lr"] / before.lr
        schedule = schedule.amended(Amendment(step, "set-lr", value))
    if not LENGTH & set(changes):
        return schedule
    settings = before.with_changes(**changes)
    left = None if settings.max_minutes is None else 60 * settings.max_minutes - progress.work_seconds
    total = planned_steps(settings, plan.steps_per_epoch, plan.seconds_per_step, left, step)
    if total <= step:
        raise SettingsError(f"The run has already taken {step:,} steps, and this would be {total:,}: ask for more")
    peak = changes.get("lr", settings.lr if settings.schedule == "constant" else MORE_PEAK * settings.lr)
    change = Amendment(step, "more" if over else "replan", total - step, peak=peak if over else None)
    return schedule.amended(change)

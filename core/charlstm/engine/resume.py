"""Continue a run from its exact state: apply changed settings, compare the environments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from charlstm.engine.devices import choose_device
from charlstm.engine.distributed import Ranks
from charlstm.engine.kernels import candidates, kernel_path, runs_well
from charlstm.errors import ModelError, SettingsError, TextError
from charlstm.fields import read
from charlstm.system import cpu_count, cpu_model
from charlstm.text.batches import TrainingText
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.events import Resumed
from charlstm.training.plan import Plan, later_end, limit_at, read_plan, spread_validations
from charlstm.training.progress import Progress
from charlstm.training.schedule import Amendment, LearningRate
from charlstm.training.settings import LENGTH, Settings, changed, continued, write_setting
from charlstm.training.state import TrainingState

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus

EXTENSION_PEAK = 0.5
"""When a finished run is extended, its learning rate climbs to this fraction of the highest one: enough to improve,
without undoing what was learnt."""


@dataclass(frozen=True, slots=True)
class ResumePlan:
    """What a trainer needs to continue a run."""

    requested_settings: Settings
    settings: Settings
    """The settings of the training. They differ from the requested settings where the initial model decides the size of
    the network."""
    text: TrainingText
    state: TrainingState
    progress: Progress
    plan: Plan
    schedule: LearningRate
    event: Resumed
    changes_course: bool
    """Whether the run goes on in another way than the state says: with changed settings, or on another device, with
    another kernel or number of threads. A state that names it is saved before the first step."""


def continue_run(corpus: Corpus, settings: Settings, state: TrainingState, ranks: Ranks) -> ResumePlan:
    """Continue the run that saved ``state``, with ``settings``, which may differ from those requested before.

    Raises :class:`SettingsError` for a setting that cannot be changed, :class:`TextError` for another text and
    :class:`ModelError` for a state that lacks something.
    """
    try:
        record = state.record
        requested_before = Settings.from_dict(record["asked"])
        before = Settings.from_dict(record["settings"])
        changes = changed(requested_before, settings)
        if record["fingerprint"] != corpus.fingerprint:
            raise TextError(f"The run was trained on another text than {corpus.name} is now: start a new run")
        known = Vocabulary.from_dict(record["vocabulary"])
        vocabulary = known.extended(corpus.vocabulary)
        if known.symbols != vocabulary.symbols:
            raise ModelError("The training state lacks characters of its own text: resume from the one before it")
        now = continued(before, requested_before, settings)
        text = TrainingText.of(corpus, vocabulary, now.val_fraction, now.split, now.test_fraction)

        progress, saved_plan = read(Progress, record["progress"]), read_plan(record["plan"])
        plan = adapt_plan(saved_plan, now, record["environment"], ranks)
        schedule = read(LearningRate, record["schedule"])
        new_schedule = amend_schedule(schedule, before, now, changes, saved_plan, progress)
        planned = new_schedule.planned_steps
        if changes.keys() & {*LENGTH, "val_every"}:
            plan = spread_validations(plan, now, planned - progress.step)
        if progress.ended == "stopped" or changes:
            progress.ended = progress.whole_val = progress.final_val = None
            progress.stale = 0 if changes else progress.stale
        event = Resumed(
            step=state.step,
            planned_steps=planned,
            inexact=describe_differences(record["environment"], environment(plan, ranks)),
            changes=describe_changes(before, changes),
            changed=tuple(changes),
            device=plan.device,
            kernel=plan.kernel,
            limit="" if new_schedule.ends_by_command else limit_at(now, plan.steps_per_epoch, planned),
            max_minutes=now.max_minutes,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError("The training state lacks what a resume needs: resume from the one before it") from error
    changes_course = bool(changes) or plan != saved_plan
    return ResumePlan(settings, now, text, state, progress, plan, new_schedule, event, changes_course)


def extension_peak(settings: Settings) -> float:
    """The learning rate to which an extended run climbs after its end."""
    return settings.lr if settings.schedule == "constant" else EXTENSION_PEAK * settings.lr


def amend_schedule(
    schedule: LearningRate, before: Settings, now: Settings, changes: dict[str, Any], plan: Plan, progress: Progress
) -> LearningRate:
    """The schedule after ``changes``, which lead from the settings ``before`` to those of ``now``. A changed ``lr``
    rescales what remains, a changed length stretches it, and a finished run that is extended climbs again. Raises
    :class:`SettingsError` when the new end is already passed."""
    step = progress.step
    finished = step >= schedule.planned_steps or progress.ended not in (None, "stopped")
    longer = bool(LENGTH & set(changes))
    if "lr" in changes and not (finished and longer):
        value = schedule.rate(step) * changes["lr"] / before.lr
        schedule = schedule.amended(Amendment(step, "set-lr", value))
    if not longer:
        return schedule
    added = later_end(now, plan, step=step, worked=progress.work_seconds) - step
    if not finished:
        return schedule.amended(Amendment(step, "replan", added))
    peak = changes.get("lr", extension_peak(now))
    return schedule.amended(Amendment(step, "extend", added, peak=peak))


def adapt_plan(plan: Plan, settings: Settings, before: dict[str, str], ranks: Ranks) -> Plan:
    """``plan`` with changed ``settings``, and for this machine. Where the device or what its kernel needs is missing,
    the plan gets the device that there is and the kernel that is usually the fastest on it.

    The number of threads changes when ``ranks`` are not as many as in the environment ``before``.
    """
    same_processes = before["processes"] == str(ranks.world_size)
    plan = replace(
        plan,
        threads=settings.threads or (plan.threads if same_processes else ranks.threads(cpu_count())),
        val_every=settings.val_every or plan.val_every,
        log_every=settings.log_every or plan.log_every,
    )
    if fits_machine(plan):
        return plan
    try:
        device = choose_device(plan.device)
    except SettingsError:
        device = choose_device("auto")
    return replace(plan, device=str(device), kernel=candidates(settings, device)[0])


def fits_machine(plan: Plan) -> bool:
    """Whether this machine has the device of ``plan`` and what its kernel needs."""
    try:
        return runs_well(plan.kernel, choose_device(plan.device))
    except SettingsError:
        return False


def environment(plan: Plan, ranks: Ranks) -> dict[str, str]:
    """What the last digits of a run's figures depend on: software, hardware, threads and processes."""
    device = torch.device(plan.device)
    found = {
        "torch": torch.__version__,
        "CPU": cpu_model(),
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(plan.threads),
        "kernel": plan.kernel,
        "kernel path": kernel_path(plan.kernel),
        "device": plan.device,
        "processes": str(ranks.world_size),
    }
    if device.type == "cuda":
        version = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found |= {"GPU": torch.cuda.get_device_name(device), "cuDNN": str(version)}
    return found


def describe_differences(before: dict[str, str], now: dict[str, str]) -> str | None:
    """What differs between two environments, as ``threads 2 → 4``; ``None`` when a resume is exact. What ``before``
    lacks counts as unchanged."""
    different = [f"{name} {before[name]} → {value}" for name, value in now.items() if before.get(name, value) != value]
    return ", ".join(different) or None


def describe_changes(before: Settings, changes: dict[str, Any]) -> str | None:
    """Changed settings, as ``epochs 3 → 6, max_steps none → 900``; ``None`` when nothing changed."""
    words = [
        f"{name} {write_setting(name, getattr(before, name))} → {write_setting(name, new)}"
        for name, new in changes.items()
    ]
    return ", ".join(words) or None

"""Derive the plan of a run from its settings, the size of its text and a measured speed: how many steps, and how often
to log, validate and save a snapshot.

The plan is stored in ``run.json`` and in every exact state, so that a resumed run does the same at the same steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from charlstm.errors import ModelError, SettingsError
from charlstm.fields import MAX_INTEGER, read
from charlstm.training.settings import LENGTH, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was measured and planned at the start of a run. A resume uses the same plan.

    ``log_every`` and ``val_every`` are in steps. ``planned_steps`` is the end as planned at the start; commands that
    change it amend the schedule, not the plan.
    """

    device: str
    kernel: str
    threads: int
    batch_size: int
    """Rows of a batch. This and ``seq_length`` are smaller than in the settings if the text is small."""
    seq_length: int
    steps_per_epoch: int
    planned_steps: int
    warmup_steps: int
    log_every: int
    val_every: int
    val_chars: int
    """Held-out characters that a validation during training reads, in fixed slices."""
    snapshot_steps: tuple[int, ...]
    seconds_per_step: float
    """As measured, of whole steps including the update."""


def read_plan(values: dict[str, Any]) -> Plan:
    """The plan in ``run.json`` or in a state. Raises :class:`ModelError` if something is missing or impossible."""
    try:
        plan = read(Plan, values)
        counts = (plan.threads, plan.batch_size, plan.seq_length, plan.steps_per_epoch, plan.planned_steps)
        if min(*counts, plan.log_every, plan.val_every) < 1 or plan.seconds_per_step <= 0:
            raise ValueError
        if plan.device == "auto":  # a setting: a plan has what was chosen
            raise ValueError
        return plan
    except (TypeError, ValueError) as error:
        raise ModelError("The plan that the run measured at its start cannot be read: start a new run") from error


MIN_STEPS_PER_EPOCH = 8
"""With fewer steps per epoch a batch gets fewer rows, then shorter ones: else there are too few updates to learn."""

LOG_SECONDS = 0.3
"""Seconds between two ``step`` events, unless the settings say otherwise."""

VALIDATIONS = 30
"""Validations during a run, unless the settings say otherwise."""

VALIDATION_SHARE = 0.05
"""Fraction of the training time that validations during training may take. To meet this limit, first each validation
reads less, then validations become fewer. With the final validation, which reads all held-out characters, ``quick`` on
2 million characters spends less than a tenth of its minute on validation."""

ENOUGH_CHARS = 10_000
"""Characters that a validation needs to tell which model is the best. Rather than less, there are fewer validations. A
held-out part that is no longer is read whole: from slices of 6,000 characters the loss was 1.02 where it was 1.20."""

WHOLE_SECONDS = 6.0
"""But not where that takes longer than this, a tenth of ``quick``."""

MIN_VALIDATIONS = 4
"""There are at least so many, which then read less."""

MIN_WHOLE_VALIDATIONS = 2
"""There are at least so many where each reads the whole held-out part."""

CALIBRATION_CHARS = 10_000
"""Held-out characters that ``calibrate`` reads before the final validation."""

MIN_VALIDATION_CHARS = 1_000
"""Characters that a validation reads even on a machine so slow that this takes more than its share of the time."""

VALIDATION_SPEED = 1.2
"""Speed of validation relative to training: a float32 forward pass against a whole step with the fastest kernel."""

SAMPLE_SECONDS = 0.05
"""Seconds for the sample after a validation."""

SLOWEST = 4.0
"""Steps that seem slower than measured by more than this factor are few, and the start of the run counts as theirs."""

MOST_START_SHARE = 0.5
"""The most of ``max_minutes`` that the start of a run may use up: loading torch and measuring the speed. Where it takes
longer, on a very busy machine, the rest is not counted, so that there is time to train."""

FINAL_SHARE = 0.1
"""The most of the time of a run that the final validation may take. Where it would take longer, the loss stays an
estimate."""

ESTIMATE_SHARE = 0.8
"""Part of that time for which characters are read, if the held-out part is too long for all of it."""

FINAL_SECONDS = 30.0
"""Without ``max_minutes`` the final validation may always take so long: the time of a short run is mostly that."""

FIRST_SNAPSHOT_SECONDS = 4.0
"""Seconds of training before the first snapshot after step 0. With start-up and validation it is there within 10 s."""


@dataclass(frozen=True, slots=True)
class MeasuredSpeed:
    """The fastest kernel, and how long a training step with it takes: ``seconds`` for ``chars`` characters, with
    ``threads``. ``crowded``: other programs used the processor meanwhile."""

    kernel: str
    seconds: float
    chars: int
    threads: int = 1
    crowded: bool = False

    @property
    def chars_per_second(self) -> float:
        """Characters per second."""
        return self.chars / self.seconds


def fit_batch(settings: Settings, train_targets: int) -> tuple[int, int]:
    """``batch_size`` and ``seq_length`` for a text of ``train_targets`` characters: those of ``settings``, or less so
    that an epoch has :data:`MIN_STEPS_PER_EPOCH`. Rows are halved first, down to four, then their length, down to
    eight, then rows again."""
    rows, length = settings.batch_size, settings.seq_length

    def too_large() -> bool:
        return rows * length * MIN_STEPS_PER_EPOCH > max(train_targets, 1)

    while rows > 4 and too_large():
        rows = max(4, rows // 2)
    while length > 8 and too_large():
        length = max(8, length // 2)
    while rows > 1 and too_large():
        rows //= 2
    return rows, length


def no_end() -> SettingsError:
    """The error of settings that do not limit the length of a run."""
    return SettingsError("The settings do not say how long to train: set epochs, max_steps or max_minutes")


def next_end(settings: Settings, plan: Plan, *, step: int, worked: float) -> tuple[str, int]:
    """Which setting ends a run that has taken ``step`` steps in ``worked`` seconds, and at which step, which may be
    passed already. Raises :class:`SettingsError` when no setting does."""
    left = None if settings.max_minutes is None else 60 * settings.max_minutes - worked
    pace = min(worked / step, SLOWEST * plan.seconds_per_step) if step and worked else plan.seconds_per_step
    return _first_limit(settings, plan.steps_per_epoch, pace, left, step)


def later_end(settings: Settings, plan: Plan, *, step: int, worked: float) -> int:
    """The step at which :func:`next_end` ends such a run. Raises :class:`SettingsError`, which names the setting, when
    that step is passed already."""
    name, end = next_end(settings, plan, step=step, worked=worked)
    if end <= step:
        alone = sum(getattr(settings, each) is not None for each in LENGTH) == 1
        raise SettingsError(
            f"The run has already taken {step:,} steps, and {name}={getattr(settings, name):.12g} ends it: raise that"
            + ("" if alone else ", or set it to none")
        )
    return end


def limit_at(settings: Settings, steps_per_epoch: int, step: int) -> str:
    """Which of ``epochs``, ``max_steps`` and ``max_minutes`` ends a run that ends at ``step``."""
    if settings.epochs is not None and settings.epochs * steps_per_epoch <= step:
        return "epochs"
    if settings.max_steps is not None and settings.max_steps <= step:
        return "max_steps"
    return "max_minutes"


def with_added_minutes(settings: Settings, minutes: float, new_end: int, *, by_time: bool) -> Settings:
    """The settings of a run that a command lengthens by ``minutes``, to the step ``new_end``. ``by_time``: its time
    limit would have ended it. Another limit is replaced by that step, and no limit ends the run sooner."""
    limit = None if settings.max_minutes is None else settings.max_minutes + minutes
    return settings.with_changes(epochs=None, max_steps=None if by_time else new_end, max_minutes=limit)


def spread_validations(plan: Plan, settings: Settings, steps_left: int) -> Plan:
    """``plan`` for a run that was lengthened: with at most :data:`VALIDATIONS` in ``steps_left``, unless ``settings``
    say otherwise."""
    if settings.val_every is not None:
        return plan
    return replace(plan, val_every=max(plan.val_every, math.ceil(steps_left / VALIDATIONS)))


def make_plan(
    settings: Settings,
    *,
    measured: MeasuredSpeed,
    batch_size: int,
    seq_length: int,
    steps_per_epoch: int,
    held_out: int,
    device: str,
    spent: float = 0.0,
) -> Plan:
    """The plan of a run with ``held_out`` targets to validate on. ``spent`` seconds of ``max_minutes`` are used up."""
    speed = VALIDATION_SPEED * measured.chars_per_second
    total = None if settings.max_minutes is None else 60 * settings.max_minutes
    left, step_seconds = None, measured.seconds
    if total is not None:
        # Not available for steps: the time of validations and samples, and of the final validation.
        left = max(0.0, total - spent) - planned_final(settings, final_chars(settings, held_out) / speed)
        chars, count = _validations(settings, left, held_out, speed)
        validation = chars / speed + SAMPLE_SECONDS
        if settings.val_every is None:
            left -= count * validation
        else:
            step_seconds += validation / settings.val_every
    _, steps = _first_limit(settings, steps_per_epoch, step_seconds, left, 0)
    chars, count = _validations(settings, steps * measured.seconds, held_out, speed)
    return Plan(
        device=device,
        kernel=measured.kernel,
        threads=measured.threads,
        batch_size=batch_size,
        seq_length=seq_length,
        steps_per_epoch=steps_per_epoch,
        planned_steps=steps,
        warmup_steps=round(settings.warmup * steps),
        log_every=settings.log_every or max(1, round(LOG_SECONDS / measured.seconds)),
        val_every=settings.val_every or max(1, math.ceil(steps / count)),
        val_chars=chars,
        snapshot_steps=snapshot_steps(steps, measured.seconds, settings.snapshots),
        seconds_per_step=measured.seconds,
    )


def end_within_time(settings: Settings, plan: Plan, *, step: int, pace: float, worked: float, last: float) -> int:
    """The step at which to end so that ``max_minutes`` is kept, with time for the final validation.

    ``worked``: seconds so far, at ``step``. ``pace``: seconds per step, including validations. ``last``: seconds that
    the final validation of all held-out characters would take (:func:`planned_final`).
    """
    left = 60 * (settings.max_minutes or math.inf) - worked - planned_final(settings, last, worked)
    return max(step + 1, _first_limit(settings, plan.steps_per_epoch, pace, left, step)[1])


def final_chars(settings: Settings, held_out: int) -> int:
    """Characters that calibration and the final validation read of so many that are held out."""
    return held_out + (min(CALIBRATION_CHARS, held_out) if settings.calibrate else 0)


def planned_final(settings: Settings, last: float, worked: float = 0.0) -> float:
    """Seconds to plan for a final validation that would take ``last``: less where that is too long, and it reads less
    (:func:`final_seconds`)."""
    allowed = final_seconds(settings, worked)
    return last if last <= allowed else ESTIMATE_SHARE * allowed


def final_seconds(settings: Settings, worked: float) -> float:
    """The most seconds that the final validation may take, in a run that has worked for ``worked`` seconds."""
    if settings.max_minutes is not None:
        return FINAL_SHARE * 60 * settings.max_minutes
    return max(FINAL_SECONDS, FINAL_SHARE * worked)


def snapshot_steps(steps: int, step_seconds: float, count: int) -> tuple[int, ...]:
    """Step 0, a step after a few seconds, then logarithmically spaced steps to the last: at most ``count``."""
    first = max(1, min(steps, round(FIRST_SNAPSHOT_SECONDS / step_seconds)))
    last = count - 2
    return tuple(sorted({0, *(round(first * (steps / first) ** (number / last)) for number in range(last + 1))}))


def _first_limit(
    settings: Settings, steps_per_epoch: int, step_seconds: float, seconds_left: float | None, done: int
) -> tuple[str, int]:
    """Which of ``epochs``, ``max_steps`` and ``max_minutes`` ends the run first, and the step: ``max_minutes`` leaves
    ``seconds_left`` after ``done`` steps. Raises :class:`SettingsError` when none of the three is set."""
    limits: dict[str, float] = {}
    if settings.epochs is not None:
        limits["epochs"] = math.ceil(settings.epochs * steps_per_epoch)
    if settings.max_steps is not None:
        limits["max_steps"] = settings.max_steps
    if seconds_left is not None:
        limits["max_minutes"] = done + max(0.0, seconds_left) / step_seconds
    if not limits:
        raise no_end()
    name = min(limits, key=lambda name: limits[name])
    return name, max(1, int(min(MAX_INTEGER - 1, limits[name])))


def _validations(settings: Settings, seconds: float, held_out: int, speed: float) -> tuple[int, int]:
    """The characters of a validation, and the number of validations, in ``seconds`` of training."""
    most = min(held_out, settings.val_chars)
    if settings.val_every is not None or most == 0:
        return most, VALIDATIONS
    if most == held_out <= min(ENOUGH_CHARS, WHOLE_SECONDS * speed):
        return most, _affordable(seconds, most, speed, MIN_WHOLE_VALIDATIONS)
    count = _affordable(seconds, min(most, ENOUGH_CHARS), speed)
    return min(most, max(MIN_VALIDATION_CHARS, int(_budget(seconds, speed) / count))), count


def _budget(seconds: float, speed: float) -> float:
    """The characters that validations may read in ``seconds`` of training."""
    return VALIDATION_SHARE * max(seconds, 0.0) * speed


def _affordable(seconds: float, chars: int, speed: float, fewest: int = MIN_VALIDATIONS) -> int:
    """The number of validations of ``chars`` characters for which there is time in ``seconds`` of training."""
    return max(fewest, min(VALIDATIONS, int(_budget(seconds, speed) / max(chars, 1))))

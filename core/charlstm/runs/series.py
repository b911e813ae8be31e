"""Curves and figures from the logged events of a run, for charts, tables and the verdict.

It drops the events that a resume repeats, and smooths curves. Losses are in nats per character; the other units are
steps and seconds of training.
"""

from __future__ import annotations

import bisect
import copy
import math
import statistics
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from charlstm.runs.liveness import RunFigures
from charlstm.training import events
from charlstm.training.plan import ESTIMATE_SHARE, FINAL_SHARE, VALIDATION_SPEED
from charlstm.training.schedule import climb_steps
from charlstm.training.settings import LENGTH, WITHOUT_EFFECT_ON_LOSS

XAxis = Literal["step", "seconds"]
CurveName = Literal["train", "validation", "lr", "grad_norm", "speed"]
Floats = npt.NDArray[np.float64]

SPEED_WINDOW = 60.0
"""Seconds of recent work from which the remaining time is estimated."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of a curve, in order. ``y`` is not-a-number where the curve has a gap."""

    x: Floats
    y: Floats

    def __len__(self) -> int:
        return len(self.x)


class RunSeries:
    """The events of one run so far. Takes events as they arrive, at the same cost however long the run is."""

    def __init__(self) -> None:
        self.started: events.Started | None = None
        self.planned_steps: int | None = None
        self.max_minutes: float | None = None
        """The time limit, if it is known."""
        self.samples: list[events.Sampled] = []
        """Every sample, by step."""
        self.validations: list[events.Validated] = []
        """Every validation, by step; the one over the whole held-out part comes last."""
        self.warnings: list[events.Warned] = []
        self.controls: list[events.Controlled] = []
        """The commands that were handled, up to the step of a resume and since then."""
        self.handled: set[str] = set()
        """The ids of all commands that were handled, including those after the step of a resume."""
        self.interruptions: list[events.Paused | events.Resumed] = []
        """Every pause and every continuation, by step."""
        self.paused: events.Paused | None = None
        self.finished: events.Finished | None = None
        self.failed: events.Failed | None = None
        self.last_step: events.Stepped | None = None
        self.inexact: list[events.Resumed] = []
        """Resumes that may change the results in the last digits, or that changed settings."""
        self.extended_at: int | None = None
        """The step at which the run had ended before it was extended, if it was."""
        self.climbs_until = 0
        """The step up to which the learning rate climbs again after the extension."""
        # arrays of plain numbers: a run that is watched has tens of thousands of them copied twice a second
        self._logged = {name: array("d") for name in ("step", "seconds", "train", "lr", "grad_norm", "speed")}
        self._reached = 0
        self._recent_progress: list[tuple[float, int]] = []  # (seconds of work, step) of the last moments

    @classmethod
    def of(cls, logged: Iterable[events.Event]) -> Self:
        """The series of the given events."""
        series = cls()
        series.feed(logged)
        return series

    def feed(self, logged: Iterable[events.Event]) -> None:
        """Add the next events of the log, in order."""
        for event in logged:
            self._add(event)

    def copy(self) -> Self:
        """A copy that later events do not change, for another thread."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (list, set)):
                setattr(twin, name, copy.copy(value))
        twin._logged = {name: values[:] for name, values in self._logged.items()}
        return twin

    @property
    def step(self) -> int:
        """The last step in the log: how far training is. Only one step in some has an event of its own, so the end and
        a pause may be later than the last of these."""
        return self._reached

    @property
    def train_seconds(self) -> float:
        """Seconds spent in training steps so far."""
        last = [*self._logged["seconds"][-1:], *(each.train_seconds for each in self.validations[-1:])]
        finished = [] if self.finished is None else [self.finished.train_seconds]
        return max(_number(seconds, 0.0) for seconds in (0.0, *last, *finished))

    @property
    def work_seconds(self) -> float:
        """Seconds that the run has worked so far: training, validations and samples, but no pauses."""
        known = (each.work_seconds for each in (self.finished, self.last_step) if each is not None)
        return max([self.train_seconds, *(_number(seconds, 0.0) for seconds in known)])

    @property
    def best(self) -> events.Validated | None:
        """The validation of the best model; ``None`` before the first."""
        return next((each for each in reversed(self.validations) if each.best), None)

    @property
    def first_val(self) -> float | None:
        """The validation loss from before the first step, nats per character."""
        first = next(iter(self.validations), None)
        return None if first is None or first.step else _number(first.loss)

    def epochs(self, step: int) -> float | None:
        """The number of passes over the training text in so many steps."""
        return None if self.started is None else step / self.started.steps_per_epoch

    @property
    def next_rate(self) -> float | None:
        """The learning rate that was set and acts from the next step on; ``None`` unless one was set since the last
        step that is logged."""
        set_last = next((each for each in reversed(self.controls) if each.command == "set-lr"), None)
        if set_last is None or (self.last_step is not None and set_last.step < self.last_step.step):
            return None
        return set_last.value

    @property
    def best_val(self) -> float | None:
        """The best validation loss, nats per character; at the end, the best model's on the whole held-out part."""
        if self.finished is not None and self.finished.loss is not None:
            return _number(self.finished.loss)
        return None if self.best is None else _number(self.best.loss)

    def best_point(self, axis: XAxis = "step") -> tuple[float, float] | None:
        """Where the best model is on the curve of validation, and its loss: at the end that of the final validation,
        which is of more of the held-out part than the curve."""
        best, loss = self.best, self.best_val
        if best is None or loss is None:
            return None
        return float(best.step) if axis == "step" else _number(best.train_seconds, 0.0), loss

    @property
    def whole(self) -> tuple[int, float] | None:
        """The step of the best model and its loss on the whole held-out part, measured after training."""
        found = self.finished
        if found is None or not found.is_whole or found.loss is None:
            return None
        return found.best_step, found.loss

    @property
    def best_whole(self) -> bool:
        """Whether :attr:`best_val` was measured on the whole held-out part; else it is an estimate from slices."""
        return self.finished is not None and self.finished.is_whole

    @property
    def best_step(self) -> int | None:
        return None if self.best is None else self.best.step

    @property
    def train_loss(self) -> float | None:
        """The last training loss, nats per character; not-a-number when it was not finite."""
        values = self._logged["train"]
        return values[-1] if values else None

    @property
    def guessing_loss(self) -> float | None:
        """The loss of guessing all characters alike, nats per character."""
        symbols = 0 if self.started is None else self.started.symbols
        return math.log(symbols) if symbols > 1 else None

    @property
    def comparable_from(self) -> int:
        """The step from which losses are comparable with those of now. What came before was trained with other
        settings that the loss depends on, or before the learning rate climbed again because the run was extended."""
        changed = [each.step for each in self.inexact if set(each.changed) - WITHOUT_EFFECT_ON_LOSS]
        return max([self.climbs_until, *changed])

    @property
    def val_loss(self) -> float | None:
        """The last validation loss, nats per character. A run that ends measures that of its best model once more, on
        more of the held-out part: where that is the model of the last step, the two must not differ."""
        last = self._last_validation
        if last is None:
            return None
        return self.best_val if self._best_is_last else _number(last.loss)

    @property
    def val_whole(self) -> bool:
        """Whether :attr:`val_loss` was measured on the whole held-out part."""
        return self._best_is_last and self.best_whole

    @property
    def _last_validation(self) -> events.Validated | None:
        """That of the last model which was validated, not the one at the end, which is of the best model."""
        return next((each for each in reversed(self.validations) if not each.whole), None)

    @property
    def _best_is_last(self) -> bool:
        ended, last = self.finished, self._last_validation
        return last is not None and ended is not None and ended.loss is not None and ended.best_step == last.step

    @property
    def chars_per_second(self) -> float | None:
        """Current training speed: the median of the last five values, since the machine may have been busy for one."""
        recent = [value for value in self._logged["speed"][-5:] if math.isfinite(value)]
        return statistics.median(recent) if recent else None

    def progress(self, validated: float = 0.0) -> float | None:
        """The fraction of the run that is done, 0 to 1: of its steps and of the final validation, of which the fraction
        ``validated`` is done. ``None`` while the plan is not known."""
        if self.finished is not None and self.finished.reason != "stopped":
            return 1.0
        if not self.planned_steps:
            return None
        validation = self._final_validation
        done = min(self.step, self.planned_steps) + validated * validation
        return min(1.0, done / (self.planned_steps + validation))

    def seconds_left(self) -> float | None:
        """Seconds until the end at the speed of the last minute, including validations and checkpoints, and the final
        validation, at most what the time limit leaves; ``None`` when unknown."""
        if self.finished or self.failed or not self.planned_steps:
            return None
        pace = None
        if len(self._recent_progress) > 1:
            (first, at), (last, now) = self._recent_progress[0], self._recent_progress[-1]
            pace = (last - first) / (now - at) if now > at and last > first else None
        if pace is None and self.step and self.train_seconds:
            pace = self.train_seconds / self.step
        steps = max(0, self.planned_steps - self.step) + self._final_validation
        if pace is None:
            return None
        # the trainer moves the end only now and then, so that more steps may be planned than there is time for
        limit = math.inf if self.max_minutes is None else 60 * self.max_minutes - self.work_seconds
        return min(steps * pace, max(limit, 0.0))

    def figures(self) -> RunFigures:
        """How far the run is and how good its model is, for its heartbeat and its status."""
        return RunFigures(
            step=self.step,
            planned_steps=self.planned_steps,
            loss=self.best_val,
            best_whole=self.best_whole,
            best_step=self.best_step,
            train_seconds=self.train_seconds,
            work_seconds=self.work_seconds,
            progress=self.progress(),
            seconds_left=self.seconds_left(),
            read_share=None if self.started is None else self.started.read_share,
            read_by=None if self.started is None else self.started.read_by,
        )

    @property
    def _final_validation(self) -> float:
        """The time of the final validation, in training steps: less where it takes too long for the run's time."""
        started = self.started
        if started is None or not started.val_chars or not started.train_chars:
            return 0.0
        steps = started.val_chars * started.steps_per_epoch / (VALIDATION_SPEED * started.train_chars)
        allowed = math.inf if started.limit != "max_minutes" else FINAL_SHARE * (self.planned_steps or 0)
        return steps if steps <= allowed else ESTIMATE_SHARE * allowed

    def points(self, line: CurveName, axis: XAxis = "step") -> Curve:
        """Every point of a line as it was logged: ``train`` and ``validation`` losses, ``lr``, ``grad_norm`` or
        ``speed`` (characters a second) over steps or seconds of training."""
        if line != "validation":
            return Curve(np.array(self._logged[axis]), np.array(self._logged[line]))
        found = [each for each in self.validations if not each.whole]  # a loss on more text is not of the curve
        x = [each.step if axis == "step" else _number(each.train_seconds, 0.0) for each in found]
        losses = [_number(each.loss) for each in found]
        return Curve(np.maximum.accumulate(np.array(x, np.float64)), np.array(losses))

    def curve(self, line: CurveName, axis: XAxis = "step", *, smoothing: float = 0.0) -> Curve:
        """The same, smoothed."""
        curve = self.points(line, axis)
        return Curve(curve.x, smooth(curve.y, smoothing))

    def _add(self, event: events.Event) -> None:
        match event:
            case events.Started():
                if self.started is not None:  # it was killed before its first checkpoint, and started again
                    vars(self).update(vars(RunSeries()))
                self.started, self.planned_steps = event, event.planned_steps
                self.max_minutes = event.max_minutes
                self._recent_progress = []
            case events.Stepped():
                seconds = _number(event.train_seconds, self.train_seconds)
                self.last_step = event
                self._cut(event.step - 1)
                values = (event.train_loss, event.lr, event.grad_norm, event.chars_per_second)
                now = (event.step, max([seconds, *self._logged["seconds"][-1:]]), *map(_number, values))
                for logged, value in zip(self._logged.values(), now, strict=True):
                    logged.append(value)
                self._pace(event, seconds)
            case events.Validated():
                last = self.validations[-1] if self.validations else None
                if last is not None and (last.step, last.whole) == (event.step, event.whole):
                    self.validations.pop()
                self.validations.append(event)
            case events.Sampled():
                if self.samples and self.samples[-1].step == event.step:
                    self.samples.pop()
                self.samples.append(event)
            case events.Warned():
                self.warnings.append(event)
            case events.Controlled():
                self.controls.append(event)
                self.handled.add(event.id)
                if event.command in ("finish", "more"):  # the value is how many steps are left
                    was_complete = self.planned_steps is not None and event.step >= self.planned_steps
                    self.planned_steps = event.step + int(_number(event.value, 0.0))
                    if was_complete:
                        self._extend(event.step, self.planned_steps)
                if event.command == "more" and self.max_minutes is not None:
                    self.max_minutes += _number(event.minutes, 0.0)
            case events.Decided() if event.steps_left is not None:
                self.planned_steps = event.step + event.steps_left
            case events.Paused():
                self.paused = event
                self.interruptions.append(event)
            case events.Resumed():
                self._resume(event)
            case events.Finished():
                self.finished, self.paused = event, None
            case events.Failed():
                self.failed, self.paused = event, None
            case _:
                pass
        # steps that a resume goes back to
        repeated = isinstance(event, (events.Started, events.Resumed, events.Stepped))
        self._reached = event.step if repeated else max(self._reached, event.step)

    def _cut(self, step: int) -> None:
        """Remove what was logged after ``step``."""
        keep = bisect.bisect_right(self._logged["step"], step)
        for values in self._logged.values():
            del values[keep:]

    def _resume(self, event: events.Resumed) -> None:
        """Drop the events of later steps: training repeats those steps."""
        is_new_process = self.paused is None or event.device is not None
        was_complete = self.finished is not None and self.finished.reason != "stopped"
        self._cut(event.step)
        self.samples = [each for each in self.samples if each.step <= event.step]
        # a loss on the whole held-out part belongs to an end that no longer counts, unless that only waits for the disk
        self.validations = [
            each for each in self.validations if each.step <= event.step and not (each.whole and is_new_process)
        ]
        # so do the warnings of that end, such as that its loss is an estimate
        ended = event.step if was_complete else math.inf
        self.warnings = [each for each in self.warnings if each.step <= event.step and each.step < ended]
        self.controls = [each for each in self.controls if each.step <= event.step]
        self.interruptions = [*(each for each in self.interruptions if each.step <= event.step), event]
        if self.last_step is not None and self.last_step.step > event.step:
            self.last_step = None
        self.paused = self.finished = self.failed = None
        self.max_minutes = event.max_minutes
        if self.started is not None:  # another machine may have another device or kernel
            started = self.started
            self.started = replace(
                started, device=event.device or started.device, kernel=event.kernel or started.kernel
            )
        if event.planned_steps is not None:
            self.planned_steps = event.planned_steps
            if was_complete and LENGTH.intersection(event.changed):
                self._extend(event.step, event.planned_steps)
        self.inexact = [each for each in self.inexact if each.step <= event.step]
        if event.inexact or event.changed:
            self.inexact.append(event)
        self._recent_progress = []

    def _extend(self, step: int, planned_steps: int) -> None:
        """Note that the run, which had taken all its steps at ``step``, goes on."""
        self.extended_at = step
        self.climbs_until = step + climb_steps(planned_steps - step)

    def _pace(self, event: events.Stepped, seconds: float) -> None:
        """Uses the run's own count of seconds of work: the time of day jumps when a clock is set."""
        worked = _number(event.work_seconds, seconds)
        self._recent_progress.append((worked, event.step))
        while len(self._recent_progress) > 3 and worked - self._recent_progress[1][0] > SPEED_WINDOW:
            self._recent_progress.pop(0)


def smooth(values: Sequence[float] | Floats, weight: float) -> Floats:
    """Exponential moving average with bias correction (Kingma and Ba 2015, section 3): ``weight`` 0 is the line as it
    is, towards 1 smoother. A value that is not finite stays a gap and leaves the average as it was.

    Raises :class:`ValueError` unless 0 ≤ weight < 1.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"smoothing takes a weight from 0 to below 1, not {weight!r}")
    smoothed, total, weights = [], 0.0, 0.0
    for value in np.asarray(values, np.float64).tolist():
        if math.isfinite(value):
            total, weights = weight * total + value, weight * weights + 1
        smoothed.append(total / weights if math.isfinite(value) else math.nan)
    return np.array(smoothed, np.float64)


def _number(value: Any, otherwise: float = math.nan) -> float:
    """``value`` as a finite float: a log may come from anywhere."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return otherwise

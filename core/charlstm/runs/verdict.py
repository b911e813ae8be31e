"""Judge how a run is doing: a kind, the figures behind it, and a sentence.

:func:`verdict` takes the logged series, and the run's status for what a log does not show. It reads no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from charlstm.runs.series import RunSeries
from charlstm.runs.status import ESTIMATE, RunStatus
from charlstm.training.events import Validated

Live = Literal["starting", "learning", "flattening", "overfitting", "stuck", "diverging", "paused", "waiting"]
Ended = Literal["stopped", "finished", "diverged", "failed", "crashed"]

OVERFIT_RISE = 0.01
"""Relative rise of the validation loss above its best, with at least two validations in a row above it, that counts as
overfitting."""

FLAT_FALL = 0.005
"""A smaller relative fall of the validation loss over the last third of its curve counts as flattening."""

STUCK_NEAR = 0.03
"""A loss within this relative distance of the entropy of the letter frequencies after ``STUCK_AFTER`` steps: the model
knows only how frequent each character is."""
STUCK_AFTER = 100

_NO_WORKER = ("stopped", "finished", "failed", "crashed")
"""States without a worker. While there is one, how the run ended before is no longer true."""

_REASONS = {"time": "its time limit was reached", "patience": "the validation loss had stopped improving"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a run is doing. Losses are in nats per character; what the kind does not need is ``None``."""

    kind: Live | Ended
    step: int = 0
    """The last step, or for ``overfitting`` that of the best validation."""

    message: str = ""
    """What the worker reported: why it waits, how it starts, how it failed."""

    reason: str = ""
    """Why a ``finished`` run ended: ``done``, ``time`` or ``patience``."""

    best_val: float | None = None
    best_whole: bool = False
    """Whether ``best_val`` was measured on the whole held-out part; else it is an estimate from slices."""

    best_step: int | None = None
    overfit_since: int | None = None
    """Of a ``finished`` run: the step after which it overfitted."""

    change: float | None = None
    """Relative change of the validation loss during ``seconds``, or since the best step when ``overfitting``."""

    seconds: float | None = None
    """Seconds of training: those of ``change``, or all of a ``finished`` run."""

    train_losses: tuple[float, float] | None = None
    """The first and the last training loss, before there are two validations to compare."""

    order0: float | None = None
    """Entropy of the letter frequencies, when ``stuck`` at it."""

    @property
    def text(self) -> str:
        """One to three sentences for a person."""
        match self.kind:
            case "starting":
                return _sentence(f"Starting: {self.message}" if self.message else "Starting")
            case "waiting":
                return _sentence(self.message or "Waiting for the disk")
            case "paused":
                return f"Paused at step {self.step:,}."
            case "diverging":
                return "Diverging: the training loss is not a number any more."
            case "stuck":
                return (
                    f"Stuck at letter frequencies ({self.order0:.2f} nats): the model knows only how frequent each "
                    "character is."
                )
            case "overfitting":
                return (
                    f"Overfitting since step {self.step:,}: validation rose {self.change:.0%} while training fell. "
                    f"The best model ({ESTIMATE}{self.best_val:.2f} nats) is kept."
                )
            case "learning" | "flattening":
                return self._progress
            case "failed" | "crashed":
                return f"{self.kind.capitalize()}: {_sentence(self.message)} {self._best}".rstrip()
            case "diverged":
                best = self._best or "No model was kept."
                return f"Diverged at step {self.step:,}: the loss is not a number any more. {best}"
            case "stopped":
                return f"Stopped at step {self.step:,}. {self._best}".rstrip()
            case "finished":
                return self._end

    @property
    def _progress(self) -> str:
        if self.change is None or self.seconds is None:
            if self.train_losses is None:
                return "Learning: these are the first steps."
            first, last = self.train_losses
            return f"Learning: training loss {first:.2f} → {last:.2f} nats."
        span = _duration(self.seconds)
        if self.kind == "flattening":
            moved = f"fell only {max(0.0, -self.change):.1%}" if self.change < FLAT_FALL else f"rose {self.change:.1%}"
            return f"Flattening: validation {moved} in the last {span}. No overfitting."
        moved = f"fell {_percent(-self.change)}" if self.change <= 0 else f"rose {_percent(self.change)}"
        return f"Still learning: validation {moved} in the last {span}. No overfitting."

    @property
    def _end(self) -> str:
        why = _REASONS.get(self.reason)
        text = f"Finished after {_duration(self.seconds or 0.0)}{f': {why}' if why else ''}. {self._best}".rstrip()
        if self.overfit_since is None:
            return text
        return f"{text} It overfitted after step {self.overfit_since:,}; more text or dropout would help."

    @property
    def _best(self) -> str:
        if self.best_val is None or not math.isfinite(self.best_val):
            return ""
        bits = self.best_val / math.log(2)
        where = f" at step {self.best_step:,}" if self.best_step is not None else ""
        mark = "" if self.best_whole else ESTIMATE
        return f"Best {mark}{self.best_val:.2f} nats ({bits:.2f} bits){where}, kept."


def verdict(series: RunSeries, status: RunStatus | None = None, *, order0: float | None = None) -> Verdict:
    """Judge the run.

    ``status`` adds what the log does not show: crashed, waiting for the disk, starting. ``order0`` is the entropy of
    the letter frequencies on the held-out part in nats per character; without it ``stuck`` is not recognised.
    """
    state = status.state if status is not None else None
    message = status.message if status is not None else ""
    if state in (None, *_NO_WORKER) and (ended := _ended(series, state, message)):
        return ended
    if state == "waiting":
        return Verdict(kind="waiting", message=message)
    if state == "paused" or (state is None and series.paused is not None):
        return Verdict(kind="paused", step=series.step)
    if state == "starting" or series.started is None or not series.step:
        return Verdict(kind="starting", message=message)
    return _live(series, order0)


def overfitting_since(series: RunSeries) -> Validated | None:
    """The best validation, if the run overfits since: at least two validations came after it, all are above it, the
    last by ``OVERFIT_RISE``, and the training loss kept falling. ``None`` otherwise."""
    points = _partial_validations(series)
    if len(points) < 3:
        return None
    best = min(points, key=lambda each: each.val_loss)
    later = [each for each in points if each.step > best.step]
    if len(later) < 2 or later[-1].val_loss <= best.val_loss * (1 + OVERFIT_RISE):
        return None
    train = series.points("train")
    before, after = train.y[train.x <= best.step][-5:], train.y[train.x > best.step][-5:]
    if len(before) and len(after) and np.nanmean(after) > np.nanmean(before):
        return None  # both losses rise: the learning rate is too high, which is another problem
    return best


def _ended(series: RunSeries, state: str | None, message: str) -> Verdict | None:
    best_val, best_whole, best_step = series.best_val, series.best_whole, series.best_step
    finished, failed = series.finished, series.failed
    kind: Ended
    if finished is not None and finished.reason == "diverged":
        kind = "diverged"
    elif state == "failed" or (state is None and failed is not None):
        kind = "failed"
        message = message or (failed.message if failed is not None else "it ended with an error")
    elif state == "crashed":
        kind = "crashed"
    elif state == "stopped" or (state is None and finished is not None and finished.reason == "stopped"):
        kind = "stopped"
    elif finished is None:
        return None
    else:
        since = overfitting_since(series)
        return Verdict(
            kind="finished",
            step=finished.step,
            reason=finished.reason,
            best_val=best_val,
            best_whole=best_whole,
            best_step=best_step,
            overfit_since=None if since is None else since.step,
            seconds=finished.train_seconds,
        )
    return Verdict(
        kind=kind,
        step=finished.step if finished is not None and kind == "diverged" else series.step,
        message=message,
        best_val=best_val,
        best_whole=best_whole,
        best_step=best_step,
    )


def _live(series: RunSeries, order0: float | None) -> Verdict:
    loss = series.train_loss
    if loss is not None and not math.isfinite(loss):
        return Verdict(kind="diverging", step=series.step)
    lowest = min((each.val_loss for each in series.validations if math.isfinite(each.val_loss)), default=math.inf)
    if order0 is not None and series.step >= STUCK_AFTER and _is_stuck(series, lowest, order0):
        return Verdict(kind="stuck", step=series.step, order0=order0)
    if (best := overfitting_since(series)) is not None:
        change = _change(best.val_loss, series.validations[-1].val_loss)
        return Verdict(kind="overfitting", step=best.step, change=change, best_val=best.val_loss, best_step=best.step)
    points = _partial_validations(series)
    if len(points) < 2:
        return Verdict(kind="learning", step=series.step, train_losses=_train_losses(series))
    since = points[max(0, len(points) - max(2, len(points) // 3 + 1))]
    change = _change(since.val_loss, points[-1].val_loss)
    return Verdict(
        kind="flattening" if len(points) >= 6 and -change < FLAT_FALL else "learning",
        step=series.step,
        change=change,
        seconds=points[-1].train_seconds - since.train_seconds,
    )


def _partial_validations(series: RunSeries) -> list[Validated]:
    """Those on slices of the held-out part: a loss on the whole part cannot be compared with them."""
    return [each for each in series.validations if not each.whole and math.isfinite(each.val_loss)]


def _is_stuck(series: RunSeries, lowest: float, order0: float) -> bool:
    """Whether the losses are near the entropy of the letter frequencies and do not fall below it."""
    train = series.points("train").y
    recent = train[-max(3, len(train) // 4) :]
    recent = recent[np.isfinite(recent)]
    near = order0 * (1 - STUCK_NEAR)
    return bool(len(recent) >= 3 and recent.min() > near and lowest > near)


def _train_losses(series: RunSeries) -> tuple[float, float] | None:
    train = series.points("train").y
    train = train[np.isfinite(train)]
    return (float(train[0]), float(train[-1])) if len(train) > 1 else None


def _sentence(text: str) -> str:
    text = text.strip() or "the reason is unknown"
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…" else text + "."


def _change(before: float, after: float) -> float:
    """Relative change of a loss. A text of one character can be predicted with a loss of 0."""
    return after / before - 1 if before else math.inf if after else 0.0


def _percent(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else f"{part:.1%}"


def _duration(seconds: float) -> str:
    """``10 s``, ``2:05``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""Judge how a run is doing: a kind, the figures behind it, and a sentence.

:func:`verdict` takes the logged series, and the run's status for what a log does not show. It reads no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from charlstm.display import as_sentence, duration
from charlstm.runs.contention import Contention
from charlstm.runs.series import RunSeries
from charlstm.runs.status import ESTIMATE, RunStatus
from charlstm.training.events import Validated

Live = Literal[
    "starting",
    "learning",  # the loss falls
    "flattening",  # the validation loss falls hardly at all
    "worsening",  # it rises, and the training loss has not yet
    "recovering",  # it was above its best, and falls
    "climbing",  # the learning rate climbs again after an extension: a rising loss says nothing yet
    "overfitting",  # the validation loss rises while the training loss falls
    "stuck",  # at the entropy of the letter frequencies
    "rising",  # the training loss does not fall, or rises
    "diverging",  # it rises far above its lowest, or above guessing
    "validating",  # training is over, and the best model is measured on all held-out text
    "paused",
    "waiting",  # for the disk
]
Ended = Literal["stopped", "finished", "diverged", "failed", "crashed"]

OVERFIT_RISE = 0.01
"""Relative rise of the validation loss above its best, with at least two validations in a row above it, that counts as
overfitting."""

FLAT_FALL = 0.005
"""A smaller relative fall of the validation loss over the last third of its curve counts as flattening."""

WORSE_RISE = 0.02
"""A larger relative rise of the validation loss over the last third of its curve is no flattening any more."""

STALLED_FALL = 0.02
"""A training loss that fell by less than this, relatively, over the second half of a run has stopped falling."""

ABOVE_BEST = 0.05
"""A validation loss this much above its best, relatively, is that of a run that has lost what it had learnt."""

STUCK_NEAR = 0.03
"""A loss within this relative distance of the entropy of the letter frequencies after ``STUCK_AFTER`` steps: the model
knows only how frequent each character is."""
STUCK_AFTER = 100

RISE = 0.15
"""Relative rise of the training loss above its lowest that counts as diverging: ten times its noise in the runs of the
presets, and a third of the smallest rise after which a run with a rate of 0.1 lost what it had learnt."""

ABOVE_GUESSING = 1.05
"""Losses of this multiple of guessing all characters alike are worse than guessing: an untrained network is near it."""

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
    """Why a ``finished`` run ended: ``done``, ``time`` or ``patience``. Of a ``validating`` one:
    ``done``, ``time``, or empty when that is not known yet."""

    best_val: float | None = None
    best_whole: bool = False
    """Whether ``best_val`` was measured on the whole held-out part; else it is an estimate from slices."""

    best_step: int | None = None
    overfit_since: int | None = None
    """Of a ``finished`` run: the step after which it overfitted."""

    change: float | None = None
    """Relative change of the validation loss during ``seconds``, or since the best step when ``overfitting``."""

    train_falls: bool = False
    """Whether the training loss fell while the validation loss was ``worsening``."""

    seconds: float | None = None
    """Seconds of training in which ``change`` came about, or all the time of a ``finished`` run."""

    val_losses: tuple[float, float] | None = None
    """The best and the last validation loss, when the last is above the best by :data:`ABOVE_BEST`, and of a run that
    is ``worsening``."""

    train_losses: tuple[float, float] | None = None
    """The first and the last training loss, before there are two validations to compare; of a run that diverges, or
    that ended so, the lowest and the last."""

    guessing: float | None = None
    """The loss of guessing all characters alike, when the training loss is above it."""

    order0: float | None = None
    """Entropy of the letter frequencies, when ``stuck`` at it."""

    useless: tuple[str, float] | None = None
    """Of a run that ended: what its best model is no better than, in words, and the loss of that."""

    rose_above_guessing: bool = False
    """Of a ``finished`` run: its training loss was once worse than guessing all characters alike."""

    rate_too_high: bool = False
    """Of a ``finished`` run: its loss rose, or its best model is ``useless`` and the loss had stopped falling or was
    once worse than guessing. A longer run would change nothing, a lower learning rate would."""

    extended_in_vain: bool = False
    """Of a ``finished`` run: it was extended, and its best model is still the one from before."""

    contention: Contention = Contention(1.0)
    """Of a ``finished`` run: how much slower it was because of other programs."""

    @property
    def text(self) -> str:
        """One to three sentences for a person, with losses in nats."""
        return self.describe()

    def describe(self, *, bits: bool = False) -> str:
        """One to three sentences for a person, with losses in nats, or in ``bits``."""
        unit = "bits" if bits else "nats"
        match self.kind:
            case "starting":
                return as_sentence(f"Starting: {self.message}" if self.message else "Starting")
            case "waiting":
                return as_sentence(self.message or "Waiting for the disk")
            case "paused":
                return f"Paused at step {self.step:,}."
            case "climbing":
                return (
                    f"The learning rate climbs again until step {self.step:,}, because the run was extended: the loss "
                    "may rise until then."
                )
            case "rising":
                if self.train_losses is None:
                    return "Not learning: the loss does not fall."
                first, last = (_loss(loss, bits) for loss in self.train_losses)
                return f"Not learning: the training loss went from {first} to {last} {unit}."
            case "diverging":
                return self._diverging(bits)
            case "validating":
                done = {"done": "All steps are done", "time": "The time is up"}.get(self.reason, "Training has ended")
                return f"{done}. Now the best model is validated on all of the held-out text."
            case "stuck":
                return (
                    f"Stuck at letter frequencies ({_loss(self.order0, bits)} {unit}): the model knows only how "
                    "frequent each character is."
                )
            case "overfitting":
                which = "best model" if self.step else "model from before training"
                return (
                    f"Overfitting since step {self.step:,}: validation rose {self.change:.0%} while training fell. "
                    f"The {which} ({ESTIMATE}{_loss(self.best_val, bits)} {unit}) is kept."
                )
            case "learning" | "flattening" | "worsening" | "recovering":
                return self._progress(bits)
            case "failed" | "crashed":
                reason = as_sentence(self.message) or "The reason is unknown."
                return f"{self.kind.capitalize()}: {reason} {self._best(bits)}".rstrip()
            case "diverged":
                best = self._best(bits) or "No model was kept."
                return f"Diverged at step {self.step:,}: the loss is not a number any more. {best}"
            case "stopped":
                return f"Stopped at step {self.step:,}. {self._best(bits)}".rstrip()
            case "finished":
                return self._end(bits)

    def _progress(self, bits: bool) -> str:
        unit = "bits" if bits else "nats"
        if self.change is None or self.seconds is None:
            if self.train_losses is None:
                return "Learning: these are the first steps."
            first, last = (_loss(loss, bits) for loss in self.train_losses)
            still = "" if self.guessing is None else f", still above guessing ({_loss(self.guessing, bits)})"
            return f"Learning: training loss {first} → {last} {unit}{still}."
        span = _span(self.seconds)
        above_best = ""
        if self.val_losses is not None:
            best, last = (_loss(loss, bits) for loss in self.val_losses)
            above_best = f"At {last} {unit} it is still above its best, {best}."
        if self.kind == "worsening":
            assert self.val_losses is not None
            rose = f"Getting worse: validation rose {_percent(self.change)} in the last {span}, to {last} {unit}"
            if self.train_falls:
                cause = "Training fell: it learns the text by heart, and more text or dropout would help."
            else:
                cause = "The learning rate may be too high: a lower one would help."
            return f"{rose}; the best is {best}. {cause}"
        if self.kind == "flattening":
            moved = f"fell only {max(0.0, -self.change):.1%}" if self.change <= 0 else f"rose {self.change:.1%}"
            return f"Flattening: validation {moved} in the last {span}. {above_best or 'No overfitting.'}"
        if self.kind == "recovering":
            return f"Recovering: validation fell {_percent(-self.change)} in the last {span}. {above_best}"
        return f"Still learning: validation fell {_percent(-self.change)} in the last {span}. No overfitting."

    def _diverging(self, bits: bool) -> str:
        unit = "bits" if bits else "nats"
        if self.train_losses is None:
            return "Diverging: the training loss is not a number any more."
        low, last = self.train_losses
        worse = ""
        if self.guessing is not None:
            worse = f", worse than guessing all characters alike ({_loss(self.guessing, bits)})"
        if low < last:
            moved = f"rose from {_loss(low, bits)} to {_loss(last, bits)}"
            return f"Diverging: the training loss {moved} {unit}{worse}."
        return f"Diverging: the training loss is {_loss(last, bits)} {unit}{worse}."

    def _end(self, bits: bool) -> str:
        unit = "bits" if bits else "nats"
        why = _REASONS.get(self.reason)
        text = f"Finished after {_span(self.seconds or 0.0)}{f': {why}' if why else ''}. {self._best(bits)}"
        text = text.rstrip()
        if busy := self.contention.describe("was"):
            text = f"{text} {busy}"
        if self.useless is not None:
            name, loss = self.useless
            text = (
                f"{text} That is no better than {name} ({_loss(loss, bits)} {unit}): it has learnt nothing of use yet."
            )
        if self.train_losses is not None:
            low, last = (_loss(loss, bits) for loss in self.train_losses)
            return f"{text} It diverged: the training loss rose from {low} to {last} {unit}."
        if self.rate_too_high:
            return f"{text} The learning rate was too high: train anew with a lower one."
        if self.overfit_since is not None:
            return f"{text} It overfitted after step {self.overfit_since:,}; more text or dropout would help."
        if self.extended_in_vain:
            return f"{text} The steps that were added did not improve it."
        return text

    def _best(self, bits: bool) -> str:
        if self.best_val is None or not math.isfinite(self.best_val):
            return ""
        mark = "" if self.best_whole else ESTIMATE
        own, other = ("bits", "nats") if bits else ("nats", "bits")
        loss = f"{mark}{_loss(self.best_val, bits)} {own} ({_loss(self.best_val, not bits)} {other})"
        if self.best_step == 0:
            return f"The model that is kept is the one from before training: {loss}."
        where = f" at step {self.best_step:,}" if self.best_step is not None else ""
        return f"Best {loss}{where}, kept."


def verdict(series: RunSeries, status: RunStatus | None = None, *, order0: float | None = None) -> Verdict:
    """Judge the run.

    ``status`` adds what the log does not show: crashed, waiting for the disk, starting. ``order0`` is the entropy of
    the letter frequencies on the held-out part in nats per character; without it ``stuck`` is not recognised.

    A loss that rises is never called learning. A loss that is not a number, is above that of guessing all characters
    alike, or has risen by :data:`RISE` is ``diverging``, three logged losses (about a second) after it began.
    """
    state = status.state if status is not None else None
    message = status.message if status is not None else ""
    if state in (None, *_NO_WORKER) and (ended := _ended(series, state, message, order0)):
        return ended
    if state == "waiting":
        return Verdict(kind="waiting", message=message)
    if state == "paused" or (state is None and series.paused is not None):
        return Verdict(kind="paused", step=series.step)
    if state == "starting" or series.started is None or not series.step:
        return Verdict(kind="starting", message=message)
    if status is not None and status.validated is not None:
        if not series.planned_steps or series.step >= series.planned_steps:
            reason = "done"
        else:
            reason = "time" if series.started.limit == "max_minutes" else ""
        return Verdict(kind="validating", step=series.step, reason=reason)
    return _live(series, order0)


def overfitting_since(series: RunSeries) -> Validated | None:
    """The best validation, if the run overfits since: at least two validations came after it, all are above it, the
    last by ``OVERFIT_RISE``, and the training loss kept falling. ``None`` otherwise. In a run that was extended, those
    count that came after the rate had climbed again."""
    points = [each for each in _partial_validations(series) if each.step >= series.comparable_from]
    if len(points) < 3:
        return None
    best = min(points, key=lambda each: each.val_loss)
    later = [each for each in points if each.step > best.step]
    if len(later) < 2 or later[-1].val_loss <= best.val_loss * (1 + OVERFIT_RISE):
        return None
    if _train_change(series, best.step) > 0:
        return None  # both losses rise: the learning rate is too high, which is another problem
    return best


def _ended(series: RunSeries, state: str | None, message: str, order0: float | None) -> Verdict | None:
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
        since, risen = overfitting_since(series), _risen_from(series)
        useless = no_better_than(series, best_val, order0)
        rose = _rose_above_guessing(series)
        return Verdict(
            kind="finished",
            step=finished.step,
            reason=finished.reason,
            best_val=best_val,
            best_whole=best_whole,
            best_step=best_step,
            overfit_since=None if since is None else since.step,
            seconds=series.work_seconds,
            train_losses=risen,
            useless=useless,
            rose_above_guessing=rose,
            rate_too_high=risen is not None or (useless is not None and (rose or _has_stalled(series))),
            contention=Contention(finished.slowdown or 1.0, finished.others_first),
            extended_in_vain=series.extended_at is not None
            and best_step is not None
            and best_step <= series.extended_at,
        )
    return Verdict(
        kind=kind,
        step=finished.step if finished is not None and kind == "diverged" else series.step,
        message=message,
        best_val=best_val,
        best_whole=best_whole,
        best_step=best_step,
    )


def no_better_than(series: RunSeries, loss: float | None, order0: float | None) -> tuple[str, float] | None:
    """What a model with this ``loss`` is no better than, in words, and the loss of that: guessing, or the letter
    frequencies; else ``None``.

    ``order0`` is the entropy of the letter frequencies, if it is known.
    """
    if loss is None or not math.isfinite(loss):
        return None
    if (guessing := series.guessing_loss) is not None and loss > guessing * (1 - STUCK_NEAR):
        return "guessing all characters alike", guessing
    if order0 is not None and loss > order0 * (1 - STUCK_NEAR):
        return "the letter frequencies alone", order0
    return None


def _rose_above_guessing(series: RunSeries) -> bool:
    """Whether the training loss of a run that began near guessing, or below it, was once worse than guessing."""
    train = series.points("train")
    losses = train.y[(train.x > series.comparable_from) & np.isfinite(train.y)]
    if (guessing := series.guessing_loss) is None or len(losses) < 3:
        return False
    worse = np.median(np.lib.stride_tricks.sliding_window_view(losses, 3), axis=1) > guessing * ABOVE_GUESSING
    return bool(worse.any() and (not worse[0] or _untrained_loss(series) is not None))


def _has_stalled(series: RunSeries) -> bool:
    """Whether the training loss of a run that ended had stopped falling."""
    train = series.points("train")
    losses = train.y[(train.x > series.comparable_from) & np.isfinite(train.y)]
    quarter = len(losses) // 4
    if series.step < STUCK_AFTER or quarter < 2:
        return False
    middle, end = np.median(losses[2 * quarter : 3 * quarter]), np.median(losses[-quarter:])
    return bool(end > middle * (1 - STALLED_FALL))


def _live(series: RunSeries, order0: float | None) -> Verdict:
    loss = series.train_loss
    if loss is None:  # what was resumed has not logged a step yet
        return Verdict(kind="starting")
    if not math.isfinite(loss):
        return Verdict(kind="diverging", step=series.step)
    guessing = _guessing_that_is_better(series)
    if series.step < series.climbs_until:
        if guessing is None:
            return Verdict(kind="climbing", step=series.climbs_until)
        return Verdict(kind="diverging", step=series.step, train_losses=(loss, loss), guessing=guessing)
    if (risen := _risen_from(series)) is not None:
        return Verdict(kind="diverging", step=series.step, train_losses=risen, guessing=guessing)
    lowest = min((each.val_loss for each in series.validations if math.isfinite(each.val_loss)), default=math.inf)
    if order0 is not None and series.step >= STUCK_AFTER and _is_stuck(series, lowest, order0):
        return Verdict(kind="stuck", step=series.step, order0=order0)
    if (since := overfitting_since(series)) is not None:
        change = _change(since.val_loss, series.validations[-1].val_loss)
        best = series.best or since
        return Verdict(kind="overfitting", step=since.step, change=change, best_val=best.val_loss, best_step=best.step)
    points = [each for each in _partial_validations(series) if each.step >= series.comparable_from]
    if len(points) < 2:
        train_losses = _train_losses(series)
        falls = train_losses is None or train_losses[1] < train_losses[0] or train_losses[1] == 0
        kind: Live = "learning" if falls else "rising"
        return Verdict(kind=kind, step=series.step, train_losses=train_losses, guessing=guessing)
    since = points[max(0, len(points) - max(2, len(points) // 3 + 1))]
    change = _change(since.val_loss, points[-1].val_loss)
    flat = change > 0 or (len(points) >= 6 and -change < FLAT_FALL)
    best_val, last_val = min(each.val_loss for each in points), points[-1].val_loss
    lost = last_val > best_val * (1 + ABOVE_BEST)
    worsens = change > WORSE_RISE
    return Verdict(
        kind="worsening" if worsens else "flattening" if flat else "recovering" if lost else "learning",
        step=series.step,
        change=change,
        train_falls=worsens and _train_change(series, since.step) < 0,
        val_losses=(best_val, last_val) if lost or worsens else None,
        seconds=points[-1].train_seconds - since.train_seconds,
    )


def _guessing_that_is_better(series: RunSeries) -> float | None:
    """The loss of guessing all characters alike, if the last two training losses are above it."""
    guessing, last = series.guessing_loss, series.points("train").y[-2:]
    if guessing is None or len(last) < 2 or not (last > guessing * ABOVE_GUESSING).all():
        return None
    return guessing


def _risen_from(series: RunSeries) -> tuple[float, float] | None:
    """The lowest and the present training loss, if it has risen by :data:`RISE`; ``None`` otherwise. Both are medians
    of three to ten logged values, as a single one may be an outlier. Before them comes the loss of the untrained
    network."""
    train = series.points("train")
    losses = train.y[(train.x > series.comparable_from) & np.isfinite(train.y)]
    width = min(10, max(3, len(losses) // 10))
    if len(losses) < width:
        return None
    medians = np.median(np.lib.stride_tricks.sliding_window_view(losses, width), axis=1)
    lowest, now = float(medians.min()), float(medians[-1])
    if (untrained := _untrained_loss(series)) is not None:
        lowest = min(lowest, untrained)
    return (lowest, now) if now > lowest * (1 + RISE) and now - lowest > 0.05 else None


def _train_change(series: RunSeries, step: int) -> float:
    """How much the training loss rose after ``step``; 0 where that is not known."""
    train = series.points("train")
    before, after = train.y[train.x <= step][-5:], train.y[train.x > step][-5:]
    return float(np.nanmean(after) - np.nanmean(before)) if len(before) and len(after) else 0.0


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


def _untrained_loss(series: RunSeries) -> float | None:
    """The loss of the network before its first step. ``None`` when it was not measured, or when the run started from a
    trained model: dropout may put training losses far above the validation loss of such a network."""
    first, guessing = next(iter(series.validations), None), series.guessing_loss
    if first is None or first.step or guessing is None or series.comparable_from:
        return None
    return first.val_loss if first.val_loss > (1 - STUCK_NEAR) * guessing else None


def _train_losses(series: RunSeries) -> tuple[float, float] | None:
    train = series.points("train").y
    train = train[np.isfinite(train)]
    if len(train) > 1:
        return float(train[0]), float(train[-1])
    untrained = _untrained_loss(series)
    return None if untrained is None or not len(train) else (untrained, float(train[0]))


def _loss(nats: float | None, bits: bool) -> str:
    """A loss in nats, or in ``bits``, without its unit."""
    assert nats is not None
    return f"{nats / math.log(2) if bits else nats:.2f}"


def _change(before: float, after: float) -> float:
    """Relative change of a loss. A text of one character can be predicted with a loss of 0."""
    return after / before - 1 if before else math.inf if after else 0.0


def _percent(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else f"{part:.1%}"


def _span(seconds: float) -> str:
    """``0.3 s``, ``10 s``, and from a minute on as :func:`duration`."""
    return duration(seconds) if seconds >= 60 else f"{seconds:.{0 if seconds >= 1 else 1}f} s"

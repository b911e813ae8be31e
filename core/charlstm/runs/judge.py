"""Judge how a run is doing.

:func:`judge` takes the logged series, and the run's status for what a log does not show. It reads no files. The kinds
of verdict, with their words, are those of :mod:`charlstm.training.verdict`.
"""

from __future__ import annotations

import math

import numpy as np

from charlstm.runs.contention import slowdown_words
from charlstm.runs.series import RunSeries
from charlstm.runs.status import NO_WORKER, RunStatus
from charlstm.training.events import Validated
from charlstm.training.verdict import (
    Beaten,
    Best,
    Climbing,
    Crashed,
    Diverged,
    Diverging,
    Ended,
    Failed,
    Finished,
    FirstSteps,
    Flattening,
    FromModel,
    Learning,
    Losses,
    NotFalling,
    Overfitting,
    Paused,
    Recovering,
    Starting,
    Stopped,
    Stuck,
    Validating,
    Verdict,
    Waiting,
    Worsening,
)

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


def judge(series: RunSeries, status: RunStatus | None = None, *, order0: float | None = None) -> Verdict:
    """Judge the run.

    ``status`` adds what the log does not show: crashed, waiting for the disk, starting. ``order0`` is the entropy of
    the letter frequencies on the held-out part in nats per character; without it :class:`Stuck` is not found.

    A loss that rises is never called learning. A loss that is not a number, is above that of guessing all characters
    alike, or has risen by :data:`RISE` is :class:`Diverging`, three logged losses (about a second) after it began.
    """
    state = status.state if status is not None else None
    message = status.message if status is not None else ""
    # While there is a worker, how the run ended before is no longer true.
    if state in (None, *NO_WORKER) and (ended := _ended(series, status, order0)):
        return ended
    if state == "waiting":
        return Waiting(message)
    if state == "paused" or (state is None and series.paused is not None):
        return Paused(series.step, series.next_rate)
    if state == "starting" or series.started is None or not series.step:
        validates = state == "running" and series.started is not None
        return Starting("the model is validated before its first step" if validates and not message else message)
    if status is not None and status.validated is not None:
        return Validating()
    return _live(series, order0)


def overfitting_since(series: RunSeries) -> Validated | None:
    """The best validation, if the run overfits since: at least two validations came after it, all are above it, the
    last by ``OVERFIT_RISE``, and the training loss kept falling. ``None`` otherwise. In a run that was extended, those
    count that came after the rate had climbed again. A run that reads the text for the first time does not overfit:
    what it is trained on it has never seen."""
    if not _reads_again(series):
        return None
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


def _ended(series: RunSeries, status: RunStatus | None, order0: float | None) -> Ended | None:
    """The verdict on a run without a worker; ``None`` if the log and ``status`` do not show that it has ended."""
    state, message = (None, "") if status is None else (status.state, status.message)
    finished, failed, since = series.finished, series.failed, overfitting_since(series)
    best, busy = _best(series, status), ""
    if finished is not None:
        busy = slowdown_words(finished.slowdown, "was")
    overfitted = None if since is None else since.step
    from_model = _from_model(series)
    if finished is not None and finished.reason == "diverged":
        message = message or Diverged.message_after(finished.step)
        return Diverged(best=best, message=message, busy=busy, overfitted_since=overfitted, step=finished.step)
    if state == "failed" or (state is None and failed is not None):
        message = message or (failed.message if failed is not None else "it ended with an error")
        return Failed(best=best, message=message, busy=busy, overfitted_since=overfitted)
    if state == "crashed":
        return Crashed(best=best, message=message, busy=busy, overfitted_since=overfitted)
    if state == "stopped" or (state is None and finished is not None and finished.reason == "stopped"):
        return Stopped(
            best=best,
            message=message,
            busy=busy,
            overfitted_since=overfitted,
            from_model=from_model,
            step=series.step,
        )
    if finished is None and state is None:
        return None
    extended_at, best_step = series.extended_at, series.best_step
    return Finished(
        best=best,
        message=message,
        busy=busy,
        overfitted_since=overfitted,
        from_model=from_model,
        reason="done" if finished is None else finished.reason,
        seconds=series.work_seconds or (0.0 if status is None else status.work_seconds),
        useless=no_better_than(series, None if best is None else best.loss, order0),
        risen=_risen_from(series),
        rose_above_guessing=_rose_above_guessing(series),
        stalled=_has_stalled(series),
        extended_in_vain=extended_at is not None and best_step is not None and best_step <= extended_at,
    )


def _from_model(series: RunSeries) -> FromModel | None:
    """How far a run came whose network was better than guessing before its first step: it began with a trained model.
    Both losses are of the same slices; the whole held-out part may be harder to predict."""
    first, guessing, best = series.first_val, series.guessing_loss, series.best
    epochs = series.epochs(series.step)
    if first is None or guessing is None or best is None or epochs is None or not first <= (1 - STUCK_NEAR) * guessing:
        return None
    return FromModel(Losses(first, best.val_loss), epochs)


def _best(series: RunSeries, status: RunStatus | None) -> Best | None:
    """The best model by the log, else by the status: a copy of a run may lack its events."""
    if series.best_val is not None:
        return Best(series.best_val, series.best_whole, series.best_step)
    if status is None or status.best_val is None:
        return None
    return Best(status.best_val, status.best_whole, series.best_step)


def no_better_than(series: RunSeries, loss: float | None, order0: float | None) -> Beaten | None:
    """What a model with this ``loss`` is no better than: guessing, or the letter frequencies; else ``None``.

    ``order0`` is the entropy of the letter frequencies, if it is known.
    """
    if loss is None or not math.isfinite(loss):
        return None
    if (guessing := series.guessing_loss) is not None and loss > guessing * (1 - STUCK_NEAR):
        return Beaten("guessing all characters alike", guessing)
    if order0 is not None and loss > order0 * (1 - STUCK_NEAR):
        return Beaten("the letter frequencies alone", order0)
    return None


def _rose_above_guessing(series: RunSeries) -> bool:
    """Whether the training loss of a run that began near guessing, or below it, was once worse than guessing. In the
    first steps that means nothing: a run that a busy machine gave no more had a rate that is right for a longer one."""
    train = series.points("train")
    losses = train.y[(train.x > series.comparable_from) & np.isfinite(train.y)]
    if (guessing := series.guessing_loss) is None or len(losses) < 3 or series.step < STUCK_AFTER:
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
        return Starting()
    if not math.isfinite(loss):
        return Diverging()
    guessing = _guessing_that_is_better(series)
    if series.step < series.climbs_until:
        return Climbing(series.climbs_until) if guessing is None else Diverging(Losses(loss, loss), guessing)
    if (risen := _risen_from(series)) is not None:
        return Diverging(risen, guessing)
    lowest = min((each.val_loss for each in series.validations if math.isfinite(each.val_loss)), default=math.inf)
    if order0 is not None and series.step >= STUCK_AFTER and _is_stuck(series, lowest, order0):
        return Stuck(order0)
    if (since := overfitting_since(series)) is not None:
        rise = _change(since.val_loss, series.validations[-1].val_loss)
        return Overfitting(since.step, rise, (series.best or since).val_loss)
    points = [each for each in _partial_validations(series) if each.step >= series.comparable_from]
    if len(points) < 2:
        train = _train_losses(series)
        falls = train is None or train.after < train.before or train.after == 0
        return FirstSteps(train, guessing) if train is None or falls else NotFalling(train)
    since = points[max(0, len(points) - max(2, len(points) // 3 + 1))]
    change, seconds = _change(since.val_loss, points[-1].val_loss), points[-1].train_seconds - since.train_seconds
    validation = Losses(min(each.val_loss for each in points), points[-1].val_loss)
    lost = validation.after > validation.before * (1 + ABOVE_BEST)
    if 0 < change <= WORSE_RISE and series.step < STUCK_AFTER and _from_model(series) is not None:
        return FirstSteps(None)  # a trained model gets a little worse at first
    if change > WORSE_RISE:
        train_falls = _reads_again(series) and _train_change(series, since.step) < 0
        return Worsening(change, seconds, validation, train_falls)
    if change > 0 or (len(points) >= 6 and -change < FLAT_FALL):
        return Flattening(change, seconds, validation if lost else None)
    return Recovering(change, seconds, validation) if lost else Learning(change, seconds)


def _guessing_that_is_better(series: RunSeries) -> float | None:
    """The loss of guessing all characters alike, if the last two training losses are above it."""
    guessing, last = series.guessing_loss, series.points("train").y[-2:]
    if guessing is None or len(last) < 2 or not (last > guessing * ABOVE_GUESSING).all():
        return None
    return guessing


def _risen_from(series: RunSeries) -> Losses | None:
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
    return Losses(lowest, now) if now > lowest * (1 + RISE) and now - lowest > 0.05 else None


def _train_change(series: RunSeries, step: int) -> float:
    """How much the training loss rose after ``step``; 0 where that is not known."""
    train = series.points("train")
    before, after = train.y[train.x <= step][-5:], train.y[train.x > step][-5:]
    return float(np.nanmean(after) - np.nanmean(before)) if len(before) and len(after) else 0.0


def _reads_again(series: RunSeries) -> bool:
    """Whether the run has read its text once."""
    return series.last_step is not None and series.last_step.epoch >= 1


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
    first, guessing = series.first_val, series.guessing_loss
    if first is None or guessing is None or series.comparable_from:
        return None
    return first if first > (1 - STUCK_NEAR) * guessing else None


def _train_losses(series: RunSeries) -> Losses | None:
    train = series.points("train").y
    train = train[np.isfinite(train)]
    if len(train) > 1:
        return Losses(float(train[0]), float(train[-1]))
    untrained = _untrained_loss(series)
    return None if untrained is None or not len(train) else Losses(untrained, float(train[0]))


def _change(before: float, after: float) -> float:
    """Relative change of a loss. A text of one character can be predicted with a loss of 0."""
    return after / before - 1 if before else math.inf if after else 0.0

"""How a run is doing, in words, and what to press: the line under the chart, headless.

A function of the series (and of the state, where the log alone cannot know it), so that screens, the command line and
tests read the same sentence. It judges what was logged; it never looks at files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from charlstm.runs.series import RunSeries
from charlstm.runs.status import ESTIMATE, RunStatus
from charlstm.training.events import Validated

Going = Literal["starting", "learning", "flattening", "overfitting", "stuck", "paused", "waiting"]
Ended = Literal["stopped", "finished", "diverged", "failed", "crashed"]

OVERFIT_RISE = 0.01
"""Validation this much above its best, by part, with at least two validations in a row above it, is overfitting."""

FLAT_FALL = 0.005
"""Validation that fell less than this, by part, over the last third of its line is flattening."""

STUCK_NEAR = 0.03
"""Within this part of the letter frequencies' entropy after ``STUCK_AFTER`` steps, a model knows nothing else."""
STUCK_AFTER = 100

_OVER = ("stopped", "finished", "failed", "crashed")
"""States in which no worker is on a run: while one is, how the run ended before is no longer true."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One or two sentences, without and with the keys of ``SCREENS.md``: ``text`` for anyone, ``press`` for the app.

    ``kind`` is the verdict in one word, for tests and marks.
    """

    kind: Going | Ended
    text: str
    press: str = ""

    def __str__(self) -> str:
        return self.text


def verdict(series: RunSeries, status: RunStatus | None = None, *, order0: float | None = None) -> Verdict:
    """Judge the run. ``status`` adds what its log cannot know (crashed, waiting for disk, starting); ``order0`` is the
    entropy of letter frequencies on the held-out part in nats per character, without which being stuck is not seen."""
    state = status.state if status is not None else None
    message = status.message if status is not None else ""
    if state in (None, *_OVER) and (ended := _ended(series, state, message)):
        return ended
    if state == "waiting":
        return Verdict("waiting", _sentence(message or "Waiting for the disk"), "x stop")
    if state == "paused" or (state is None and series.paused is not None):
        return Verdict("paused", f"Paused at step {series.step:,}.", "Space go on, x stop")
    if state == "starting" or series.started is None or not series.step:
        return Verdict("starting", _sentence(f"Starting: {message}" if message else "Starting"), "x stop")
    return _learning(series, order0)


def overfitting_since(series: RunSeries) -> Validated | None:
    """The validation since which the held-out loss rises, or ``None``: the best one, when at least two came after it,
    all are above it, the last by ``OVERFIT_RISE``, and training went on to fall."""
    points = [each for each in series.validations if not each.whole and math.isfinite(each.val_loss)]
    if len(points) < 3:
        return None
    best = min(points, key=lambda each: each.val_loss)
    later = [each for each in points if each.step > best.step]
    if len(later) < 2 or later[-1].val_loss <= best.val_loss * (1 + OVERFIT_RISE):
        return None
    train = series.points("train")
    before, after = train.y[train.x <= best.step][-5:], train.y[train.x > best.step][-5:]
    if len(before) and len(after) and np.nanmean(after) > np.nanmean(before):
        return None  # both rise: the rate is too high, which is another trouble
    return best


def _ended(series: RunSeries, state: str | None, message: str) -> Verdict | None:
    best = _best(series)
    if series.finished is not None and series.finished.reason == "diverged":
        text = (
            f"Diverged at step {series.finished.step:,}: the loss is no longer a number. {best or 'No model was kept.'}"
        )
        return Verdict("diverged", text, "r resume with a lower rate")
    if state == "failed" or (state is None and series.failed is not None):
        said = message or (series.failed.message if series.failed is not None else "it ended by an error")
        return Verdict("failed", f"Failed: {_sentence(said)} {best}".rstrip(), "r resume")
    if state == "crashed":
        return Verdict("crashed", f"Crashed: {_sentence(message)} {best}".rstrip(), "r resume")
    if state == "stopped" or (state is None and series.finished is not None and series.finished.reason == "stopped"):
        return Verdict("stopped", f"Stopped at step {series.step:,}. {best}".rstrip(), "r resume, Enter play it")
    if series.finished is None:
        return None
    why = {"time": "its time was up", "patience": "validation did not get better any more"}.get(series.finished.reason)
    text = f"Finished after {_seconds(series.finished.train_seconds)}{f': {why}' if why else ''}. {best}".rstrip()
    since = overfitting_since(series)
    if since is not None:
        text += f" It overfitted after step {since.step:,}; more text or dropout would help."
    return Verdict("finished", text, "Enter play it, m more")


def _learning(series: RunSeries, order0: float | None) -> Verdict:
    loss = series.train_loss
    if loss is not None and not math.isfinite(loss):
        return Verdict("diverged", "Diverging: the training loss is no longer a number.", "x stop, then a lower rate")
    lowest = min((each.val_loss for each in series.validations if math.isfinite(each.val_loss)), default=math.inf)
    if order0 is not None and series.step >= STUCK_AFTER and _is_stuck(series, lowest, order0):
        text = (
            f"Stuck at letter frequencies ({order0:.2f} nats): it has learnt how often each character comes, no more."
        )
        return Verdict("stuck", text, "r another rate, x stop")
    if (best := overfitting_since(series)) is not None:
        rise = _change(best.val_loss, series.validations[-1].val_loss)
        text = (
            f"Overfitting since step {best.step:,}: validation rose {rise:.0%} while training fell. "
            f"The best model ({ESTIMATE}{best.val_loss:.2f} nats) is kept."
        )
        return Verdict("overfitting", text, "x stop")
    points = [each for each in series.validations if not each.whole and math.isfinite(each.val_loss)]
    if len(points) < 2:
        return Verdict("learning", f"Learning: {_trend(series)}.", "Space pause, x stop")
    since = points[max(0, len(points) - max(2, len(points) // 3 + 1))]
    fall = -_change(since.val_loss, points[-1].val_loss)
    span = _seconds(points[-1].train_seconds - since.train_seconds)
    if len(points) >= 6 and fall < FLAT_FALL:
        way = f"fell only {max(0.0, fall):.1%}" if fall > -FLAT_FALL else f"rose {-fall:.1%}"
        text = f"Flattening: validation {way} in the last {span}. No overfitting."
        return Verdict("flattening", text, "r lower rate, x stop")
    moved = f"fell {_percent(fall)}" if fall >= 0 else f"rose {_percent(-fall)}"
    return Verdict(
        "learning",
        f"Still learning: validation {moved} in the last {span}. No overfitting.",
        "Space pause, x stop",
    )


def _is_stuck(series: RunSeries, lowest: float, order0: float) -> bool:
    """Near the letter frequencies, and not on the way below them."""
    train = series.points("train").y
    recent = train[-max(3, len(train) // 4) :]
    recent = recent[np.isfinite(recent)]
    near = order0 * (1 - STUCK_NEAR)
    return bool(len(recent) >= 3 and recent.min() > near and lowest > near)


def _trend(series: RunSeries) -> str:
    train = series.points("train").y
    train = train[np.isfinite(train)]
    return (
        f"training loss {train[0]:.2f} → {train[-1]:.2f} nats" if len(train) > 1 else "the first steps are being taken"
    )


def _best(series: RunSeries) -> str:
    if series.best_val is None or not math.isfinite(series.best_val):
        return ""
    bits = series.best_val / math.log(2)
    where = f" at step {series.best_step:,}" if series.best_step is not None else ""
    mark = "" if series.best_whole else ESTIMATE
    return f"Best {mark}{series.best_val:.2f} nats ({bits:.2f} bits){where}, kept."


def _sentence(text: str) -> str:
    text = text.strip() or "nobody knows why"
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…" else text + "."


def _change(before: float, after: float) -> float:
    """How much a loss rose, by part; a text of one character can be predicted without any."""
    return after / before - 1 if before else math.inf if after else 0.0


def _percent(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else f"{part:.1%}"


def _seconds(seconds: float) -> str:
    """``10 s``, ``2:05``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

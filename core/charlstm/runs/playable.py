"""Which model of a run to generate with: while the run trains, one that has learnt something.

What an untrained network writes is noise, and what it writes after the first steps is hardly better. The rule when a
model of a run that trains is worth generating with is :func:`playable_model`, and is nowhere else. A model's step is
read from its own file, which is replaced as a whole: what is known of a run besides may be older than the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charlstm.errors import CharLSTMError
from charlstm.runs.folder import Run, Snapshot
from charlstm.runs.status import RunStatus

if TYPE_CHECKING:
    from charlstm.runs.series import RunSeries

LEARNT = 0.45
"""A model has learnt something when its loss is at most this part of that of guessing all characters alike. With
``quick`` a novel comes there after 90 steps, some 8 s, and of its words 70 % then are real ones; of those with four
letters or more a third. At 0.55 of guessing 45 % are, at 0.7, the letter frequencies, none with four letters or more.
On the Python reference, which has many spaces, a model writes little else until 0.47; tunes begin at 0.45."""

PATIENCE = 0.2
"""The part of a run from which on a model may have learnt less: on some texts none comes below :data:`LEARNT` of
guessing, or only late, and on a busy machine a run may have few steps."""

LEARNT_AT_END = 0.75
"""What its loss may be then, rising from :data:`LEARNT` to this at the end of the run. At a third of ``quick`` this is
half of guessing, where four of five words of a model of Shakespeare are real ones. The loss of an untrained network, 1,
and of the first steps stay above it."""

CLEARLY_BETTER = 0.95
"""A model is clearly better than an earlier one of its run if its loss is at most this part of that one's. From the
first model that has learnt something to the end of ``quick`` there are about eight such."""


@dataclass(frozen=True, slots=True)
class PlayableModel:
    """A model of a run: its best one, or the ``snapshot`` after so many steps."""

    snapshot: int | None = None


def playable_model(run: Run, status: RunStatus, series: RunSeries) -> PlayableModel | None:
    """The model of ``run`` to generate with now; ``None`` while there is none, or when there never was one.

    While the run trains, it is one that has taken a step and that has learnt something: its loss is at most
    :func:`goal_loss`. For the best model that is its loss on the held-out part, for a snapshot, which may come minutes
    before the first validation, the training loss. Once all steps are done it is :func:`playable_at_end`.
    """
    if not status.alive or status.validated is not None:
        return playable_at_end(run)
    best, snapshot = _best_info(run) or {}, _last_snapshot(run)
    step, loss, goal = best.get("step"), best.get("val_loss"), goal_loss(status, series) or 0.0
    if isinstance(step, int) and step:
        if not isinstance(loss, float):  # without held-out text
            loss = _training_loss(series, step)
        if loss <= goal:
            return PlayableModel()
    if snapshot is not None and _training_loss(series, snapshot.step) <= goal:
        return PlayableModel(snapshot.step)
    return None


def playable_at_end(run: Run) -> PlayableModel | None:
    """The model of a ``run`` that has taken all of its steps: the best one, or the last snapshot if no step has
    improved the network that training began with; never that network itself, unless it was a trained model."""
    best, snapshot = _best_info(run), _last_snapshot(run)
    if best is not None and not is_untrained(best):
        return PlayableModel()
    return None if snapshot is None else PlayableModel(snapshot.step)


def is_untrained(info: Mapping[str, Any]) -> bool:
    """Whether the ``info`` of a model is that of a network from before the first step, and not of a trained model that
    a run began with. A model that does not say its step, such as an imported one, is trained."""
    return info.get("step") == 0 and not info.get("lineage")


def is_clearly_better(loss: float | None, than: float | None) -> bool:
    """Whether a model with this ``loss`` is clearly better than one with the loss ``than``: nats per character on the
    held-out part. One without a loss, a snapshot, is an early one."""
    return loss is not None and (than is None or loss <= CLEARLY_BETTER * than)


def goal_loss(status: RunStatus, series: RunSeries) -> float | None:
    """The loss, nats per character, at which a model of the run has learnt something; ``None`` while that is not
    known."""
    if series.guessing_loss is None:
        return None
    impatience = max(0.0, (status.progress or 0.0) - PATIENCE) / (1 - PATIENCE)
    return series.guessing_loss * (LEARNT + (LEARNT_AT_END - LEARNT) * impatience)


MOST_DECADES = 15
"""No run takes so many steps, as a power of ten."""


def expected_step(status: RunStatus, series: RunSeries) -> int | None:
    """About the step after which a model of the run will have learnt something, by how its training loss falls with the
    logarithm of the step so far; ``None`` while that is not known."""
    goal, train = goal_loss(status, series), series.points("train")
    if goal is None or len(train.x) < 2:
        return None
    (first, *_, last), (before, *_, now) = train.x.tolist(), train.y.tolist()
    if not (0 < first < last and math.isfinite(before) and now < before):
        return None
    decades = math.log10(last) + math.log10(last / first) * max(0.0, now - goal) / (before - now)
    step = 10.0**decades if decades < MOST_DECADES else math.inf  # a loss that hardly falls never comes there
    planned = status.planned_steps or math.inf
    step = min(step, planned)
    if not math.isfinite(step):
        return None
    rounded: int = 10 ** max(1, len(str(int(step))) - 2)
    return int(min(math.ceil(step / rounded) * rounded, planned))


def _best_info(run: Run) -> Mapping[str, Any] | None:
    """The ``info`` of the best model so far; empty when its file cannot be read: opening the model says so."""
    from charlstm.model.file import read_info  # numpy: this module is imported when the app starts

    if not run.model_path.is_file():
        return None
    try:
        return read_info(run.model_path)[1]
    except (CharLSTMError, OSError):
        return {}


def _last_snapshot(run: Run) -> Snapshot | None:
    """The last snapshot after the first step."""
    return next((each for each in reversed(run.snapshots()) if each.step), None)


def _training_loss(series: RunSeries, step: int) -> float:
    """The training loss that was logged last up to ``step``, infinite when it is not known."""
    train = series.points("train")
    logged = train.y[train.x <= step]
    loss = float(logged[-1]) if len(logged) else math.inf
    return loss if math.isfinite(loss) else math.inf

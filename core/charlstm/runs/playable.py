"""Which model of a run to generate with: while the run trains, one that has learnt something.

What an untrained network writes is noise, and what it writes after the first steps is hardly better. The rule when a
model of a run that trains is worth generating with is :func:`playable_model`, and is nowhere else. A model's step is
read from its own file, which is replaced as a whole: what is known of a run besides may be older than the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charlstm.errors import CharLSTMError
from charlstm.runs.folder import RunFolder, Snapshot
from charlstm.runs.status import RunStatus

if TYPE_CHECKING:
    from charlstm.runs.series import RunSeries

LEARNT = 0.9
"""A model has learnt something when its loss is below this part of that of counting the text's pairs of letters
(``order 1``). With ``quick`` Shakespeare comes there after a sixth of a run, and of the words with four letters or more
that the model then writes a third are real ones; tunes come there after a tenth, Python's reference after a sixth,
names after a third. At 1.0 of it a model writes rows of the most frequent letters."""

CLEARLY_BETTER = 0.95
"""A model is clearly better than an earlier one of its run if its loss is at most this part of that one's. From the
first model that has learnt something to the end of ``quick`` there are about eight such."""


@dataclass(frozen=True, slots=True)
class PlayableModel:
    """A model of a run: its best one, or the ``snapshot`` after so many steps."""

    snapshot: int | None = None


def playable_model(
    run: RunFolder, status: RunStatus, series: RunSeries, pairs: Callable[[], float]
) -> PlayableModel | None:
    """The model of ``run`` to generate with now; ``None`` before the first such model.

    While the run trains, it is one that has taken a step and whose loss is below :data:`LEARNT` of ``pairs()``, which
    is :func:`pairs_loss` of the run. The loss of the best model is that on the held-out part; of a snapshot, which may
    come minutes before the first validation, it is the training loss. Once all steps are done it is
    :func:`playable_at_end`.
    """
    if not status.alive or status.validated is not None:
        return playable_at_end(run)
    best, snapshot = _best_info(run) or {}, _last_snapshot(run)
    losses: list[tuple[PlayableModel, float]] = []
    if best.get("step") and isinstance(loss := best.get("val_loss"), float):
        losses.append((PlayableModel(), loss))
    if snapshot is not None:
        losses.append((PlayableModel(snapshot.step), _training_loss(series, snapshot.step)))
    return next((model for model, loss in losses if loss < LEARNT * pairs()), None)


def pairs_loss(run: RunFolder) -> float:
    """The loss of counting the pairs of letters of a run's text, on its held-out part, in nats per character; 0 if the
    text is gone, is too short or has no such part."""
    from charlstm.runs.text import baseline_losses  # numpy

    return baseline_losses(run).get("order 1", 0.0)


def playable_at_end(run: RunFolder) -> PlayableModel | None:
    """The model of a ``run`` that has taken all of its steps: the best one, or the last snapshot if no step has
    improved the network that training began with; never that network itself, unless it was a trained model."""
    best, snapshot = _best_info(run), _last_snapshot(run)
    if best is not None and not is_untrained(best):
        return PlayableModel()
    return None if snapshot is None else PlayableModel(snapshot.step)


def is_untrained(info: Mapping[str, Any]) -> bool:
    """Whether the ``info`` of a model is that of a network from before the first step, and not of a trained model that
    a run began with. A model without a step, such as an imported model, counts as trained."""
    return info.get("step") == 0 and not info.get("lineage")


def is_clearly_better(loss: float | None, than: float | None) -> bool:
    """Whether a model with this ``loss`` is clearly better than one with the loss ``than``: nats per character on the
    held-out part. One without a loss, a snapshot, is an early one."""
    return loss is not None and (than is None or loss <= CLEARLY_BETTER * than)


def _best_info(run: RunFolder) -> Mapping[str, Any] | None:
    """The ``info`` of the best model so far; empty when its file cannot be read: opening the model says so."""
    from charlstm.model.file import read_info  # numpy: this module is imported when the app starts

    if not run.model_path.is_file():
        return None
    try:
        return read_info(run.model_path)[1]
    except (CharLSTMError, OSError):
        return {}


def _last_snapshot(run: RunFolder) -> Snapshot | None:
    """The last snapshot after the first step."""
    return next((each for each in reversed(run.snapshots()) if each.step), None)


def _training_loss(series: RunSeries, step: int) -> float:
    """The training loss that was logged last up to ``step``, infinite when it is not known."""
    train = series.points("train")
    logged = train.y[train.x <= step]
    loss = float(logged[-1]) if len(logged) else math.inf
    return loss if math.isfinite(loss) else math.inf

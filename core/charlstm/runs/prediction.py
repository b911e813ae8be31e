"""Say while a run trains what its loss will be at its end.

The rule was fitted to runs of ``quick`` and tried on others: `docs/presets.md#what-a-run-will-come-to`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from charlstm.model.file import ModelConfig
from charlstm.runs.folder import RunSpec
from charlstm.runs.models import DEMO
from charlstm.runs.series import RunSeries
from charlstm.training.presets import preset

PRESET = "quick"
"""The preset whose runs the rule was fitted to."""

RECIPE = (
    *("hidden_size", "num_layers", "lr", "head_lr", "schedule", "warmup", "optimizer", "ema_decay"),
    *("batch_size", "seq_length", "calibrate"),
)
"""Settings on which it depends how the loss falls. The rule holds for those of the preset."""

KNEW_LITTLE = 0.87
"""Where the loss has fallen below this share of that before training, the model that the run started from knew such
text only a little (tinyshakespeare, of the texts that were tried), and the rule is wrong: nothing is said."""

WIDTH = 1.645
"""Standard deviations on either side of a prediction within which nine of ten runs end."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The logarithm of a run's last loss less that of its loss now, by the fraction of its steps that is ``done``: its
    mean, ``change``, to which ``doubling`` is added for each doubling of the passes over the text beyond one, and its
    standard deviation, ``spread``. The loss now is an estimate from slices of the held-out part and the last one is of
    all of it, so the spread is not 0 at the end. It holds for runs of at least ``least_steps``, as the shortest that it
    was fitted to."""

    least_steps: int
    done: tuple[float, ...]
    change: tuple[float, ...]
    doubling: tuple[float, ...]
    spread: tuple[float, ...]


FROM_NOTHING = Rule(
    800,
    (0.1, 0.125, 0.1875, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
    (-0.405, -0.349, -0.282, -0.235, -0.172, -0.128, -0.092, -0.054, -0.025, -0.001),
    (0.021, 0.021, 0.022, 0.020, 0.016, 0.015, 0.013, 0.006, 0.003, -0.002),
    (0.068, 0.057, 0.045, 0.037, 0.034, 0.028, 0.024, 0.020, 0.018, 0.016),
)
FROM_MODEL = Rule(
    50,
    (0.1, 0.125, 0.1875, 0.25, 0.375, 0.5, 1.0),
    (-0.038, -0.031, -0.024, -0.019, -0.012, -0.005, 0.004),
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.032, 0.032, 0.032, 0.031, 0.029, 0.028, 0.027),
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The loss on all of the held-out text that a run will probably have at its end, in nats per character. Nine of ten
    runs end between ``low`` and ``high``."""

    loss: float
    low: float
    high: float


def predict(series: RunSeries, spec: RunSpec) -> Prediction | None:
    """What the run will come to; ``None`` before a tenth of its steps and after the last, for settings that the rule
    was not fitted to, for a much shorter run, and for one that was extended or whose rate was changed."""
    started, planned, commands = series.started, series.planned_steps, {each.command for each in series.controls}
    if started is None or not planned or series.finished or series.failed:
        return None
    if series.comparable_from or {"set-lr", "finish", "more"} & commands:
        return None
    rule = _rule(spec)
    losses = [each for each in series.validations if not each.whole and math.isfinite(each.loss)]
    done = losses[-1].step / planned if losses else 0.0
    if rule is None or planned < rule.least_steps or not rule.done[0] <= done < 1:
        return None
    if rule is FROM_MODEL and losses[-1].loss < KNEW_LITTLE * losses[0].loss:
        return None
    change, doubling, spread = (
        float(np.interp(done, rule.done, each)) for each in (rule.change, rule.doubling, rule.spread)
    )
    change += doubling * math.log2(max(1.0, planned / max(1, started.steps_per_epoch)))
    loss, width = losses[-1].loss * math.exp(change), math.exp(WIDTH * spread)
    return Prediction(loss, loss / width, loss * width)


def _rule(spec: RunSpec) -> Rule | None:
    """The rule for a run with these settings, if there is one."""
    settings, rule, start = spec.settings, FROM_NOTHING, None
    if spec.lineage:
        if spec.lineage.get("run") != DEMO:
            return None
        rule, start = FROM_MODEL, ModelConfig(1, settings.hidden_size, settings.num_layers)  # that of the model
    usual = preset(PRESET, start_from=start)
    same = all(getattr(settings, name) == getattr(usual, name) for name in RECIPE)
    return rule if spec.preset == PRESET and same else None

"""Compare runs: results, differences, and curves side by side."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy import typing as npt

from charlstm.runs.folder import RunFolder, RunSpec, text_names
from charlstm.runs.series import Curve, RunSeries
from charlstm.runs.status import RunStatus
from charlstm.svg import ChartCurve, line_chart
from charlstm.text.reading import TextOptions
from charlstm.training.events import Controlled, Paused, Resumed
from charlstm.training.settings import WITHOUT_EFFECT_ON_LOSS, setting_names, write_setting

Axis = Literal["step", "epochs", "characters", "seconds"]

AXES: dict[Axis, str] = {
    "step": "training steps",
    "epochs": "epochs",
    "characters": "characters read",
    "seconds": "seconds of training",
}

SMOOTHING = 0.9
"""Weight of the past in the training curve of a comparison's chart."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparedRun:
    """A run in a comparison: settings, status and curves."""

    run: RunFolder
    spec: RunSpec
    status: RunStatus
    series: RunSeries


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that may not be the same in all runs: a setting, an option of the text, or what it started from.

    ``values`` are in the order of the runs.
    """

    name: str
    values: tuple[object, ...]

    @property
    def differs(self) -> bool:
        """Whether it is not the same in all runs."""
        return len({repr(value) for value in self.values}) > 1


def read_run(run: RunFolder) -> ComparedRun:
    """Read what is compared of a run. Raises :class:`RunError` when it cannot be read."""
    return ComparedRun(run, run.spec(), run.status(), RunSeries.of(run.events()))


def differences(runs: Sequence[ComparedRun]) -> list[Difference]:
    """What differs between the runs: text, preset, first weights, kernel and settings. What all share is left out."""
    return [each for each in compared_facts(runs) if each.differs]


def compared_facts(runs: Sequence[ComparedRun]) -> list[Difference]:
    """Everything that :func:`differences` looks at, also what is the same in all runs."""
    facts: list[dict[str, object]] = []
    texts = text_names([each.spec for each in runs])
    fingerprints = [each.spec.corpus.get("fingerprint") for each in runs]
    # where names do not tell the texts apart; it is not known before the text was read
    tells = len({*texts}) == 1 and None not in fingerprints and len({*fingerprints}) > 1
    validated = len({each.spec.validation_name for each in runs}) > 1
    for each, text, fingerprint in zip(runs, texts, fingerprints, strict=True):
        options = each.spec.corpus.get("options")
        started = each.series.started
        facts.append(
            {
                "text": text,
                **({"fingerprint of the text": fingerprint} if tells else {}),
                **({"validated on": each.spec.validation_name} if validated else {}),
                "preset": each.spec.preset,
                "started from": each.spec.started_from or None,
                "kernel": None if started is None else started.kernel,
                "changed on the way": _changes(each.series),
                **{f"text.{name}": value for name, value in TextOptions().to_dict().items()},
                **{f"text.{name}": value for name, value in (options if isinstance(options, dict) else {}).items()},
                **each.spec.settings.to_dict(),
            }
        )
    names = dict.fromkeys(name for fact in facts for name in fact)
    return [Difference(name, tuple(fact.get(name) for fact in facts)) for name in names]


def _changes(series: RunSeries) -> str:
    """What was changed while the run trained or when it was resumed, in the order of the steps."""
    found = []
    for event in _commands(series):
        if event.command in ("set-lr", "more", "finish"):
            given = {"set-lr": event.value, "more": event.minutes}.get(event.command)  # of others it is the steps left
            found.append((event.step, event.command if given is None else f"{event.command} {given:g}"))
    # a resume that crashed before its first checkpoint makes the same changes again
    found += dict.fromkeys((event.step, event.changes) for event in series.inexact if event.changes)
    return "; ".join(f"step {step:,}: {change}" for step, change in sorted(found))


def _commands(series: RunSeries) -> Iterable[Controlled]:
    """The commands that had an effect, each once: a resume repeats those of its own step."""
    return {(event.step, event.id): event for event in series.controls}.values()


@dataclass(frozen=True, slots=True)
class CurveMark:
    """Something that happened to a run, at ``x`` of its axis.

    ``rate``: the learning rate was changed by a command or at a resume. ``paused``: it was paused. ``resumed``: it
    continued in a new process, after it had been stopped or had crashed. ``loss`` is that of the validation curve
    there, in nats per character; not-a-number before its first point.
    """

    kind: Literal["rate", "paused", "resumed"]
    x: float
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class RunCurves:
    """What is drawn of a run, over one axis, in nats per character: the training losses as logged (``raw``) and
    smoothed (``train``), the validation losses, the best model's loss as (x, loss), at the end that of the final
    validation, and what happened on the way."""

    train: Curve
    raw: Curve
    validation: Curve
    best: tuple[float, float] | None
    marks: tuple[CurveMark, ...]


def run_curves(each: ComparedRun, axis: Axis, *, smoothing: float = SMOOTHING) -> RunCurves:
    """The curves of a run over ``axis``; ``smoothing`` is the weight of the past in the training curve."""
    series = each.series
    base: Literal["step", "seconds"] = "seconds" if axis == "seconds" else "step"
    unit = _per_step(each, axis)

    def scaled(curve: Curve) -> Curve:
        return Curve(curve.x * unit, curve.y)

    raw, validation = scaled(series.points("train", base)), scaled(series.points("validation", base))
    steps = series.points("train").x

    def mark(kind: Literal["rate", "paused", "resumed"], step: int) -> CurveMark:
        x = float(np.interp(step, steps, raw.x)) if len(steps) else 0.0
        known = np.isfinite(validation.y)
        there = float(np.interp(x, validation.x[known], validation.y[known])) if known.any() else float("nan")
        return CurveMark(kind, x, there)

    best = series.best_point(base)
    changed = [event.step for event in _commands(series) if event.command == "set-lr"]
    changed += dict.fromkeys(event.step for event in series.inexact if "lr" in event.changed)
    paused = sorted({event.step for event in series.interruptions if isinstance(event, Paused)})
    resumed = [event.step for event in series.interruptions if isinstance(event, Resumed) and event.step not in paused]
    marks = [mark("rate", step) for step in changed] + [mark("paused", step) for step in paused]
    marks += [mark("resumed", step) for step in resumed]
    return RunCurves(
        train=scaled(series.curve("train", base, smoothing=smoothing)),
        raw=raw,
        validation=validation,
        best=best and (best[0] * unit, best[1]),
        marks=tuple(marks),
    )


def loss_at(curve: Curve, x: float) -> float:
    """The loss of the last point of ``curve`` up to ``x``; not-a-number outside of the curve."""
    index = int(np.searchsorted(curve.x, x, side="right")) - 1
    return float(curve.y[index]) if index >= 0 and x <= curve.x[-1] else float("nan")


def _per_step(each: ComparedRun, axis: Axis) -> float:
    """How much of ``axis`` a training step is; 1 for the axes that the series has itself."""
    if axis == "characters":
        rows, length = each.spec.batch
        return float(rows * length)
    if axis == "epochs":
        return each.series.epochs(1) or 0.0
    return 1.0


def comparison_chart(runs: Sequence[ComparedRun], axis: Axis | str = "step", *, smoothing: float = SMOOTHING) -> str:
    """All runs on one chart, as SVG: validation bold, training faint; over a setting :func:`setting_chart`. Empty when
    there is no curve yet."""
    if axis not in AXES:
        losses = [math.inf if each.status.loss is None else each.status.loss for each in runs]
        settings = [each.spec.settings.to_dict() for each in runs]
        return setting_chart(axis, list(zip(settings, losses, strict=True)))
    drawn = []
    for each in runs:
        found = run_curves(each, axis, smoothing=smoothing)
        drawn.append(ChartCurve(each.run.name, found.validation.x, found.validation.y))
        drawn.append(ChartCurve(each.run.name, found.train.x, found.train.y, faint=True))
    return line_chart(drawn, AXES[axis], "loss, nats per character", width=960, height=480)


@dataclass(frozen=True, slots=True)
class SettingAxis:
    """The values that runs have of a setting, each once, as an axis: numbers are where they are, words at 0, 1, 2."""

    name: str
    values: tuple[Any, ...]

    @classmethod
    def of(cls, name: str, values: Iterable[Any]) -> Self:
        numbers = {value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)}
        return cls(name, (*sorted(numbers), *sorted({*values} - numbers, key=str)))

    @property
    def has_words(self) -> bool:
        return any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in self.values)

    @property
    def is_log(self) -> bool:
        """Whether the axis is better logarithmic: for numbers that span a factor of ten."""
        return not self.has_words and bool(0 < 10 * self.values[0] <= self.values[-1])

    def x_of(self, value: Any) -> float:
        """The coordinate of ``value``, before a logarithm."""
        return float(self.values.index(value) if self.has_words else value)

    def ticks(self) -> list[tuple[float, str]]:
        """Coordinates and labels of some of the values."""
        marks = self.values if self.has_words else self.values[:: -(-len(self.values) // 6)]
        return [(self.x_of(value), write_setting(self.name, value)) for value in marks]


def differing_settings(specs: Sequence[RunSpec]) -> list[str]:
    """The settings in which runs differ, without those that a sweep does not vary to find a better one."""
    found = [spec.settings.to_dict() for spec in specs]
    names = [name for name in setting_names() if name not in WITHOUT_EFFECT_ON_LOSS]
    return [name for name in names if len({repr(each[name]) for each in found}) > 1]


def lowest_losses(axis: SettingAxis, points: Sequence[tuple[Any, float]]) -> Curve:
    """The lowest loss of each value of a setting."""
    lowest: dict[Any, float] = {}
    for value, loss in points:
        lowest[value] = min(loss, lowest.get(value, math.inf))
    values = [value for value in axis.values if value in lowest]
    x = [axis.x_of(value) for value in values]
    return Curve(np.array(x, np.float64), np.array([lowest[value] for value in values], np.float64))


def setting_chart(name: str, runs: Sequence[tuple[Mapping[str, Any], float]]) -> str:
    """The losses of runs by the value that each has of the setting ``name``, as SVG, with a line through the lowest
    ones; empty where there are no two values with a loss. ``runs``: their settings and losses."""
    points = [(settings[name], loss) for settings, loss in runs if math.isfinite(loss)]
    axis = SettingAxis.of(name, [value for value, _ in points])
    if len(axis.values) < 2:
        return ""

    def across(x: Iterable[float]) -> npt.NDArray[np.float64]:
        found = np.array(list(x), np.float64)
        return np.log10(found) if axis.is_log else found

    line, losses = lowest_losses(axis, points), np.array([loss for _, loss in points])
    curves = [
        ChartCurve("lowest of each value", across(line.x), line.y),
        ChartCurve("a run", across(axis.x_of(value) for value, _ in points), losses, dots=True),
    ]
    x, labels = zip(*axis.ticks(), strict=True)
    ticks = list(zip(across(x).tolist(), labels, strict=True))
    return line_chart(curves, name, "best loss, nats per character", x_ticks=ticks, height=240)


def comparison_csv(runs: Sequence[ComparedRun]) -> str:
    """Every logged loss as a row: run, curve, step, epochs, characters, seconds, loss, read_share.

    The curve is ``train``, ``validation`` (estimates from slices of the held-out part), or ``final``: one row with the
    loss of the best model on all of the held-out part, at the step of that model. The share of that part that the
    model had read before stands beside the losses on it.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["run", "curve", *AXES, "loss", "read_share"])

    def write(
        each: ComparedRun, curve: str, step: float, epochs: float, characters: float, seconds: float, loss: float
    ) -> None:
        axes = [int(step), f"{epochs:g}", int(characters), f"{seconds:.3f}"]
        share = None if curve == "train" else each.status.read_share
        writer.writerow([_cell(each.run.name), curve, *axes, repr(loss), share])

    for each in runs:
        over = [run_curves(each, axis) for axis in AXES]
        train, validation = [found.raw for found in over], [found.validation for found in over]
        for name, curves in (("train", train), ("validation", validation)):
            for figures in zip(*(curve.x.tolist() for curve in curves), curves[0].y.tolist(), strict=True):
                write(each, name, *figures)
        if each.series.whole is not None:
            step, loss = each.series.whole
            steps, *others = (curve.x for curve in validation)
            epochs, characters, seconds = (float(np.interp(step, steps, x)) if len(steps) else 0.0 for x in others)
            write(each, "final", step, epochs, characters, seconds, loss)
    return content.getvalue()


def _cell(text: str) -> str:
    """``text`` for a cell of a table. A spreadsheet would compute what begins like a formula: an apostrophe before it
    says that it is text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

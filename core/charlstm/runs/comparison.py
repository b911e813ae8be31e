"""Compare runs: their results, what differs between them, and their curves side by side."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from charlstm.runs.folder import Run, RunSpec
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunStatus
from charlstm.svg import ChartCurve, line_chart

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
    """A run as it is compared: what was asked of it, how it is now, and its curves."""

    run: Run
    spec: RunSpec
    status: RunStatus
    series: RunSeries


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same in all runs: a setting, an option of the text, or what it started from.

    ``values`` has one for each run, in their order.
    """

    name: str
    values: tuple[object, ...]


def read_run(run: Run) -> ComparedRun:
    """Read what is compared of a run. Raises :class:`RunError` when it cannot be read."""
    return ComparedRun(run, run.spec(), run.status(), RunSeries.of(run.events()))


def differences(runs: Sequence[ComparedRun]) -> list[Difference]:
    """What differs between the runs: text, preset, first weights, kernel and settings. What all share is left out."""
    facts: list[dict[str, object]] = []
    for each in runs:
        lineage = each.spec.lineage or {}
        started = each.series.started
        facts.append(
            {
                "text": each.spec.corpus_name,
                "preset": each.spec.preset,
                "started from": lineage.get("run") or lineage.get("from"),
                "kernel": None if started is None else started.kernel,
                "changed on the way": _changes(each.series),
                **{f"text.{name}": value for name, value in dict(each.spec.corpus.get("options") or {}).items()},
                **each.spec.settings.to_dict(),
            }
        )
    names = dict.fromkeys(name for fact in facts for name in fact)
    found = [Difference(name, tuple(fact.get(name) for fact in facts)) for name in names]
    return [each for each in found if len({repr(value) for value in each.values}) > 1]


def _changes(series: RunSeries) -> str:
    """What was changed while the run trained or when it was resumed, in the order of the steps."""
    found = [
        (event.step, event.command if event.value is None else f"{event.command} {event.value:g}")
        for event in series.every_control
        if event.command in ("set-lr", "more", "finish")
    ]
    found += [(event.step, event.changes) for event in series.inexact if event.changes]
    return "; ".join(f"step {step:,}: {change}" for step, change in sorted(found))


def curves(each: ComparedRun, axis: Axis, *, smoothing: float = SMOOTHING) -> tuple[ChartCurve, ChartCurve]:
    """The validation curve of a run and its smoothed training curve, in nats per character, over ``axis``."""
    validation = each.series.points("validation", "seconds" if axis == "seconds" else "step")
    train = each.series.curve("train", "seconds" if axis == "seconds" else "step", smoothing=smoothing)
    settings = each.spec.settings
    chars = settings.batch_size * settings.seq_length
    per_step = {"step": 1.0, "seconds": 1.0, "characters": float(chars), "epochs": 0.0}[axis]
    if axis == "epochs":
        last = each.series.last_step
        per_step = last.epoch / last.step if last is not None and last.step else 0.0
    return (
        ChartCurve(each.run.name, validation.x * per_step, validation.y),
        ChartCurve(each.run.name, train.x * per_step, train.y, faint=True),
    )


def comparison_chart(runs: Sequence[ComparedRun], axis: Axis = "step") -> str:
    """All runs on one chart, as SVG: validation bold, training faint."""
    drawn = [curve for each in runs for curve in curves(each, axis)]
    return line_chart(drawn, AXES[axis], "loss, nats per character", width=960, height=480)


def write_csv(runs: Sequence[ComparedRun], file: TextIO) -> None:
    """Write every logged loss as a row: run, curve (train or validation), step, epoch, seconds, loss."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["run", "curve", "step", "epochs", "characters", "seconds", "loss"])
    for each in runs:
        for name, number in (("train", 1), ("validation", 0)):
            over = {axis: curves(each, axis, smoothing=0.0)[number] for axis in AXES}
            columns = [over[axis].x.tolist() for axis in AXES]
            for step, epochs, characters, seconds, loss in zip(*columns, over["step"].y.tolist(), strict=True):
                row = [each.run.name, name, int(step), f"{epochs:g}", int(characters), f"{seconds:.3f}", repr(loss)]
                writer.writerow(row)

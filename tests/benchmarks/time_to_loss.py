"""Measure the training time until a validation loss, in comparison with the reference script; prints one JSON object.

    python tests/benchmarks/time_to_loss.py GOAL --text FILE [--preset NAME] [--settings KEY=VALUE …]

Our side is a real run with its own worker. The last tenth of the text is held out, and every validation reads all of
it; the time of validations does not count. The first validation loss that is not above the goal counts, without
interpolation, and ends the run. The time of the reference script is computed from the number of its characters and its
best speed, which is timed in turns with ours before the run. The machine should be idle.
"""

import argparse
import contextlib
import json
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import default_text, parser_of
from train_speed import both, machine, rates, take_turns

from charlstm import CharLSTMError, Corpus, Run, Settings, open_corpus, preset, start_run
from charlstm.cli.training import settings_from_options
from charlstm.runs.control import send_command
from charlstm.runs.log import EventTail
from charlstm.runs.series import RunSeries
from charlstm.training.events import Validated

HELD_OUT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A ``loss`` in nats per character; the reference script has it after ``epochs`` with ``rows`` × 100 characters per
    step."""

    loss: float
    epochs: int | None = None
    rows: int = 64


GOALS = {
    "anna": Goal(loss=1.6464, epochs=3),
    "anna-best": Goal(loss=1.2917, epochs=20, rows=128),
    "shakespeare": Goal(loss=1.4697),
}
SEQ_LENGTH = 100
"""Characters per row of the reference script."""


def estimated_reference(corpus: Corpus, goal: Goal, settings: Settings, seconds: float) -> dict[str, Any] | None:
    """The time of the reference script at its best speed, timed in turns with our step of the same shape; ``None`` if
    the goal does not say how many epochs it needs."""
    if goal.epochs is None:
        return None
    shape = (settings.num_layers, settings.hidden_size, goal.rows, SEQ_LENGTH)
    work = goal.rows * SEQ_LENGTH
    with both(
        np.asarray(corpus.ids), tuple(corpus.vocabulary.symbols), shape, settings.kernel, settings.precision
    ) as steps:
        speeds = rates(take_turns(steps, seconds), work)
    chars = goal.epochs * (int(corpus.chars * (1 - HELD_OUT)) // work * work)
    return {
        "how": f"not trained: the characters of {goal.epochs} epochs at its best rate, timed in turns with ours",
        "chars": chars,
        "chars_per_second": speeds["reference"]["best"],
        "ours_of_its_shape": speeds["ours"]["best"],
        "train_seconds": chars / speeds["reference"]["best"],
    }


def first_at(series: RunSeries, loss: float) -> Validated | None:
    """The first validation with at most ``loss``."""
    return next((each for each in series.validations if each.loss <= loss), None)


def follow(run: Run, loss: float) -> RunSeries:
    """Follow ``run`` until it reaches ``loss`` or ends; its worker has ended on return, and after an exception."""
    tail, series = EventTail(run.events_path), RunSeries()
    try:
        while run.status().alive and first_at(series, loss) is None:
            time.sleep(0.5)
            series.feed(tail.read())
    finally:
        with contextlib.suppress(CharLSTMError):  # the run has ended already
            send_command(run, "stop")
        while run.status().alive:
            time.sleep(0.1)
    series.feed(tail.read())
    return series


def result_of(run: Run, series: RunSeries, loss: float) -> dict[str, Any]:
    """The result of our run, up to the validation that reached ``loss`` if there is one."""
    spec, counts = run.spec(), first_at(series, loss)
    if series.failed is not None or series.started is None or spec.plan is None:
        raise CharLSTMError(series.failed.message if series.failed else f"The run {run.name} did not start")
    last = counts or series.best
    step, seconds = (counts.step, counts.train_seconds) if counts else (series.step, series.train_seconds)
    chars = step * spec.plan["batch_size"] * spec.plan["seq_length"]
    return {
        "preset": spec.preset, "settings": spec.settings.to_dict(), "kernel": series.started.kernel,
        "reached": counts is not None, "val_loss": None if last is None else last.loss,
        "val_chars": None if last is None else last.chars, "step": step, "planned_steps": series.planned_steps,
        "epochs": step / series.started.steps_per_epoch, "chars": chars,
        "chars_per_second": chars / seconds if seconds else None, "train_seconds": seconds,
    }  # fmt: skip


def requested_settings(options: argparse.Namespace, corpus: Corpus) -> Settings:
    """The preset with the settings that the measurement requires, and with the requested changes."""
    settings = preset(options.preset, corpus.chars, len(corpus.vocabulary)).with_changes(
        val_fraction=HELD_OUT, split="tail", val_chars=corpus.chars, patience=None, threads=options.threads
    )
    settings = settings.with_changes(**options.changes)
    every = max(1, options.every // (settings.batch_size * settings.seq_length))
    return settings.with_changes(val_every=settings.val_every or every)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure both sides and compare with the goal; the run is in ``folder``."""
    goal, corpus = GOALS[options.goal], open_corpus(options.text)
    settings = requested_settings(options, corpus)
    reference = estimated_reference(corpus, goal, settings, options.seconds)
    run = start_run(corpus, settings, options.preset, name=folder.name, runs_dir=folder.parent, model_from="none")
    ours = result_of(run, follow(run, goal.loss), goal.loss)
    return {
        "text": corpus.name,
        "loss": goal.loss,
        "ours": ours,
        "reference": reference,
        "ratio": reference["train_seconds"] / ours["train_seconds"] if reference and ours["reached"] else None,
        "machine": machine(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("goal", choices=GOALS)
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY=VALUE", help="changes to the preset")
    parser.add_argument("--every", type=int, default=100_000, help="characters between validations")
    parser.add_argument("--seconds", type=float, default=30.0, help="for timing both scripts in turns")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worker is stopped too
    torch.set_num_threads(options.threads)
    try:
        options.changes = settings_from_options(tuple(options.settings), {})
        with tempfile.TemporaryDirectory() as temporary:
            print(json.dumps(measure(options, Path(temporary) / "ours")))
    except CharLSTMError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

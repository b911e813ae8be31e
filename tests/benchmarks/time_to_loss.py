"""Measure the training time until a validation loss, in comparison with the reference script; prints one JSON object.

    python tests/benchmarks/time_to_loss.py GOAL --text FILE [--preset NAME] [--settings KEY=VALUE …]
        [--max-minutes M] [--train-reference] [--keep FOLDER [--resume]] [--save FILE]

Our side is a real run with its own worker. The last tenth of the text is held out, and every validation reads all of
it; the time of validations does not count. The first validation loss that is not above the goal counts, without
interpolation, and ends the run. The time of the reference script is computed from the number of its characters and its
best speed, which is timed in turns with ours before the run; with ``--train-reference`` the script is really trained
until it reaches the loss. The machine should be idle. ``--keep`` keeps the run, ``--resume`` resumes one that was
stopped; ``charlstm watch FOLDER`` shows it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import signal
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import default_text, machine, rates, take_turns
from reference_script import train
from train_speed import both

from charlstm import CharLSTMError, Corpus, Run, Settings, find_run, open_corpus, preset, resume_run, start_run
from charlstm.cli.training import settings_from_options
from charlstm.runs.control import send_command
from charlstm.runs.log import EventTail, read_events
from charlstm.runs.series import RunSeries
from charlstm.training.events import Finished, Resumed, Started, Stepped, Validated, to_line

HELD_OUT = 0.1
SAVED = (Started, Stepped, Validated, Resumed, Finished)
MAX_SAVED = 50_000
"""Maximum size of a saved log in bytes; only every nth step is kept, so that it fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A ``loss`` in nats per character to reach within ``seconds``, or within the fraction ``part`` of the time that
    the reference script takes for ``epochs`` with ``rows`` × 100 characters per step, after which it has that loss."""

    loss: float
    seconds: float | None = None
    part: float | None = None
    epochs: int | None = None
    rows: int = 64


GOALS = {
    "anna": Goal(loss=1.6464, part=1 / 25, epochs=3),
    "anna-best": Goal(loss=1.2917, part=1 / 15, epochs=20, rows=128),
    "shakespeare": Goal(loss=1.4697, seconds=120.0),
}
SEQ_LENGTH = 100
"""Characters per row of the reference script."""

MAX_EPOCHS = 30
"""Epochs after which the training of the reference script ends without success."""


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


def trained_reference(corpus: Corpus, goal: Goal, settings: Settings) -> dict[str, Any]:
    """Train the reference script until it reaches the loss, for at most :data:`MAX_EPOCHS` epochs."""
    reports: list[dict[str, Any]] = []
    train(
        corpus.text(),
        n_hidden=settings.hidden_size,
        n_layers=settings.num_layers,
        epochs=MAX_EPOCHS,
        batch_size=goal.rows,
        seq_length=SEQ_LENGTH,
        val_frac=HELD_OUT,
        validations=4,
        until=goal.loss,
        report=reports.append,
    )
    return {"how": "trained", "reached": reports[-1]["val_loss"] <= goal.loss, **reports[-1]}


def first_at(series: RunSeries, loss: float) -> Validated | None:
    """The first validation with at most ``loss``."""
    return next((each for each in series.validations if each.val_loss <= loss), None)


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
        "preset": spec.preset,
        "settings": spec.settings.to_dict(),
        "kernel": series.started.kernel,
        "reached": counts is not None,
        "val_loss": None if last is None else last.val_loss,
        "val_chars": None if last is None else last.chars,
        "step": step,
        "planned_steps": series.planned_steps,
        "epochs": step / series.started.steps_per_epoch,
        "chars": chars,
        "chars_per_second": chars / seconds if seconds else None,
        "train_seconds": seconds,
        "resumed": [event.changes or event.inexact for event in series.inexact],
    }


def save(run: Run, path: Path) -> None:
    """Save the run's log without samples, and with as many of its steps as fit; ``runs.series`` can read it."""
    events = [event for event in read_events(run.events_path) if isinstance(event, SAVED)]
    lines = [to_line(event) + "\n" for event in events]
    steps = sum(len(line) for event, line in zip(events, lines, strict=True) if isinstance(event, Stepped))
    every = math.ceil(steps / max(1, MAX_SAVED - (sum(map(len, lines)) - steps)))
    number = itertools.count()
    kept = [
        line
        for event, line in zip(events, lines, strict=True)
        if not isinstance(event, Stepped) or next(number) % every == 0
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(kept), encoding="utf-8")


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
    goal = GOALS[options.goal] if options.loss is None else replace(GOALS[options.goal], loss=options.loss)
    corpus = open_corpus(options.text)
    settings = find_run(folder).spec().settings if options.resume else requested_settings(options, corpus)
    if options.train_reference:
        reference: dict[str, Any] | None = trained_reference(corpus, goal, settings)
    else:
        reference = estimated_reference(corpus, goal, settings, options.seconds)
    if not options.resume:
        run = start_run(corpus, settings, options.preset, name=folder.name, runs_dir=folder.parent, model_from="none")
    else:
        run = find_run(folder)
        if first_at(RunSeries.of(read_events(run.events_path)), goal.loss) is None:
            resume_run(run, changes=options.changes)
    ours = result_of(run, follow(run, goal.loss), goal.loss)
    if options.save is not None:
        save(run, options.save)
    allowed = goal.seconds
    if goal.part is not None and reference is not None:
        allowed = goal.part * reference["train_seconds"]
    return {
        "text": corpus.name,
        "loss": goal.loss,
        "ours": ours,
        "reference": reference,
        "ratio": reference["train_seconds"] / ours["train_seconds"] if reference and ours["reached"] else None,
        "allowed_seconds": allowed,
        "met": ours["reached"] and allowed is not None and ours["train_seconds"] <= allowed,
        "machine": machine(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("goal", choices=GOALS)
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--loss", type=float, help="another loss than the goal's")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY=VALUE", help="changes to the preset")
    parser.add_argument("--max-minutes", help="for our run, validations included")
    parser.add_argument("--every", type=int, default=100_000, help="characters between validations")
    parser.add_argument("--seconds", type=float, default=30.0, help="for timing both scripts in turns")
    parser.add_argument("--train-reference", action="store_true", help="train the reference script to the loss")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the run, in this folder")
    parser.add_argument("--resume", action="store_true", help="resume the run in --keep")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write a small event log of our run")
    options = parser.parse_args()
    if options.resume and options.keep is None:
        parser.error("--resume needs the folder of the run: name it with --keep")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worker is stopped too
    torch.set_num_threads(options.threads)
    try:
        options.changes = settings_from_options(tuple(options.settings), {"max_minutes": options.max_minutes})
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.keep.absolute() if options.keep else Path(temporary) / "ours"
            print(json.dumps(measure(options, folder)))
    except CharLSTMError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

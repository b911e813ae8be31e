"""Seconds of training until a validation loss, ours against the reference script's: prints one JSON object.

    python tests/benchmarks/time_to_loss.py GOAL --text FILE [--preset NAME] [--settings KEY=VALUE …]
        [--max-minutes M] [--train-reference] [--keep FOLDER [--resume]] [--save FILE]

Ours is a real run with a worker of its own, the last tenth of the text as it is held out and read whole by every
validation, which is not counted as training. The first validation that is no worse than the goal's loss counts, and
ends the run; nothing is interpolated. The reference's seconds are its characters at its best rate, both scripts being
timed in turns right before; with ``--train-reference`` it is really trained until it is there. Leave the machine alone
meanwhile. ``--keep`` keeps the run, ``--resume`` goes on with one that was stopped; ``charlstm watch FOLDER`` shows it.
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
from charlstm.cli.training import changes_of
from charlstm.runs.control import send_command
from charlstm.runs.log import EventTail, read_events
from charlstm.runs.series import RunSeries
from charlstm.training.events import Finished, Resumed, Started, Stepped, Validated, to_line

HELD_OUT = 0.1
SAVED = (Started, Stepped, Validated, Resumed, Finished)
MOST_SAVED = 50_000
"""Bytes of a saved log; its steps are thinned until they fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A ``loss`` in nats per character to be reached in ``seconds``, or in a ``part`` of the time that the reference
    takes for its ``epochs``, ``rows`` × 100 characters a step, after which it has that loss."""

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
"""The reference's."""
MOST_EPOCHS = 30
"""After these the reference is given up."""


def rated_reference(corpus: Corpus, goal: Goal, settings: Settings, seconds: float) -> dict[str, Any] | None:
    """The time that the reference takes at its best rate, timed in turns with our step of the same shape; ``None``
    when nobody knows how many characters it needs."""
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
    """The reference script, trained until it has the loss or is given up; it looks four times an epoch."""
    looks: list[dict[str, Any]] = []
    train(
        corpus.text(),
        n_hidden=settings.hidden_size,
        n_layers=settings.num_layers,
        epochs=MOST_EPOCHS,
        batch_size=goal.rows,
        seq_length=SEQ_LENGTH,
        val_frac=HELD_OUT,
        looks=4,
        until=goal.loss,
        report=looks.append,
    )
    return {"how": "trained", "reached": looks[-1]["val_loss"] <= goal.loss, **looks[-1]}


def first_at(series: RunSeries, loss: float) -> Validated | None:
    """The first validation that is no worse than ``loss``."""
    return next((each for each in series.validations if each.val_loss <= loss), None)


def follow(run: Run, loss: float) -> RunSeries:
    """What happens in ``run`` until ``loss`` is reached or it ends; its worker is gone then, whatever happens here."""
    tail, series = EventTail(run.events_path), RunSeries()
    try:
        while run.status().alive and first_at(series, loss) is None:
            time.sleep(0.5)
            series.feed(tail.read())
    finally:
        with contextlib.suppress(CharLSTMError):  # it has ended by itself
            send_command(run, "stop")
        while run.status().alive:
            time.sleep(0.1)
    series.feed(tail.read())
    return series


def described(run: Run, series: RunSeries, loss: float) -> dict[str, Any]:
    """What became of our run, up to the validation that counts if there is one."""
    spec, counts = run.spec(), first_at(series, loss)
    if series.failed is not None or series.started is None or spec.plan is None:
        raise CharLSTMError(series.failed.message if series.failed else f"The run {run.name} did not begin")
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
    """The run's log without its samples, and with as many of its steps as fit: still one that ``runs.series`` reads."""
    events = [event for event in read_events(run.events_path) if isinstance(event, SAVED)]
    lines = [to_line(event) + "\n" for event in events]
    steps = sum(len(line) for event, line in zip(events, lines, strict=True) if isinstance(event, Stepped))
    every = math.ceil(steps / max(1, MOST_SAVED - (sum(map(len, lines)) - steps)))
    turn = itertools.count()
    kept = [
        line
        for event, line in zip(events, lines, strict=True)
        if not isinstance(event, Stepped) or next(turn) % every == 0
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(kept), encoding="utf-8")


def asked_settings(options: argparse.Namespace, corpus: Corpus) -> Settings:
    """The preset, held to the rules of the measurement, with what was asked for."""
    settings = preset(options.preset, corpus.chars, len(corpus.vocabulary)).with_changes(
        val_fraction=HELD_OUT, split="tail", val_chars=corpus.chars, patience=None, threads=options.threads
    )
    settings = settings.with_changes(**options.changes)
    every = max(1, options.every // (settings.batch_size * settings.seq_length))
    return settings.with_changes(val_every=settings.val_every or every)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both, and whether the goal is met; the run is, or will be, in ``folder``."""
    goal = GOALS[options.goal] if options.loss is None else replace(GOALS[options.goal], loss=options.loss)
    corpus = open_corpus(options.text)
    settings = find_run(folder).spec().settings if options.resume else asked_settings(options, corpus)
    if options.train_reference:
        reference: dict[str, Any] | None = trained_reference(corpus, goal, settings)
    else:
        reference = rated_reference(corpus, goal, settings, options.seconds)
    if not options.resume:
        run = start_run(corpus, settings, options.preset, name=folder.name, runs_dir=folder.parent)
    else:
        run = find_run(folder)
        if first_at(RunSeries.of(read_events(run.events_path)), goal.loss) is None:
            resume_run(run, changes=options.changes)
    ours = described(run, follow(run, goal.loss), goal.loss)
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
    parser.add_argument("--loss", type=float, help="another loss than the goal's, for a trial")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY=VALUE", help="changes to the preset")
    parser.add_argument("--max-minutes", help="of ours, validations included")
    parser.add_argument("--every", type=int, default=100_000, help="characters between validations")
    parser.add_argument("--seconds", type=float, default=30.0, help="for timing the reference in turns")
    parser.add_argument("--train-reference", action="store_true", help="really train it until it is there")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the run, in this folder")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --keep")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write a small event log of ours")
    options = parser.parse_args()
    if options.resume and options.keep is None:
        parser.error("--resume goes on with a run that was kept: name its folder with --keep")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worker is stopped, too
    torch.set_num_threads(options.threads)
    try:
        options.changes = changes_of(tuple(options.settings), {"max_minutes": options.max_minutes})
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.keep.absolute() if options.keep else Path(temporary) / "ours"
            print(json.dumps(measure(options, folder)))
    except CharLSTMError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

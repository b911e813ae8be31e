"""Seconds of training until a validation loss, ours against the reference script's: prints one JSON object.

    python tests/benchmarks/time_to_loss.py GOAL --text FILE [--preset NAME] [--set KEY=VALUE …] [--max-minutes M]
        [--train-reference] [--keep FOLDER [--resume]] [--save results/NAME.jsonl]

Ours is a real run with a worker of its own, the last tenth of the text as it is held out and read whole by every
validation, which is not counted as training. The first validation that is no worse than the goal's loss counts, and
ends the run; nothing is interpolated. The reference's seconds are its characters at its best rate, both scripts being
timed in turns right before; with ``--train-reference`` it is really trained until it is there. Leave the machine alone
meanwhile. ``--keep`` keeps the run, ``--resume`` goes on with one that was stopped; ``charlstm watch FOLDER`` shows it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _common import default_text, machine, rates, take_turns
from reference_script import train
from train_speed import our_step, reference_step

from charlstm import CharLSTMError, Corpus, Run, Settings, find_run, open_corpus, preset, resume_run, start_run
from charlstm.cli.training import changes_of
from charlstm.runs.control import send
from charlstm.runs.log import EventTail, read_events
from charlstm.runs.series import RunSeries
from charlstm.training.events import Finished, Resumed, Started, Stepped, Validated, to_line

HELD_OUT = 0.1
MOST_SAVED = 50_000
"""Bytes of a saved log; its steps are thinned until they fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A ``loss`` in nats to be reached in ``seconds``, or in a ``part`` of the time that the reference takes for
    ``epochs`` of ``rows`` × 100 characters a step, after which it has that loss."""

    loss: float
    seconds: float | None = None
    part: float | None = None
    epochs: int = 3
    rows: int = 64


GOALS = {
    "anna": Goal(loss=1.6464, part=1 / 25),
    "anna-best": Goal(loss=1.2917, part=1 / 15, epochs=20, rows=128),
    "shakespeare": Goal(loss=1.4697, seconds=120.0),
}
SEQ_LENGTH = 100
"""The reference's."""


def rated_reference(corpus: Corpus, goal: Goal, settings: Settings, seconds: float) -> dict[str, Any]:
    """The time that the reference takes at its best rate, measured in turns with our step of its own shape."""
    shape = (settings.num_layers, settings.hidden_size, goal.rows, SEQ_LENGTH)
    ids, symbols = corpus.ids, tuple(corpus.vocabulary.symbols)
    steps = {"reference": reference_step(ids, symbols, shape), "ours": our_step(ids, symbols, shape, settings.kernel)[0]}
    work = goal.rows * SEQ_LENGTH
    speeds = rates(take_turns(steps, seconds), work)
    chars = goal.epochs * (int(corpus.chars * (1 - HELD_OUT)) // work * work)
    return {
        "how": f"not trained: {goal.epochs} epochs of characters at its best rate, timed in turns with ours",
        "chars_per_second": speeds["reference"]["best"],
        "ours_of_its_shape": speeds["ours"]["best"],
        "chars": chars,
        "train_seconds": chars / speeds["reference"]["best"],
    }


def trained_reference(corpus: Corpus, goal: Goal, settings: Settings) -> dict[str, Any]:
    """The reference script, trained until it has the loss or its epochs are over: validated four times an epoch."""
    records: list[dict[str, Any]] = []
    train(
        corpus.text(),
        n_hidden=settings.hidden_size,
        n_layers=settings.num_layers,
        epochs=2 * goal.epochs,
        batch_size=goal.rows,
        seq_length=SEQ_LENGTH,
        val_frac=HELD_OUT,
        looks=4,
        until=goal.loss,
        report=records.append,
    )
    last = records[-1]
    return {"how": "trained", **last, "reached": last["val_loss"] <= goal.loss}


def first_at(series: RunSeries, loss: float) -> Validated | None:
    """The first validation that is no worse than ``loss``."""
    return next((each for each in series.validations if each.val_loss <= loss), None)


def follow(run: Run, loss: float) -> RunSeries:
    """What happens in ``run`` until ``loss`` is reached or it ends; its worker is gone then, whatever happens here."""
    tail, series = EventTail(run), RunSeries()
    try:
        while run.status().alive and first_at(series, loss) is None:
            time.sleep(0.5)
            series.feed(tail.read())
    finally:
        with contextlib.suppress(CharLSTMError):  # it has ended by itself
            send(run, "stop")
        while run.status().alive:
            time.sleep(0.1)
    series.feed(tail.read())
    return series


def reported(run: Run, series: RunSeries, loss: float) -> dict[str, Any]:
    """What became of our run."""
    if series.failed is not None or series.started is None:
        raise CharLSTMError(series.failed.message if series.failed else run.status().message)
    spec, there = run.spec(), first_at(series, loss)
    assert spec.plan is not None
    last = there or series.best
    step, seconds = (there.step, there.train_seconds) if there else (series.step, series.train_seconds)
    chars = step * spec.plan["batch_size"] * spec.plan["seq_length"]
    return {
        "preset": spec.preset,
        "settings": spec.settings.to_dict(),
        "kernel": series.started.kernel,
        "reached": there is not None,
        "val_loss": last and last.val_loss,
        "val_chars": last and last.chars,
        "step": step,
        "planned_steps": series.planned_steps,
        "chars": chars,
        "epochs": step / series.started.steps_per_epoch,
        "chars_per_second": chars / seconds if seconds else None,
        "train_seconds": seconds,
        "resumed": [event.inexact or event.changes for event in series.inexact],
    }


def save(run: Run, path: Path) -> None:
    """The run's log without its samples, and with as many of its steps as fit."""
    events = list(read_events(run.events_path))
    steps = [to_line(event) for event in events if isinstance(event, Stepped)]
    others = sum(len(to_line(event)) + 1 for event in events if isinstance(event, (Started, Validated, Resumed, Finished)))
    every = math.ceil(sum(len(line) + 1 for line in steps) / max(1, MOST_SAVED - others)) or 1
    kept = set(steps[::every])
    lines = []
    for event in events:
        line = to_line(event)
        if isinstance(event, (Started, Validated, Resumed, Finished)) or line in kept:
            lines.append(line + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("goal", choices=GOALS)
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--loss", type=float, help="another loss than the goal's, for a trial")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--max-minutes", help="of ours, validations included")
    parser.add_argument("--every", type=int, default=100_000, help="characters between validations")
    parser.add_argument("--seconds", type=float, default=30.0, help="for timing the reference in turns")
    parser.add_argument("--train-reference", action="store_true", help="really train it until it is there")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="the run's folder, to be kept")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --keep")
    parser.add_argument("--save", type=Path, help="a small event log of ours")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worker is stopped, too
    goal = GOALS[options.goal]
    loss = options.loss or goal.loss
    torch.set_num_threads(options.threads)
    with contextlib.ExitStack() as stack:
        try:
            corpus = open_corpus(options.text)
            changes = changes_of(tuple(options.changes), {"max_minutes": options.max_minutes})
            if options.resume:
                run = find_run(options.keep)
                if first_at(RunSeries.of(read_events(run.events_path)), loss) is None:
                    resume_run(run, changes=changes)
            else:
                settings = preset(options.preset, corpus.chars, len(corpus.vocabulary)).with_changes(**changes)

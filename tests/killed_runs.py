"""A small run that is killed and continued, and how it differs from the same run that was left alone."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from charlstm.model.file import load_model
from charlstm.runs.folder import RunFolder
from charlstm.runs.log import read_events
from charlstm.runs.store import load_state
from charlstm.training.events import Event, Sampled, Stepped, Validated
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings

BOTTLES = "".join(f"{n} green bottles hanging on the wall, and if one falls\n" for n in range(100))
SETTINGS = Settings(
    hidden_size=16, num_layers=1, batch_size=4, seq_length=16, max_steps=1000, threads=1, kernel="nn", device="cpu",
    dropout=0.2, checkpoint_steps=20, checkpoint_minutes=None, val_every=100, ema_decay=0.9, state_reset=0.1,
    calibrate=True, niceness=0,
)  # fmt: skip
"""All that an exact resume has to restore; a run that does not wait for other programs."""
PLAN = Plan(
    device="cpu", kernel="nn", threads=1, batch_size=4, seq_length=16, steps_per_epoch=1, planned_steps=1000,
    warmup_steps=20, log_every=10, val_every=100, val_chars=400, snapshot_steps=(0, 100), seconds_per_step=0.001,
)  # fmt: skip
"""Fixed, so that no measurement makes two runs differ."""


def story(events: Iterable[Event]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What two logs of one run have in common: the replayed events without what a clock says."""
    told: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for event in events:
        if event.name == "resumed":
            told = {key: value for key, value in told.items() if key[1] <= event.step}
        match event:
            case Stepped():
                told["step", event.step] = (event.train_loss, event.lr, event.grad_norm, event.epoch)
            case Validated():
                told["validation", event.step, event.whole] = (event.loss, event.best, event.chars)
            case Sampled():
                told["sample", event.step] = (event.prime, event.text)
    return told


def differences(run: RunFolder, untouched: RunFolder) -> list[str]:
    """How ``run`` differs from the uninterrupted run: in its log, model, exact state or snapshots."""
    found = []
    if story(read_events(run.events_path)) != story(read_events(untouched.events_path)):
        found.append("log")
    ours, theirs = load_model(run.model_path).weights, load_model(untouched.model_path).weights
    found += [name for name, array in theirs.items() if not np.array_equal(ours[name], array)]
    one, other = load_state(run)[0], load_state(untouched)[0]
    found += [name for name, array in other.tensors.items() if not np.array_equal(one.tensors[name], array)]
    if [snapshot.step for snapshot in run.snapshots()] != [snapshot.step for snapshot in untouched.snapshots()]:
        found.append("snapshots")
    return found

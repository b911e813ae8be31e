"""Small texts, small plans, a checkpoint store in memory and a source of scripted commands."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from charlstm.fields import read
from charlstm.model.file import Model
from charlstm.text.corpus import Corpus
from charlstm.text.reading import ReadReport, TextOptions
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.commands import Command
from charlstm.training.events import Event, to_line
from charlstm.training.plan import Plan
from charlstm.training.state import TrainingState

TEXT = """the quick brown fox jumps over the lazy dog
while seven wizards boil black quartz in a deep jug"""


def make_corpus(text: str, name: str = "words.txt", fold_rare: int = 0) -> Corpus:
    vocabulary = Vocabulary.from_counts(Counter(text), fold_rare=fold_rare)
    ids, _ = vocabulary.encode(text)
    counts = np.bincount(ids, minlength=len(vocabulary))
    report = ReadReport(encoding="utf-8")
    ids = ids.astype(vocabulary.dtype)
    return Corpus(name, (name,), TextOptions(), report, vocabulary, counts, ids, f"{len(text)}-{hash(text)}")


def words(count: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng(seed).choice(TEXT.split(" "), count))


def make_plan(**changes: object) -> Plan:
    values: dict[str, object] = {
        "device": "cpu", "kernel": "nn", "threads": 1, "batch_size": 4, "seq_length": 16, "steps_per_epoch": 98,
        "planned_steps": 60, "warmup_steps": 6, "log_every": 4, "val_every": 7, "val_chars": 200,
        "snapshot_steps": (0, 3, 20), "seconds_per_step": 0.01,
    }  # fmt: skip
    return read(Plan, values | changes)


@dataclass
class MemoryStore:
    """A checkpoint store in memory. Each of the next writes raises one of ``trouble``."""

    plans: list[Plan] = field(default_factory=list)
    models: list[tuple[int, float | None, Model]] = field(default_factory=list)
    snapshots: dict[int, Model] = field(default_factory=dict)
    states: list[TrainingState] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    trouble: list[OSError] = field(default_factory=list)

    def save_plan(self, plan: Plan) -> None:
        self._write("plan")
        self.plans.append(plan)

    def save_model(self, model: Model) -> None:
        self._write("model")
        self.models.append((model.info["step"], model.info["val_loss"], model))

    def save_snapshot(self, model: Model, step: int) -> None:
        self._write("snapshot")
        self.snapshots[step] = model

    def save_state(self, state: TrainingState) -> None:
        self._write("state")
        self.states.append(state)

    def _write(self, what: str) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        self.order.append(what)


Script = dict[int, list[str | tuple[str, float | None]]]
"""Commands, some with a value, by the step at which they are given."""


@dataclass
class ScriptedCommands:
    """A command source that returns the commands of ``at`` once so many steps were taken."""

    at: Script
    step: int = 0
    returned: int = 0

    def see(self, event: Event) -> None:
        self.step = max(self.step, event.step)

    def __call__(self) -> list[Command]:
        due = [each for step in sorted(self.at) if step <= self.step for each in self.at[step]]
        new = [(each, None) if isinstance(each, str) else each for each in due[self.returned :]]
        commands = [Command(f"c{self.returned + number}", name, value) for number, (name, value) in enumerate(new)]
        self.returned = len(due)
        return commands


CLOCK = ("time", "chars_per_second", "train_seconds", "work_seconds")


def log_of(events: Sequence[Event]) -> list[str]:
    """The lines of a log for a comparison: without clock times and without events that may come at any time."""
    lines = []
    for event in events:
        if event.name in ("started", "resumed", "checkpoint", "control", "decision", "paused"):
            continue
        values = json.loads(to_line(event))
        if values.get("reason") == "stopped":
            continue
        lines.append(json.dumps({k: v for k, v in values.items() if k not in CLOCK}))
    return lines

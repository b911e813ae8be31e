"""Small runs that are trained to their end, with what they said and saved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from charlstm.engine.trainer import Trainer
from charlstm.model.file import Model
from charlstm.text.corpus import Corpus
from charlstm.training.events import Event, Finished, Validated
from charlstm.training.hooks import Hooks, SampleWriter, ValidationProgress
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from small_training import MemoryStore, Script, ScriptedCommands, make_corpus, make_plan, words

CORPUS = make_corpus(words(1200))
SETTINGS = Settings(
    hidden_size=12, num_layers=2, batch_size=4, seq_length=16, max_steps=60, dropout=0.2, weight_drop=0.1,
    ema_decay=0.9, calibrate=True, state_reset=0.05, val_every=7, val_chars=200, threads=1, kernel="nn", seed=5,
)  # fmt: skip
"""A second of training that uses everything that an exact resume has to restore."""
PLAN = make_plan()
"""Fixed, so that a run is the same on every machine."""


def sample(model: Model) -> tuple[str, str]:
    """A sample that depends on every weight."""
    return "the", f"{float(sum(np.abs(array).sum() for array in model.weights.values())):.9e}"


@dataclass
class Trained:
    trainer: Trainer
    store: MemoryStore
    events: list[Event]

    def only(self, name: str) -> list[Any]:
        """The events of this name."""
        return [event for event in self.events if event.name == name]

    @property
    def warnings(self) -> str:
        return "\n".join(event.message for event in self.only("warning"))

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    @property
    def last(self) -> Finished:
        return self.only("finished")[-1]

    @property
    def on_the_way(self) -> list[Validated]:
        """The validations before the last one, which reads all held-out text."""
        return [event for event in self.only("validation") if not event.whole]


def trained(
    settings: Settings = SETTINGS, plan: Plan | None = PLAN, at: Script | None = None, *, corpus: Corpus = CORPUS,
    steps: int | None = None, state: TrainingState | None = None, store: MemoryStore | None = None,
    see: Callable[[Event], object] = lambda event: None, until: int | Callable[[Event], bool] | None = None,
    sample: SampleWriter | None = sample, validation_progress: ValidationProgress | None = None, **how: Any,
) -> Trained:  # fmt: skip
    """Train a new run, or go on from ``state``, with the commands ``at``. Without a ``plan`` the speed is measured.
    ``steps``: how many it takes. ``see`` is called with each event. ``until``: as if killed at the first event of this
    step, or of which that is true, so that nothing is written after it."""
    if steps is not None:
        settings, plan = settings.with_changes(max_steps=steps), replace(plan or PLAN, planned_steps=steps)
    store, commands = store or MemoryStore(), ScriptedCommands({} if at is None else at)
    how |= {"store": store, "hooks": Hooks(sample, commands, validation_progress)}
    if state is None:
        trainer = Trainer(corpus, settings, plan=plan, **how)
    else:
        trainer = Trainer.resume(corpus, settings, state, **how)
    events = []
    stream = trainer.events()
    for event in stream:
        events.append(event)
        commands.see(event)
        see(event)
        if until is not None and (until(event) if callable(until) else event.step >= until):
            trainer._checkpoint_writer.collect(60.0)  # on a busy machine a state may not have been written yet
            stream.close()
            break
    return Trained(trainer, store, events)


def assert_same_state(one: TrainingState, other: TrainingState) -> None:
    """That both have the same but for the time that they took."""
    assert (one.step, one.tensors.keys()) == (other.step, other.tensors.keys())
    for name, array in one.tensors.items():
        assert array.tobytes() == other.tensors[name].tobytes(), name
    assert one.record["schedule"] == other.record["schedule"]
    for name, value in one.record["progress"].items():
        assert "seconds" in name or value == other.record["progress"][name], name


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """In the block operations of torch use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Small runs that are trained to their end, with what they said and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from charlstm.engine.trainer import Trainer
from charlstm.model.file import Model
from charlstm.text.corpus import Corpus
from charlstm.training.events import Event, Finished, Validated
from charlstm.training.hooks import Hooks, SampleWriter, ValidationProgress
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from small_training import MemoryStore, ScriptedCommands

E = TypeVar("E", bound=Event)
Script = dict[int, list[tuple[str, float | None]]]
"""Commands and their values by the step at which they are given."""


def sample(model: Model) -> tuple[str, str]:
    """A sample that depends on every weight."""
    return "the", f"{float(sum(np.abs(array).sum() for array in model.weights.values())):.9e}"


def only(events: Iterable[Event], kind: type[E]) -> list[E]:
    """The events of this kind."""
    return [event for event in events if isinstance(event, kind)]


@dataclass
class Trained:
    trainer: Trainer
    store: MemoryStore
    events: list[Event]

    def only(self, kind: type[E]) -> list[E]:
        return only(self.events, kind)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    @property
    def last(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    @property
    def on_the_way(self) -> list[Validated]:
        """The validations before the last one, which reads all held-out text."""
        return [event for event in self.only(Validated) if not event.whole]


def trained(
    corpus: Corpus,
    settings: Settings,
    plan: Plan | None = None,
    at: Script | None = None,
    *,
    state: TrainingState | None = None,
    store: MemoryStore | None = None,
    see: Callable[[Event], object] = lambda event: None,
    until: int | Callable[[Event], bool] | None = None,
    sample: SampleWriter | None = sample,
    validation_progress: ValidationProgress | None = None,
    **how: Any,
) -> Trained:
    """Train a new run, or go on from ``state``, with the commands ``at``. ``see`` is called with each event. ``until``:
    as if killed at the first event of this step, or of which that is true, so that nothing is written after it."""
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
    assert one.step == other.step
    assert one.tensors.keys() == other.tensors.keys()
    for name, array in one.tensors.items():
        assert array.tobytes() == other.tensors[name].tobytes(), name
    assert one.record["schedule"] == other.record["schedule"]
    for name, value in one.record["progress"].items():
        assert "seconds" in name or value == other.record["progress"][name], name

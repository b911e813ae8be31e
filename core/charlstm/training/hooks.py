"""What a caller can connect to a trainer: where checkpoints go, where commands come from, how samples are written.

All are optional; without them training keeps everything in memory. The source of commands is described in
``commands``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from charlstm.training.commands import CommandSource

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.training.plan import Plan
    from charlstm.training.state import TrainingState

SampleWriter = Callable[["Model"], tuple[str, str]]
"""Generates a sample with the model it is given and returns (prime, text). Called between two steps. For samples that
can be compared, it uses the same prime and seed each time."""


ValidationProgress = Callable[[float], None]
"""Called during the final validation, which may take a while, with the fraction of it that is done."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions that a trainer calls, besides the store."""

    sample: SampleWriter | None = None
    commands: CommandSource | None = None
    validation_progress: ValidationProgress | None = None


NO_HOOKS = Hooks()


@runtime_checkable
class CheckpointStore(Protocol):
    """A store for the files of a run.

    The trainer calls it from one background thread, one call at a time and in order, while training continues. Every
    argument is a copy, so an implementation is plain synchronous code.

    Every event that was yielded before a call was passed to the caller before that call starts. An implementation
    syncs the event log first, so that files are committed in the order events, model, state. After an
    :class:`OSError` (a full disk) training waits, and the same call is made again until it succeeds or the run is
    stopped.
    """

    def save_plan(self, plan: Plan) -> None:
        """Keep the plan of a new run, before its first event. A store that must not take a new run raises a
        :class:`~charlstm.errors.CharLSTMError`, and training ends before its first event."""

    def save_model(self, model: Model) -> None:
        """Keep ``model`` as the best so far. Its ``info`` has the step and the loss."""

    def save_snapshot(self, model: Model, step: int) -> None:
        """Keep ``model`` as the snapshot of ``step``: one of those that show how the model develops."""

    def save_state(self, state: TrainingState) -> None:
        """Keep all that an exact resume needs. Once this returns, a resume starts from ``state``."""

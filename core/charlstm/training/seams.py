"""Where the trainer touches the world: commands in, files out, and the plan that a run froze at its start.

Free of torch, so that what only reads plans can use it. What is behind the seams (a run's folder,
a test's list) is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, Self

from charlstm.errors import ModelError
from charlstm.records import typed

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.training.state import TrainingState

COMMANDS = ("pause", "resume", "stop", "finish", "checkpoint", "set-lr")
"""What a person may ask of a training run; ``set-lr`` alone takes a value."""


@dataclass(frozen=True, slots=True)
class Command:
    """One request, acted on between two steps. ``value`` is the new learning rate of ``set-lr``, else ``None``.
    ``position`` is where the next request starts in the place this one was read from (a byte of ``control.jsonl``);
    the exact state keeps the position after the last request that was acted on.
    """

    id: str
    command: str
    value: float | None = None
    position: int = 0


Inbox = Callable[[], Sequence[Command]]
"""Returns the commands that came since it was last called, in order, at once; called between two steps."""


class Store(Protocol):
    """Where a run keeps its files. The trainer calls it with copies, from a thread of its own, one call at a time and
    in order, and goes on training meanwhile: an implementation is plain, synchronous code.

    Every event that was yielded before a call has been handed over when the call starts: sync the log first, then
    write, so that the commit order is events, model, state. An :class:`OSError` (a full disk) makes training wait and
    the same call is made again, until it succeeds or the run is stopped.
    """

    def save_plan(self, plan: Plan) -> None:
        """Keep what was measured and is now frozen, before the first event of a new run. It is called once more where
        the run begins anew with a faster kernel, after its first seconds."""

    def save_model(self, model: Model) -> None:
        """Keep ``model`` as the best so far; its ``info`` has the step and the loss."""

    def save_snapshot(self, model: Model, step: int) -> None:
        """Keep ``model`` as one of the at most 12 pictures of its childhood."""

    def save_state(self, state: TrainingState) -> None:
        """Keep all that an exact resume needs; when it returns, the state is the one a resume would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run measured at its start and then froze, so that a resume is the run that would have been.

    Cadences are in steps. ``planned_steps`` is what was planned at the start; commands that change the end amend the
    schedule, not the plan.
    """

    device: str
    kernel: str
    threads: int
    batch_size: int
    """Rows, after fitting to a small text; ``seq_length`` likewise."""
    seq_length: int
    steps_per_epoch: int
    planned_steps: int
    warmup_steps: int
    log_every: int
    val_every: int
    val_chars: int
    """Held-out characters that a validation on the way reads, over fixed slices."""
    snapshot_steps: tuple[int, ...]
    checkpoint_every: int | None
    """Steps between checkpoints when asked for by steps; those by minutes go by the clock, which changes nothing."""
    seconds_per_step: float
    chars_per_second: float
    """Training speed as measured: the whole step, optimiser included."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self) | {"snapshot_steps": list(self.snapshot_steps)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; unknown names are ignored. Raises :class:`ModelError` if some are missing
        or make no sense."""
        try:
            plan = cls(**typed(cls, {spec.name: values[spec.name] for spec in fields(cls)}))
            counts = (plan.threads, plan.batch_size, plan.seq_length, plan.steps_per_epoch, plan.planned_steps)
            cadences = (plan.log_every, plan.val_every, plan.checkpoint_every or 1)
            if min(*counts, *cadences) < 1 or plan.seconds_per_step <= 0:
                raise ValueError
            return plan
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError("What the run measured at its start cannot be read; start the run anew") from error

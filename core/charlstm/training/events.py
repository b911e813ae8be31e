"""The events of a training run: frozen dataclasses, and their form as lines of JSON.

The trainer yields events, the worker logs each as one line, and the command line and the app show them.
"""

from __future__ import annotations

import json
import math
import time as clock
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, get_args

from charlstm.errors import OtherFormatError, RunError
from charlstm.fields import read

FORMAT = 1


ESTIMATE = "~"
"""Marks a loss that is estimated from slices of the held-out part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base class of all events: something happened after ``step`` training steps, at ``time`` (Unix seconds)."""

    name: ClassVar[str] = ""

    step: int
    time: float = field(default_factory=clock.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A run begins. This is the first line of every log; at a second one the run has started over, and all events
    before it are void. ``kernel_path`` names the implementation that the ``kernel`` uses on this machine. ``symbols``
    is the size of the vocabulary."""

    name: ClassVar[Literal["started"]] = "started"
    format: int = FORMAT
    planned_steps: int
    steps_per_epoch: int
    parameters: int
    train_chars: int
    val_chars: int
    test_chars: int = 0
    symbols: int = 0
    device: str
    kernel: str
    kernel_path: str = ""
    threads: int
    limit: str = ""
    """The setting that will end the run, as planned: ``epochs``, ``max_steps`` or ``max_minutes``."""
    max_minutes: float | None = None
    """The time limit; ``None`` without one."""
    read_share: float | None = None
    """The share of the held-out part, 0 to 1, that the model has read before it is validated on it; ``None`` if
    unknown."""
    read_by: str | None = None
    """Which model has read it: that which training starts from; empty where the training part has the same words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped(Event):
    """Figures of the training steps since the last such event.

    ``train_loss`` is their mean in nats per character, ``grad_norm`` their largest gradient norm, ``lr`` the learning
    rate of the last one. ``epoch`` is the number of passes over the training text so far. ``train_seconds`` is the time
    in training steps since the run began; ``work_seconds`` also counts all other work, but no pauses.
    """

    name: ClassVar[Literal["step"]] = "step"
    epoch: float
    train_loss: float
    lr: float
    grad_norm: float
    chars_per_second: float
    train_seconds: float
    work_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated(Event):
    """The validation loss in nats per character, over ``chars`` held-out characters.

    ``best``: it is the lowest so far, and the model is saved. ``whole``: it is the loss of the best model over all
    held-out text instead of fixed slices, which comes at the end of a run that was not stopped.
    """

    name: ClassVar[Literal["validation"]] = "validation"
    loss: float
    chars: int
    best: bool
    whole: bool = False
    train_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Event):
    """Text that the model generated, without the prime. Prime and seed are the same throughout a run."""

    name: ClassVar[Literal["sample"]] = "sample"
    prime: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointed(Event):
    """A checkpoint is on disk; ``seconds`` is the time for which training waited for it."""

    name: ClassVar[Literal["checkpoint"]] = "checkpoint"
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled(Event):
    """A command from outside is carried out.

    ``id`` is that of the command. ``value`` is the learning rate for ``set-lr``, and the number of remaining steps for
    ``finish`` and ``more``. ``minutes`` is the time that ``more`` adds. A change of the run's course (by these three)
    is in the last state by now; other commands act after this line.
    """

    name: ClassVar[Literal["control"]] = "control"
    id: str
    command: str
    value: float | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(Event):
    """The trainer itself changes the course of the run: to keep to ``max_minutes`` it ends after ``steps_left`` more
    steps, or it takes the steps from here on with so many ``threads``."""

    name: ClassVar[Literal["decision"]] = "decision"
    steps_left: int | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Event):
    """Training pauses. ``reason`` is ``asked`` for a command, or a text that says what training waits for."""

    name: ClassVar[Literal["paused"]] = "paused"
    reason: str = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """Training continues from ``step``, after a pause or in a new process. Readers drop earlier events of later steps.

    ``inexact`` says why the continuation may differ in the last digits. ``changes`` is a text of changed settings,
    ``changed`` their names. ``device`` and ``kernel`` are those of a new process.
    """

    name: ClassVar[Literal["resumed"]] = "resumed"
    planned_steps: int | None = None
    inexact: str | None = None
    changes: str | None = None
    changed: tuple[str, ...] = ()
    device: str | None = None
    kernel: str | None = None
    limit: str = ""
    """As of ``started``; of a new process alone."""
    max_minutes: float | None = None
    """As of ``started``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """A sentence for the user. It ends nothing by itself."""

    name: ClassVar[Literal["warning"]] = "warning"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The run is complete or was stopped. ``reason``: ``done``, ``stopped``, ``time`` (max_minutes), ``patience`` or
    ``diverged``.

    ``loss`` is the validation loss of the best model, ``None`` without one. ``best_whole``: it is over the whole
    held-out part, not an estimate from slices. ``work_seconds`` counts the final validation too. ``slowdown``: how many
    times as long the process that ended the run took because other programs used the processor; ``None`` where nothing
    is known.
    """

    name: ClassVar[Literal["finished"]] = "finished"
    reason: str
    loss: float | None
    best_step: int
    train_seconds: float
    best_whole: bool = False
    work_seconds: float = 0.0
    limit: str = ""
    """The setting that ended the run: ``epochs``, ``max_steps``, ``max_minutes`` or ``patience``. Empty when none of
    them did: it was stopped, finished by command, or diverged."""
    slowdown: float | None = None
    first_val: float | None = None
    """The validation loss from before the first step, estimated as in training; ``None`` where the run has no log."""
    epochs: float | None = None
    """The number of passes over the training text; ``None`` as above."""
    read_share: float | None = None
    read_by: str | None = None
    """Both as of ``started``."""

    @property
    def is_whole(self) -> bool:
        """Whether ``loss`` is over the whole held-out part."""
        return self.best_whole and self.loss is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The run ended with an error; ``message`` says what happened and what to do."""

    name: ClassVar[Literal["failed"]] = "failed"
    message: str


AnyEvent = (
    Started
    | Stepped
    | Validated
    | Sampled
    | Checkpointed
    | Controlled
    | Decided
    | Paused
    | Resumed
    | Warned
    | Finished
    | Failed
)
"""The union of all events. Type checkers narrow it by class and by ``event.name == "validation"``."""

_KINDS: dict[str, type[AnyEvent]] = {kind.name: kind for kind in get_args(AnyEvent)}


def to_line(event: Event, **more: str) -> str:
    """The event as one line of JSON with the fields ``more``, without a newline. Numbers that are not finite become
    ``null``."""
    values = {spec.name: _finite(getattr(event, spec.name)) for spec in fields(event)} | more
    return json.dumps({"event": event.name, **values}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_line(line: str | bytes) -> AnyEvent:
    """Read one line of a log. Unknown fields are ignored, and numbers that are ``null`` become not-a-number.

    Raises :class:`~charlstm.errors.RunError` if the line is not an event with fields of the right types, since the file
    may come from anywhere, and :class:`~charlstm.errors.OtherFormatError` for a newer format.
    """
    unknown: dict[str, Any] = {}
    try:
        values = json.loads(line)
        kind = _KINDS[values["event"]]
        for name in _MAY_BE_UNKNOWN & values.keys() if kind in (Stepped, Validated) else ():
            if values[name] is None or (isinstance(values[name], (int, float)) and not abs(values[name]) < MOST_FIGURE):
                values[name] = 0
                unknown[name] = math.nan
        event = read(kind, values)
        if unknown:
            event = replace(event, **unknown)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError("A line of the run's event log cannot be read") from error
    if isinstance(event, Started) and event.format > FORMAT:
        raise OtherFormatError(
            f"The run was written by a newer charlstm (format {event.format}); update charlstm to read it"
        )
    return event


_MAY_BE_UNKNOWN = frozenset(("train_loss", "loss", "grad_norm", "lr", "chars_per_second"))
"""Numbers that are unknown when training diverges."""

MOST_FIGURE = 1e18
"""Larger numbers count as unknown, so that sums and charts stay finite."""


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

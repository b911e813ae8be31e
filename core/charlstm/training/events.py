"""What a training run says of itself: typed, frozen events, and their one JSON form.

The trainer yields them, the worker logs them a line each, the command line and the app draw them, tests assert on
them. Free of torch. How logged events become drawable series is the business of ``charlstm.runs.series``.
"""

from __future__ import annotations

import json
import math
import time as clock
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from charlstm.errors import NewerFormatError, RunError
from charlstm.json_fields import typed_fields

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened after ``step`` training steps, at ``time`` (Unix seconds)."""

    name: ClassVar[str] = ""

    step: int
    time: float = field(default_factory=clock.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A run begins: what was asked and what was measured. First line of every log; where there
    is another one, the run began anew there, and what was before never was. ``kernel_path`` says which of several ways
    to compute the ``kernel`` takes on this machine."""

    name: ClassVar[Literal["started"]] = "started"
    format: int = FORMAT
    planned_steps: int
    steps_per_epoch: int
    parameters: int
    train_chars: int
    val_chars: int
    test_chars: int = 0
    device: str
    kernel: str
    kernel_path: str = ""
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped(Event):
    """Training goes on. Losses are means in nats per character since the event before; ``train_seconds`` are those
    spent in training steps alone since the run began, ``work_seconds`` all but pauses (``None`` in logs of 0.1);
    ``epoch`` counts passes over the training text; ``grad_norm`` is the largest since the event before, ``lr`` the rate
    of the last step."""

    name: ClassVar[Literal["step"]] = "step"
    epoch: float
    train_loss: float
    lr: float
    grad_norm: float
    chars_per_second: float
    train_seconds: float
    work_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated(Event):
    """The held-out part was read. ``best`` is true when this is the best so far, and the model was kept. The last one
    of a run that ends by itself is ``whole``: the figure of the best model, over all that is held out and not only its
    fixed slices."""

    name: ClassVar[Literal["validation"]] = "validation"
    val_loss: float
    chars: int
    best: bool
    whole: bool = False
    train_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Event):
    """The model wrote ``text`` (without the prime). Prime and seed are the same all through a run."""

    name: ClassVar[Literal["sample"]] = "sample"
    prime: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointed(Event):
    """The exact state is on disk; ``seconds`` is how long training waited for it."""

    name: ClassVar[Literal["checkpoint"]] = "checkpoint"
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled(Event):
    """A person's command is acted on after this line is on disk. ``id`` is the command's own; ``value`` the rate of
    ``set-lr``, and the steps that are left for ``finish`` and ``replan`` (by which the trainer itself, id ``clock``,
    holds ``max_minutes``)."""

    name: ClassVar[Literal["control"]] = "control"
    id: str
    command: str
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Event):
    """Training waits. ``reason`` is ``asked`` or what it waits for."""

    name: ClassVar[Literal["paused"]] = "paused"
    reason: str = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """Training goes on from ``step``, after a pause or in a new process. Earlier lines of a later step never were:
    the reader drops them. ``inexact`` says in words why the continuation may differ in the last digits, and
    ``changes`` which settings were changed; ``changed`` are their names. ``device`` and ``kernel`` are those of a new
    process."""

    name: ClassVar[Literal["resumed"]] = "resumed"
    planned_steps: int | None = None
    inexact: str | None = None
    changes: str | None = None
    changed: tuple[str, ...] = ()
    device: str | None = None
    kernel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """One sentence that a person should read; training goes on."""

    name: ClassVar[Literal["warning"]] = "warning"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The run ended by itself or was stopped. ``reason``: ``done``, ``stopped``, ``time`` (max_minutes),
    ``patience`` or ``diverged``. ``best_val`` is the best model's, ``None`` without one; ``best_whole`` says whether it
    is over the whole held-out part, which it is unless the run was stopped, or an estimate from slices (``None``: not
    said, as by 0.1)."""

    name: ClassVar[Literal["finished"]] = "finished"
    reason: str
    best_val: float | None
    best_step: int
    train_seconds: float
    best_whole: bool | None = None

    @property
    def is_whole(self) -> bool:
        """Whether ``best_val`` is over the whole held-out part."""
        whole = self.reason != "stopped" if self.best_whole is None else self.best_whole
        return whole and self.best_val is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The run ended by an error; ``message`` says what happened and what to do."""

    name: ClassVar[Literal["failed"]] = "failed"
    message: str


AnyEvent = (
    Started | Stepped | Validated | Sampled | Checkpointed | Controlled | Paused | Resumed | Warned | Finished | Failed
)
"""Every kind of event. Type checkers narrow it by class and by ``event.name == "validation"``."""

_KINDS: dict[str, type[AnyEvent]] = {kind.name: kind for kind in get_args(AnyEvent)}


def to_line(event: Event) -> str:
    """The event as one line of JSON (no newline). A figure that is not finite becomes ``null``."""
    values = {spec.name: _finite(getattr(event, spec.name)) for spec in fields(event)}
    return json.dumps({"event": event.name, **values}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_line(line: str | bytes) -> AnyEvent:
    """Read one line of a log; fields of a newer program are ignored, ``null`` figures become not-a-number.

    Raises :class:`~charlstm.errors.RunError` when the line is no event: a log may be anybody's, and what reads events
    relies on their types.
    """
    unknown: list[str] = []
    try:
        values = json.loads(line)
        kind = _KINDS[values["event"]]
        for name in _MAY_FAIL & values.keys():
            if values[name] is None or (isinstance(values[name], (int, float)) and not abs(values[name]) < MOST_FIGURE):
                values[name] = 0
                unknown.append(name)
        if kind is Resumed and "changed" not in values and values.get("changes"):
            values["changed"] = _names_in(values["changes"])
        event = kind(**typed_fields(kind, values) | dict.fromkeys(unknown, math.nan))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError("A line of the run's event log cannot be read") from error
    if isinstance(event, Started) and event.format > FORMAT:
        raise NewerFormatError(
            f"The run was written by a newer charlstm (format {event.format}); update this one to read it"
        )
    return event


_MAY_FAIL = frozenset(("train_loss", "val_loss", "grad_norm", "lr", "chars_per_second"))
"""Figures that a training in trouble leaves unknown."""
MOST_FIGURE = 1e18
"""Larger ones no chart and no sum can bear: they count as unknown."""


def _names_in(changes: str) -> list[str]:
    """The names in a sentence such as ``epochs 3 → 6, lr 0.003 → 0.001``: version 0.1 logged no list of them."""
    return [change.split(" ", 1)[0] for change in changes.split(", ")]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

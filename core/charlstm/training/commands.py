"""What a person can ask of a running training: one frozen dataclass and the words it takes.

Free of torch, so that the app can write commands which the trainer reads. How they travel is the business of
``charlstm.runs.control``; what they do is the trainer's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from charlstm.errors import RunError

CommandName = Literal["pause", "resume", "stop", "finish", "checkpoint", "set-lr"]
MAX_RATE = 1_000.0
COMMANDS: tuple[str, ...] = get_args(CommandName)


@dataclass(frozen=True, slots=True)
class Command:
    """One request, acted on between two steps. ``value`` is the new learning rate of ``set-lr``, else ``None``.
    ``position`` is where the next one starts in the place it was read from (bytes of ``control.jsonl``); the exact
    state remembers the last position that was acted on.

    Raises :class:`~charlstm.errors.RunError` for a word or a value that makes no sense.
    """

    id: str
    command: str
    value: float | None = None
    position: int = 0

    def __post_init__(self) -> None:
        if self.command not in COMMANDS:
            raise RunError(f"{self.command!r} is no command; the commands are {', '.join(COMMANDS)}")
        if self.command == "set-lr":
            number = isinstance(self.value, (int, float)) and not isinstance(self.value, bool)
            if not number or not math.isfinite(self.value or 0) or not 0 < (self.value or 0) <= MAX_RATE:
                raise RunError(f"set-lr takes the new learning rate, a number above zero, not {self.value!r}")
        elif self.value is not None:
            raise RunError(f"{self.command} takes no value, but was given {self.value!r}")

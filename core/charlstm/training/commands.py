"""What a training run is told while it runs: the line of commands that wait, and what of an earlier process's log has
to be done again.

It decides nothing: what a command means is the trainer's business, where commands come from the inbox's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charlstm.training.events import Controlled

if TYPE_CHECKING:
    pass


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


class CommandQueue:
    """The commands of ``inbox`` in order. ``again`` are logged ones that the state does not know yet, by the step at
    which they were acted on: where the inbox brings one of these it is not new."""

    def __init__(self, inbox: Inbox | None, again: Mapping[int, Sequence[Controlled]]) -> None:
        self._inbox = inbox
        self._again = dict(again)
        self._waiting: deque[Command] = deque()

    def again(self, step: int) -> Sequence[Controlled]:
        """What has to be done again before ``step``; told once."""
        return self._again.pop(step, ())

    def listen(self) -> None:
        """Take in what has come."""
        if self._inbox is not None:
            again = {event.id for events in self._again.values() for event in events}
            self._waiting.extend(command for command in self._inbox() if command.id not in again)

    def next(self) -> Command | None:
        """The first that waits, which then waits no longer."""
        return self._waiting.popleft() if self._waiting else None

    def first(self, name: str) -> Command | None:
        """The first of that name that waits, and goes on waiting."""
        return next((command for command in self._waiting if command.command == name), None)

    def drop(self, command: Command) -> None:
        """It is done, out of its turn."""
        self._waiting.remove(command)

"""The commands that a training run accepts, and the queue in which they wait for the trainer.

What each command does is in ``engine.trainer``; where they come from is up to the caller.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

COMMANDS = ("pause", "resume", "stop", "finish", "checkpoint", "set-lr", "more")
"""All commands. Only ``set-lr`` and ``more`` take a value."""


@dataclass(frozen=True, slots=True)
class Command:
    """One request, handled between two steps.

    Attributes:
        id: that of the ``control`` event which the run logs when it carries the command out.
        value: the new learning rate of ``set-lr``, or the minutes that ``more`` adds; None for a command without one.
        sent: Unix seconds, 0 if not known.
    """

    JSON_FIELDS: ClassVar = ("id", "command", "value")

    id: str
    command: str
    value: float | None = None
    sent: float = field(default=0.0, compare=False)


CommandSource = Callable[[], Sequence[Command]]
"""Returns the commands that arrived since its last call, oldest first, without waiting. Called between two steps, and
repeatedly during a pause."""


class CommandQueue:
    """Commands in the order in which they arrived, from ``source`` and from :meth:`put`."""

    def __init__(self, source: CommandSource | None) -> None:
        self._source = source
        self._put: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._waiting: deque[Command] = deque()

    def put(self, command: Command) -> None:
        """Add a command. May be called from any thread."""
        self._put.put(command)

    def poll(self) -> None:
        """Fetch the commands that have arrived."""
        while not self._put.empty():  # this thread alone takes commands out
            self._waiting.append(self._put.get())
        if self._source is not None:
            self._waiting.extend(self._source())

    def next(self) -> Command | None:
        """Remove and return the oldest command, or ``None``."""
        return self._waiting.popleft() if self._waiting else None

    def take(self, name: str) -> Command | None:
        """Remove and return the oldest command called ``name``, before its turn, or ``None``. Fetches those that have
        arrived."""
        self.poll()
        command = next((command for command in self._waiting if command.command == name), None)
        if command is not None:
            self._waiting.remove(command)
        return command

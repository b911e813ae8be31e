"""The commands that a training run accepts, and the queue in which they wait for the trainer.

What each command does is in ``engine.trainer``; where they come from is up to the caller.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from charlstm.training.events import Controlled

COMMANDS = ("pause", "resume", "stop", "finish", "checkpoint", "set-lr", "more")
"""All commands. Only ``set-lr`` and ``more`` take a value."""


@dataclass(frozen=True, slots=True)
class Command:
    """One request, handled between two steps. ``value`` is the new learning rate of ``set-lr`` or the
    minutes that ``more`` adds, else ``None``. ``sent`` is in Unix seconds, 0 if not known."""

    id: str
    command: str
    value: float | None = None
    sent: float = field(default=0.0, compare=False)


CommandSource = Callable[[], Sequence[Command]]
"""Returns the commands that arrived since its last call, oldest first, without waiting. Called between two steps, and
repeatedly during a pause."""


class CommandQueue:
    """Commands in the order in which they arrived, from ``source`` and from :meth:`put`.

    ``replay`` holds commands that were logged by an earlier process but are not in the state it left, by the step at
    which they were handled. The trainer repeats them at that step, so the same commands from ``source`` are ignored.
    """

    def __init__(self, source: CommandSource | None, replay: Mapping[int, Sequence[Controlled]]) -> None:
        self._source = source
        self._replay = dict(replay)
        self._put: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._waiting: deque[Command] = deque()

    def put(self, command: Command) -> None:
        """Add a command. May be called from any thread."""
        self._put.put(command)

    def take_replay(self, step: int) -> Sequence[Controlled]:
        """The logged commands to repeat before ``step``. Each is returned once."""
        return self._replay.pop(step, ())

    def poll(self) -> None:
        """Fetch the commands that have arrived."""
        while not self._put.empty():  # this thread alone removes from it
            self._waiting.append(self._put.get())
        if self._source is not None:
            replayed = {event.id for events in self._replay.values() for event in events}
            self._waiting.extend(command for command in self._source() if command.id not in replayed)

    def next(self) -> Command | None:
        """Remove and return the oldest command, or ``None``."""
        return self._waiting.popleft() if self._waiting else None

    def find(self, name: str) -> Command | None:
        """The oldest command called ``name``, which stays in the queue, or ``None``."""
        return next((command for command in self._waiting if command.command == name), None)

    def remove(self, command: Command) -> None:
        """Remove a command that was handled before its turn."""
        self._waiting.remove(command)

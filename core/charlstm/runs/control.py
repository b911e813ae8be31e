"""What people ask of a running worker, as lines of ``control.jsonl``: ``{"id", "time", "command", "value"}``.

Anyone who may write the folder may append; the worker alone reads, and remembers in bytes how far. What a command
does is the trainer's business.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from charlstm import storage
from charlstm.errors import Advice, RunError
from charlstm.runs.folder import Run
from charlstm.training.commands import COMMANDS, Command

MAX_RATE = 1_000.0
MAX_LINE = 100_000
"""A line longer than this is no command."""

CHUNK = 1_000_000
"""Bytes of commands that are read at once; nobody types more between two steps."""


def send_command(run: Run, command: str, value: float | None = None) -> Command:
    """Ask the worker of ``run`` for ``pause``, ``resume``, ``stop``, ``finish``, ``checkpoint`` or ``set-lr`` (which
    takes a rate). It acts between two steps, and says so with a ``control`` event of the same id.

    Raises :class:`RunError` when no worker is there to hear it, or the command makes no sense.
    """
    check_command(command, value)
    status = run.status()
    if not status.alive:
        remedy = "resume it with a later end" if status.state == "finished" else "resume it first"
        raise RunError(
            f"The run {run.name} is {status.state} and takes no commands: {remedy}", Advice("resume", run.name)
        )
    asked = Command(secrets.token_hex(4), command, value)
    line = {"id": asked.id, "time": time.time(), "command": command, "value": value}
    try:
        storage.append_line(run.control_path, json.dumps(line).encode())
    except OSError as error:
        raise RunError(f"The run {run.name} cannot be told: {error.strerror}") from None
    return asked


def check_command(command: str, value: float | None) -> None:
    """Raises :class:`RunError` for a word that is no command, or a value that it does not take."""
    if command not in COMMANDS:
        raise RunError(f"{command!r} is no command; the commands are {', '.join(COMMANDS)}")
    if command != "set-lr":
        if value is not None:
            raise RunError(f"{command} takes no value, but was given {value!r}")
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MAX_RATE:
        given = "" if value is None else f", not {value!r}"
        raise RunError(f"set-lr takes the new learning rate, a number above zero{given}")


class ControlReader:
    """Reads the commands that are appended to ``path``, from byte ``position`` on."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self._path = path
        self.position = position
        self._skipping = False

    def read(self) -> Sequence[Command]:
        """The commands that were completed since the last call, in order; other lines are skipped. Without new lines it
        costs one call of stat."""
        try:
            size = os.stat(self._path).st_size
            if size < self.position:  # not the file it was
                self.position, self._skipping = 0, False
            if size == self.position:
                return ()
            with self._path.open("rb") as file:
                file.seek(self.position)
                content = file.read(CHUNK)
        except OSError:  # not there yet, or gone for now with its disk
            return ()
        commands = []
        complete = content.rfind(b"\n") + 1
        for line in content[:complete].split(b"\n")[:-1]:
            self.position += len(line) + 1
            command = None if self._skipping else _parse(line)
            self._skipping = False
            if command is not None:
                commands.append(command)
        if len(content) - complete > MAX_LINE:  # to its end, which may not be there yet
            self.position += len(content) - complete
            self._skipping = True
        return commands


def _parse(line: bytes) -> Command | None:
    try:
        values = json.loads(line)
        check_command(values["command"], values.get("value"))
        return Command(str(values["id"])[:64], values["command"], values.get("value"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RunError):
        return None

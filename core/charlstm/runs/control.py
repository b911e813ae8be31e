"""Commands to a running worker, as lines of ``control.jsonl``: ``{"id", "time", "command", "value"}``.

Any process that may write into the folder appends; the worker reads. What each command does is in ``engine.trainer``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm import storage
from charlstm.errors import Advice, RunError
from charlstm.runs.folder import RunFolder
from charlstm.training.commands import COMMANDS, Command

if TYPE_CHECKING:
    from charlstm.runs.series import RunSeries

VALUES = {"set-lr": ("the new learning rate", 1_000.0), "more": ("the minutes to add", 1_000_000.0)}
"""Commands with a value: words for the value, and its maximum."""

MAX_LINE = 100_000
"""Bytes; a longer line is skipped."""


def send_command(run: RunFolder, command: str, value: float | None = None) -> Command:
    """Send the worker of ``run`` a command: ``pause``, ``resume``, ``stop``, ``finish``, ``checkpoint``,
    ``set-lr`` with the learning rate of the next step, or ``more`` with the minutes that are added to the run. It is
    handled between two steps and logged as a ``control`` event with its id.

    Raises :class:`RunError` when the run has no worker, has taken its last step and is asked for anything but ``stop``,
    or for an unknown command or a wrong value.
    """
    check_command(command, value)
    status = run.status()
    if not status.alive:
        remedies = {"finished": "resume it with a later end", "queued": "take it out of the queue, or resume it now"}
        remedy = remedies.get(status.state, "resume it first")
        raise RunError(
            f"The run {run.name} is {status.state} and takes no commands: {remedy}", Advice("resume", run.name)
        )
    if status.validated is not None and command != "stop":
        raise RunError(
            f"The run {run.name} has taken its last step and validates its model, so {command} would come too late: "
            f"wait for its end, then resume it with a later one",
            Advice("resume", run.name),
        )
    sent = Command(secrets.token_hex(4), command, value, time.time())
    line = {"id": sent.id, "time": sent.sent, "command": command, "value": value}
    try:
        storage.append_line(run.control_path, json.dumps(line).encode())
    except OSError as error:
        raise RunError(f"The command could not be written for the run {run.name}: {error.strerror}") from None
    return sent


def check_command(command: str, value: float | None) -> None:
    """Raises :class:`RunError` for an unknown command or a value that it does not take."""
    if command not in COMMANDS:
        raise RunError(f"There is no command {command!r}; the commands are {', '.join(COMMANDS)}")
    if command not in VALUES:
        if value is not None:
            raise RunError(f"{command} takes no value, but was given {value!r}")
        return
    what, most = VALUES[command]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        given = "" if value is None else f", not {value!r}"
        raise RunError(f"{command} takes {what}, a number above zero and at most {most:,.0f}{given}")


@dataclass(slots=True)
class ControlReader:
    """Reads the commands that are appended to ``path``, from byte ``position`` on."""

    _path: Path
    position: int = 0

    def read(self, until: float = math.inf) -> list[Command]:
        """The commands that were completed since the last call, in order, up to byte ``until`` if given; other lines
        are skipped. Without new lines it costs one call of stat."""
        commands = []
        with contextlib.suppress(OSError):  # not created yet, or on a disk that is not connected
            size = os.stat(self._path).st_size
            if size < self.position:  # it is another file now
                self.position = 0
            if size == self.position:
                return []
            with storage.open_file(self._path) as file:
                file.seek(self.position)
                while self.position < until and (
                    (line := file.readline(MAX_LINE)).endswith(b"\n") or len(line) == MAX_LINE
                ):
                    self.position += len(line)
                    if (command := _parse(line)) is not None:
                        commands.append(command)
        return commands


def pending_commands(commands: Iterable[Command], series: RunSeries) -> tuple[Command, ...]:
    """Those of ``commands`` that the worker of a run has not handled yet; ``series`` are the run's events.

    What was sent before the last start, resume or end was meant for an earlier worker, which ended without handling it.
    """
    marks = (series.started, *series.interruptions[-1:], series.finished, series.failed)
    since = max((event.time for event in marks if event is not None), default=0.0)
    return tuple(command for command in commands if command.id not in series.handled and command.sent >= since)


def _parse(line: bytes) -> Command | None:
    try:
        values = json.loads(line)
        check_command(values["command"], values.get("value"))
        sent = values.get("time")
        known = isinstance(sent, (int, float))
        return Command(str(values["id"])[:64], values["command"], values.get("value"), sent if known else 0.0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RunError):
        return None

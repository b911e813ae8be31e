"""The event log of a run: one writer that appends whole lines, and readers that follow it.

The events and their JSON are in ``training.events``; ``series`` makes curves of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charlstm import storage
from charlstm.errors import OtherFormatError, RunError
from charlstm.training.events import AnyEvent, Event, Paused, Resumed, Started, from_line, to_line

MAX_LINE = 4_000_000
"""Bytes; a longer line is skipped."""


class EventLog:
    """Appends events to ``path``. The worker of a run is the only writer.

    Opening removes an incomplete last line. A line that is written only in part, because the disk is full, is removed
    again, so that the same event can be appended later without being lost or counted twice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn_at: int | None = None
        """Where a line begins that was written in part and could not be removed yet."""
        storage.truncate_torn_line(path)
        self._descriptor = storage.disk.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def append(self, event: Event) -> None:
        """Write one event. When this raises :class:`OSError`, the event is not in the log."""
        line = to_line(event).encode("utf-8", errors="backslashreplace") + b"\n"
        self._remove_torn_line()
        end = os.fstat(self._descriptor).st_size
        try:
            if storage.disk.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        except OSError:
            self._torn_at = end
            with contextlib.suppress(OSError):  # the next append tries again
                self._remove_torn_line()
            raise

    def sync(self) -> None:
        """Flush what was appended to the disk, also from another thread. Raises :class:`OSError`."""
        storage.disk.sync(self._descriptor)

    @property
    def removed(self) -> bool:
        """Whether the file at the path, which readers open, is another one or missing."""
        return not storage.leads_to(self._path, self._descriptor)

    def _remove_torn_line(self) -> None:
        """Remove an incomplete last line, with which an appended line would be lost."""
        if self._torn_at is not None:
            storage.disk.truncate(self._descriptor, self._torn_at)
            self._torn_at = None

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass(slots=True)
class EventTail:
    """Follows a run's log: each :meth:`read` returns the events whose lines were completed since the last one.

    No file is kept open, so the run can be renamed or deleted meanwhile. Lines that are not events are skipped.
    """

    _path: Path
    _position: int = 0

    def read(self) -> list[AnyEvent]:
        """The new events. Raises :class:`RunError` when the log is of a newer format."""
        events: list[AnyEvent] = []
        try:
            with storage.open_file(self._path) as file:
                if os.fstat(file.fileno()).st_size < self._position:  # it is another file now
                    self._position = 0
                file.seek(self._position)
                while (line := file.readline(MAX_LINE)).endswith(b"\n") or len(line) == MAX_LINE:
                    self._parse(line, events)  # which raises in the next call again
                    self._position += len(line)
        except (FileNotFoundError, NotADirectoryError):
            return events
        except OSError as error:
            raise RunError(f"The event log {self._path} cannot be read: {error.strerror}") from None
        return events

    def _parse(self, line: bytes, events: list[AnyEvent]) -> None:
        try:
            events.append(from_line(line))
        except OtherFormatError:
            raise
        except RunError:  # not an event
            return


def read_events(path: Path) -> Iterator[AnyEvent]:
    """All events of the log at ``path``; lines that are not events are skipped."""
    yield from EventTail(path).read()


def lasting_events(events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """``events`` without those that a resume or a new start made void: of later steps, which it repeats, and the loss
    on all of the held-out part, which belongs to an end. A pause in one process makes nothing void."""
    kept: list[AnyEvent] = []
    paused = False
    for event in events:
        if isinstance(event, Started):
            kept = []
        elif isinstance(event, Resumed) and not (paused and event.device is None):
            kept = [each for each in kept if each.step <= event.step and not getattr(each, "whole", False)]
        paused = isinstance(event, Paused) or (paused and not isinstance(event, Resumed))
        kept.append(event)
    return kept

"""The event log of a run: one writer that appends whole lines, and readers that follow it.

What the lines mean is in ``training.events``; how they become curves is in ``series``.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charlstm import storage
from charlstm.errors import NewerFormatError, RunError
from charlstm.training.events import AnyEvent, Event, from_line, to_line

MAX_LINE = 4_000_000
"""A line longer than this is no event."""

CHUNK = 1_000_000


class EventLog:
    """Appends events to ``path``, for the run's one writer.

    Opening mends a torn last line. A line that the disk takes only half of is taken back, so that the same event can
    be appended again when there is room: nothing is lost and nothing counted twice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._dirty = False
        self._lock = threading.Lock()  # checkpoints sync from a thread of their own
        storage.truncate_torn_line(path)
        self._descriptor = self._open()

    def append(self, event: Event, *, sync: bool = False) -> None:
        """Write one event. Raises :class:`OSError` when the disk does not take it; then it is not in the log."""
        line = to_line(event).encode("utf-8", errors="backslashreplace") + b"\n"
        with self._lock:
            end = os.fstat(self._descriptor).st_size
            self._dirty = True
            try:
                if storage.disk.write(self._descriptor, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            except OSError:
                storage.disk.truncate(self._descriptor, end)
                raise
        if sync:
            self.sync()

    def sync(self) -> None:
        """Make what was appended durable. Raises :class:`OSError` when the disk does not take it."""
        with self._lock:
            if self._dirty:
                storage.disk.sync(self._descriptor)
                self._dirty = False

    @property
    def removed(self) -> bool:
        """Whether another file, or none, is at its path, where readers look."""
        return not storage.leads_to(self._path, self._descriptor)

    def restore(self) -> bool:
        """After the file was removed, write all of it again, or go on with the one that is there now. ``False`` when
        the disk does not take it yet; what is appended until then is not lost."""
        with self._lock:
            try:
                if not storage.exists(self._path):
                    storage.replace_file(self._path, self._copy)
                storage.truncate_torn_line(self._path)
                descriptor = self._open()
            except OSError as error:
                if not storage.is_disk_trouble(error):
                    raise
                return False
            os.close(self._descriptor)
            self._descriptor = descriptor
        return True

    def _open(self) -> int:
        return storage.disk.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def _copy(self, file: BinaryIO) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        while content := os.read(self._descriptor, CHUNK):
            file.write(content)

    def close(self) -> None:
        os.close(self._descriptor)


class EventTail:
    """Follows a run's log: each :meth:`read` gives the events whose lines were completed since the one before.

    It holds no file open, so the run can be renamed or deleted meanwhile. Lines that are no events are passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def read(self, limit: int | None = None) -> list[AnyEvent]:
        """New events, at most about ``limit`` bytes of them when given; an empty list when there are none.

        Raises :class:`RunError` when the log is of a newer format.
        """
        events: list[AnyEvent] = []
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._position:  # not the file it was
                    self._position = 0
                file.seek(self._position)
                rest, start = b"", self._position
                # at least one line, or a limit that is shorter than it would stay there for ever
                while (limit is None or limit > 0 or self._position == start) and (chunk := file.read(CHUNK)):
                    limit = None if limit is None else limit - len(chunk)
                    lines = (rest + chunk).split(b"\n")
                    rest = lines.pop()
                    for line in lines:
                        self._position += len(line) + 1
                        self._take(line, events)
                    if len(rest) > MAX_LINE:
                        self._position += len(rest)
                        rest = b""
        except (FileNotFoundError, NotADirectoryError):
            return events
        except OSError as error:
            raise RunError(f"The event log {self._path} cannot be read: {error.strerror}") from None
        return events

    def _take(self, line: bytes, events: list[AnyEvent]) -> None:
        if not line.strip():
            return
        try:
            events.append(from_line(line))
        except NewerFormatError:
            raise
        except RunError:  # not an event
            return


def read_events(path: Path) -> Iterator[AnyEvent]:
    """All events of the log at ``path``; lines that are none are left out."""
    yield from EventTail(path).read()

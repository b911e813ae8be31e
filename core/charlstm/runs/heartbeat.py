"""The worker's sign of life: one small file of fixed size, rewritten in place each second by a thread.

In place and never longer, so that it can say "the disk is full" on a full disk. It carries what a list of runs shows,
so that nobody has to read logs for that. What the states mean for a reader is decided in ``status``.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from charlstm import storage
from charlstm.records import typed
from charlstm.runs import system

SIZE = 1024
"""Bytes of the file, always."""

FRESH = 10.0
"""Seconds for which another host's worker is believed to be there. On this host the lock is asked, however long a
worker is silent; only the words about it change then."""

_FIGURES = ("step", "planned", "best_val", "best_whole", "best_step", "train_seconds")

FINAL = ("stopped", "finished", "failed")
"""States in which the worker has left for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What the heartbeat says. ``start`` is the process's start as ``system.process_start`` words it, ``memory`` its
    resident bytes, ``time`` Unix seconds of the writing, ``best_val`` nats per character; ``best_whole``:
    it is over all that is held out and no estimate from slices (``None``: not said, as by 0.1)."""

    state: str
    step: int = 0
    planned: int | None = None
    message: str = ""
    best_val: float | None = None
    best_whole: bool | None = None
    best_step: int | None = None
    train_seconds: float = 0.0
    pid: int = field(default_factory=os.getpid)
    start: str = field(default_factory=lambda: _own_start())
    host: str = field(default_factory=system.host)
    boot: str = field(default_factory=system.boot_id)
    memory: int | None = None
    time: float = field(default_factory=time.time)

    def to_bytes(self) -> bytes:
        """JSON in exactly ``SIZE`` bytes; a message that is too long is cut."""
        message = self.message
        while True:
            values = {"format": 1, **asdict(self), "message": message}
            words = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            # names of files need not be Unicode, and JSON's escape for half a surrogate pair is Python's
            line = words.encode("utf-8", errors="backslashreplace")
            if len(line) < SIZE:
                return line.ljust(SIZE - 1) + b"\n"
            message = message[: max(0, len(message) - max(1, (len(line) - SIZE) // 4) - 2)] + "…"

    @property
    def is_here(self) -> bool:
        """Whether it was written on this machine. A machine's name can change while it runs, on some networks by
        itself, so the boot is compared first. The name decides after a restart, and on systems without a boot id."""
        return (bool(self.boot) and self.boot == system.boot_id()) or self.host == system.host()

    @property
    def is_of_living(self) -> bool:
        """Whether the process that it speaks of is still there, by this machine's table of processes."""
        return self.boot == system.boot_id() and system.is_same_process(self.pid, self.start)

    def age(self, now: float | None = None) -> float:
        """Seconds since it was written; never negative, since clocks are set back."""
        return max(0.0, (time.time() if now is None else now) - self.time)


def read(path: Path) -> Beat | None:
    """What the heartbeat at ``path`` says; ``None`` when there is none or it cannot be read."""
    for _ in range(3):  # a reader can meet the writer halfway
        try:
            with path.open("rb") as file:
                values: dict[str, Any] = json.loads(file.read(SIZE))
            return Beat(**{"pid": 0, "start": "", "host": "", "boot": "", "time": 0.0, **typed(Beat, values)})
        except OSError:
            return None
        except (ValueError, TypeError, RecursionError):
            continue
    return None


def write(path: Path, beat: Beat) -> None:
    """Write ``beat`` once, in the stead of a worker that is about to be started. Raises :class:`OSError`."""
    descriptor = _open(path)
    try:
        storage.disk.write(descriptor, beat.to_bytes())
    finally:
        os.close(descriptor)


class Heartbeat:
    """Writes beats to ``path`` each second from a thread of its own until it is closed; a context manager.

    ``update`` may be called from any thread and at any rate; a change of state is written at once. A disk that refuses
    is ignored: the next second tries again, and a sign of life must not end the life. It starts with ``first`` and the
    figures (step, best and so on) that stand in the file already. Who holds the run's lock gives a ``first`` from
    before it did: to learn when this process started, some systems start another program.
    """

    def __init__(self, path: Path, first: Beat | None = None, *, interval: float = 1.0) -> None:
        self._path = path
        self._interval = interval
        before = read(path)
        figures = {} if before is None else {name: getattr(before, name) for name in _FIGURES}
        self._beat = replace(first or Beat(state="starting"), **figures)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._silent = False
        self._descriptor: int | None = None
        self._write()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def beat(self) -> Beat:
        """What is being said."""
        return self._beat

    def update(self, **changes: Any) -> None:
        """Say something else from now on (fields of :class:`Beat`)."""
        with self._lock:
            before, self._beat = self._beat, replace(self._beat, **changes)
            if before.state != self._beat.state:
                self._write()

    def fall_silent(self) -> None:
        """Write nothing any more: the file may be another worker's, or its folder is being deleted."""
        with self._lock:
            self._silent = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write a last time and stop."""
        self._closed.set()
        self._thread.join(timeout=5)
        with self._lock:
            self._write()
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            with self._lock:
                self._write()

    def _write(self) -> None:
        if self._silent:
            return
        self._beat = replace(self._beat, time=time.time(), memory=system.memory_bytes())
        with contextlib.suppress(OSError):
            if self._descriptor is not None and not storage.leads_to(self._path, self._descriptor):
                os.close(self._descriptor)  # it was removed, or the folder vanished, which can come back
                self._descriptor = None
            if self._descriptor is None:
                self._descriptor = _open(self._path)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            storage.disk.write(self._descriptor, self._beat.to_bytes())


def _open(path: Path) -> int:
    if path.is_symlink():  # in its place a file is made; what it leads to is somebody's
        storage.disk.unlink(path)
    return storage.disk.open(path, os.O_RDWR | os.O_CREAT)


def _own_start() -> str:
    return system.process_start(os.getpid()) or ""

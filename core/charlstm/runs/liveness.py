"""The lock and the heartbeat of a run.

The lock makes a worker the only one that trains its run. It is an OS lock, which the system releases when the process
ends for any reason. It is held on the file ``lock``; a worker whose file was removed saves its state and ends. After
taking it a process must not fork, because the child would hold it too. ``system.is_locked`` tests it.

The heartbeat is a small file in which the worker reports its state each second.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from charlstm import storage, system
from charlstm.errors import Advice, RunError
from charlstm.fields import plain, read
from charlstm.runs.contention import ContentionMeter

if TYPE_CHECKING:
    from filelock import BaseFileLock


LOCK_TIMEOUT = 2.0
"""Seconds for which a starting worker tries again: another process may be testing the lock for an instant."""


class LockHeldError(RunError):
    """Another process holds the lock."""


class RunLock:
    """A held lock. The run's folder is kept open, so that another folder at its path is recognised."""

    def __init__(self, path: Path, lock: BaseFileLock, folder: int) -> None:
        self._path = path
        self._lock = lock
        self.folder = folder
        """Descriptor of the run's folder."""
        self._inode = self._inode_of(path.name)

    @property
    def folder_is_deleted(self) -> bool:
        """Whether the folder, wherever it is now, is no run's any more. False when the disk does not answer."""
        try:
            return self._inode_of("run.json") is None
        except OSError:
            return False

    def problem(self) -> str:
        """What was done to the folder or the lock while the run trained, in a sentence; empty when nothing was, or the
        disk does not answer. Cheap enough for between two steps."""
        moved = "its folder was moved or replaced while it trained; resume it under its new name"
        if self.folder_is_deleted:
            return "its folder was deleted while it trained"
        try:
            if not os.path.samestat(os.stat(self._path.parent), os.fstat(self.folder)):
                return moved
            if self._inode_of(self._path.name) != self._inode:
                return "its file `lock` was removed while it trained; resume it"
        except (FileNotFoundError, NotADirectoryError):
            return moved
        except OSError:  # a disk that does not answer proves nothing
            pass
        return ""

    def release(self) -> None:
        """Release the lock and close the folder."""
        self._lock.release()
        os.close(self.folder)

    def _inode_of(self, name: str) -> int | None:
        try:
            return os.stat(name, dir_fd=self.folder).st_ino
        except FileNotFoundError:
            return None


def acquire_lock(path: Path, *, patience: float = LOCK_TIMEOUT) -> RunLock:
    """Take the lock at ``path``, in a run's folder. It is held until ``release()`` or the end of the process. Tries for
    ``patience`` seconds.

    Raises :class:`LockHeldError` when another process holds it, :class:`~charlstm.errors.RunError` when the folder is
    not there, the lock cannot be used or its file system has no locks.
    """
    name = path.parent.name
    try:
        folder = system.open_folder(path.parent)
        try:
            lock = storage.take_lock(path, patience)
            if lock is None:
                sentence = f"The file system of {path.parent} has no locks: keep runs in a folder on another one"
                raise RunError(sentence, Advice("choose_runs_dir"))
        except BaseException:
            os.close(folder)
            raise
    except BlockingIOError:
        sentence = f"Another worker is already training the run {name}: watch it, or stop it first"
        raise LockHeldError(sentence, Advice("watch", name), Advice("stop", name)) from None
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"There is no run in {path.parent} any more") from None
    except OSError as error:
        raise RunError(f"The run {name} cannot be locked: {error.strerror}") from None
    return RunLock(path, lock, folder)


HEARTBEAT_BYTES = 1024
"""Size of the file in bytes."""

FRESH_SECONDS = 10.0
"""Age in seconds up to which a heartbeat of another host counts as alive. On this host the lock decides, and an older
heartbeat changes only the message."""

_WRITTEN_AS = {"planned_steps": "planned", "loss": "best_val"}
"""Figures that have another name in the file."""

ENDED_STATES = ("stopped", "finished", "failed")
"""States in which the run has no worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """How far a run is and how good its model is: what the heartbeat and the status of a run share.

    Attributes:
        planned_steps: None until the run is planned.
        loss: of the best model, the lowest validation loss in nats per character; None before the first validation.
        best_whole: whether ``loss`` is over the whole held-out part, as of runs that ended by themselves; else it is
            estimated from slices of that part.
        train_seconds: time of the training steps alone.
        work_seconds: time of the run so far, without pauses: training, validations and samples.
        progress: the fraction of the whole run that is done, 0 to 1, the final validation included; None until the run
            is planned.
        seconds_left: until the end of the run, estimated; None if it does not train.
        validated: the fraction of the final validation that is done; None before it.
        read_share: the share of the held-out part, 0 to 1, that the model had read before: a loss on it is lower than
            on new text. None if unknown.
        read_by: the model that had read it, from which training started; empty where the training part has the same
            words. None where no other model had read it.
    """

    step: int = 0
    planned_steps: int | None = None
    loss: float | None = None
    best_whole: bool = False
    best_step: int | None = None
    train_seconds: float = 0.0
    work_seconds: float = 0.0
    progress: float | None = None
    seconds_left: float | None = None
    validated: float | None = None
    read_share: float | None = None
    read_by: str | None = None

    def by_name(self) -> dict[str, Any]:
        """The figures by name, without what a subclass has beside them."""
        return {each.name: getattr(self, each.name) for each in fields(RunFigures)}

    def still_true(self) -> dict[str, Any]:
        """Fields that still hold when another worker begins."""
        return self.by_name() | {"seconds_left": None, "validated": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatRecord(RunFigures):
    """The content of the heartbeat file.

    ``start``: when the process started, by ``system.process_start``. ``memory``: its resident bytes. ``time``: Unix
    seconds of this record. ``slowdown``: how many times as long training takes because other programs use the
    processor (see ``runs.contention``).
    """

    state: str
    message: str = ""
    pid: int = field(default_factory=os.getpid)
    start: str = field(default_factory=lambda: system.process_start(os.getpid()) or "")
    host: str = field(default_factory=system.host)
    boot: str = field(default_factory=system.boot_id)
    memory: int | None = None
    slowdown: float | None = None
    time: float = field(default_factory=time.time)

    def to_bytes(self) -> bytes:
        """JSON of exactly ``HEARTBEAT_BYTES`` bytes. A message that is too long is cut."""
        message, read_by = self.message, self.read_by and self.read_by[:100]  # which may come from any model file
        while True:
            values = {"format": 1, **plain(self), "message": message, "read_by": read_by}
            values |= {written: values.pop(name) for name, written in _WRITTEN_AS.items()}
            words = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            # file names in messages may contain lone surrogates, for which JSON and Python have the same escape
            line = words.encode("utf-8", errors="backslashreplace")
            if len(line) < HEARTBEAT_BYTES:
                return line.ljust(HEARTBEAT_BYTES - 1) + b"\n"
            message = message[: max(0, len(message) - max(1, (len(line) - HEARTBEAT_BYTES) // 4) - 2)] + "…"

    @property
    def is_from_this_machine(self) -> bool:
        """Whether this machine wrote the record. On some networks a machine's name changes while it runs, so the boot
        id is compared first. The name decides after a restart, and on systems without a boot id."""
        return (bool(self.boot) and self.boot == system.boot_id()) or self.host == system.host()

    @property
    def process_is_alive(self) -> bool:
        """Whether its process still runs, by this machine's process table."""
        return self.boot == system.boot_id() and system.is_same_process(self.pid, self.start)

    def age(self, now: float | None = None) -> float:
        """Seconds since it was written; 0 when the clock was set back."""
        return max(0.0, (time.time() if now is None else now) - self.time)


def read_heartbeat(path: Path) -> HeartbeatRecord | None:
    """The heartbeat at ``path``; ``None`` when there is none or it cannot be read."""
    for _ in range(3):  # the writer may be in the middle of it
        try:
            with storage.open_file(path) as file:
                unknown = {"pid": 0, "start": "", "host": "", "boot": "", "time": 0.0}
                values: dict[str, Any] = unknown | dict(json.loads(file.read(HEARTBEAT_BYTES)))
            figures = {name: values.get(written) for name, written in _WRITTEN_AS.items()}
            return read(HeartbeatRecord, values | figures)
        except OSError:
            return None
        except (ValueError, TypeError, RecursionError):
            continue
    return None


def write_heartbeat(path: Path, beat: HeartbeatRecord) -> None:
    """Write ``beat`` over the heartbeat at ``path``. Raises :class:`OSError`."""
    if path.is_symlink():  # replaced by a file; the file that it leads to is not ours
        storage.disk.unlink(path)
    descriptor = storage.disk.open(path, os.O_RDWR | os.O_CREAT)
    try:
        storage.disk.write(descriptor, beat.to_bytes())
    finally:
        os.close(descriptor)


class Heartbeat:
    """Writes a record to ``path`` each second from its own thread, until it is closed. A context manager.

    ``update`` may be called from any thread and as often as needed; a change of state or message is written at once.
    Disk errors are ignored, and the next second tries again. It starts with ``first`` and the figures (step, best loss
    and so on) that are in the file already. A process that takes the run's lock makes ``first``
    before that: to learn when this process started, some systems start another program.
    """

    def __init__(self, path: Path, first: HeartbeatRecord, *, interval: float = 1.0) -> None:
        self._path = path
        self._interval = interval
        before = read_heartbeat(path)
        figures = {} if before is None else before.still_true()
        self._record = replace(first, **figures)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._meter = ContentionMeter()
        self._write()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def record(self) -> HeartbeatRecord:
        """What is written each second."""
        return self._record

    def update(self, **changes: Any) -> None:
        """Change fields of the :class:`HeartbeatRecord`."""
        with self._lock:
            before, self._record = self._record, replace(self._record, **changes)
            if (before.state, before.message) != (self._record.state, self._record.message):
                self._write()

    @property
    def slowdown(self) -> float | None:
        """How much slower other programs have made this process so far, since the heartbeat began."""
        return self._meter.overall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write a last record and stop."""
        self._closed.set()
        self._thread.join(timeout=5)
        with self._lock:
            self._write()

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            with self._lock:
                self._write()

    def _write(self) -> None:
        slowdown = self._meter.read()
        self._record = replace(
            self._record,
            time=time.time(),
            memory=system.memory_bytes(),
            slowdown=None if slowdown is None else round(slowdown, 2),
        )
        with contextlib.suppress(OSError):
            # else the folder is being deleted, which a new file in it would prevent
            if storage.exists(self._path.with_name("run.json")):
                write_heartbeat(self._path, self._record)

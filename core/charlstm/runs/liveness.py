"""The lock that makes a worker the one writer of its run. The system lets go of it when the process ends, however.

It is an OS lock, never a file whose mere presence means something: on the file ``lock``, and on the run's folder, so
that removing the file frees nothing. After taking it a process must not fork: the child would hold it too. Whether
somebody holds it is asked of ``system.is_locked``.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from charlstm import storage, system
from charlstm.errors import Advice, RunError
from charlstm.json_fields import typed_fields

if TYPE_CHECKING:
    from filelock import BaseFileLock


LOCK_TIMEOUT = 2.0
"""Seconds for which a starting worker tries again: somebody may be probing."""

POLL = 0.02

Loss = Literal["deleted", "moved", "unlocked"]
"""The folder is no run any more; its path leads elsewhere or nowhere; another process may have taken the lock."""


class LockHeldError(RunError):
    """Another process holds the lock."""


class RunLock:
    """A lock that is held, and the run's folder, which is kept open so that it can be told from another at its path."""

    def __init__(self, path: Path, lock: BaseFileLock, folder: int | None, folder_locked: bool) -> None:
        self._path = path
        self._lock = lock
        self.folder = folder
        """Descriptor of the run's folder; ``None`` on Windows."""
        self._inode = None if folder is None or folder_locked else self._inode_of(path.name)

    def loss(self) -> Loss | None:
        """Why the holder must not go on writing, if so. A few cheap calls of the system, for between two steps."""
        if self.folder is None:
            return None
        try:
            if not _is_at(self._path.parent, os.fstat(self.folder)):
                return "moved" if self.is_a_run else "deleted"
            if self._inode is not None and self._inode_of(self._path.name) != self._inode:
                return "unlocked"
        except OSError:  # a disk that does not answer has moved nothing
            return None
        return None

    @property
    def is_a_run(self) -> bool:
        """Whether the folder, wherever it is, still has its ``run.json``."""
        try:
            return self.folder is None or self._inode_of("run.json") is not None
        except OSError:  # a disk that does not answer has lost nothing
            return True

    def release(self) -> None:
        """Let go of the lock and of the folder."""
        self._lock.release()
        if self.folder is not None:
            os.close(self.folder)
            self.folder = None

    def _inode_of(self, name: str) -> int | None:
        try:
            return os.stat(name, dir_fd=self.folder).st_ino
        except FileNotFoundError:
            return None


def acquire_lock(path: Path, *, patience: float = LOCK_TIMEOUT) -> RunLock:
    """Take the lock at ``path``, in a run's folder; it is held until the process ends or ``release()`` is called on
    what comes back.

    Raises :class:`LockHeldError` when another process holds it, :class:`~charlstm.errors.RunError` when the folder is
    not there or its file system has no locks.
    """
    if path.is_symlink():  # it would be followed, and filelock empties what it opens
        raise RunError(f"{path} is a link to another file; remove the link")
    deadline = time.monotonic() + patience
    try:
        folder = system.open_folder(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"There is no run in {path.parent} any more") from None
    try:
        lock = _take_file(path, patience)
        while (locked := system.lock_folder(folder)) is False:
            if time.monotonic() >= deadline:
                lock.release()
                raise _held(path)
            time.sleep(POLL)
    except BaseException:
        if folder is not None:
            os.close(folder)
        raise
    return RunLock(path, lock, folder, folder_locked=bool(locked))


def _take_file(path: Path, patience: float) -> BaseFileLock:
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(path, timeout=patience, mode=storage.PRIVATE_FILE, thread_local=False)
    try:
        lock.acquire(poll_interval=POLL)
    except Timeout:
        raise _held(path) from None
    except NotImplementedError:
        raise _no_locks(path) from None
    if isinstance(lock, SoftFileLock):  # newer filelock falls back to one where the system has no locks
        lock.release()
        raise _no_locks(path)
    return lock


def _is_at(path: Path, folder: os.stat_result) -> bool:
    """Whether ``path`` leads to ``folder``. A disk that was unmounted may come back: then the nearest folder above that
    is still there is on another one."""
    for above in (path, *path.parents):
        try:
            found = os.stat(above)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return os.path.samestat(found, folder) if above == path else found.st_dev != folder.st_dev
    return True


def _held(path: Path) -> LockHeldError:
    name = path.parent.name
    return LockHeldError(
        f"Another worker is already training the run {name}: watch it, or stop it first",
        Advice("watch", name),
        Advice("stop", name),
    )


def _no_locks(path: Path) -> RunError:
    return RunError(
        f"The file system of {path.parent} has no locks: keep runs in a folder on another one",
        Advice("choose_runs_dir"),
    )


HEARTBEAT_BYTES = 1024
"""Bytes of the file, always."""

FRESH_SECONDS = 10.0
"""Seconds for which another host's worker is believed to be there. On this host the lock is asked, however long a
worker is silent; only the words about it change then."""

_FIGURES = ("step", "planned", "best_val", "best_whole", "best_step", "train_seconds")

ENDED_STATES = ("stopped", "finished", "failed")
"""States in which the worker has left for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatRecord:
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
        """JSON in exactly ``HEARTBEAT_BYTES`` bytes; a message that is too long is cut."""
        message = self.message
        while True:
            values = {"format": 1, **asdict(self), "message": message}
            words = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            # names of files need not be Unicode, and JSON's escape for half a surrogate pair is Python's
            line = words.encode("utf-8", errors="backslashreplace")
            if len(line) < HEARTBEAT_BYTES:
                return line.ljust(HEARTBEAT_BYTES - 1) + b"\n"
            message = message[: max(0, len(message) - max(1, (len(line) - HEARTBEAT_BYTES) // 4) - 2)] + "…"

    @property
    def is_from_this_machine(self) -> bool:
        """Whether it was written on this machine. A machine's name can change while it runs, on some networks by
        itself, so the boot is compared first. The name decides after a restart, and on systems without a boot id."""
        return (bool(self.boot) and self.boot == system.boot_id()) or self.host == system.host()

    @property
    def process_is_alive(self) -> bool:
        """Whether the process that it speaks of is still there, by this machine's table of processes."""
        return self.boot == system.boot_id() and system.is_same_process(self.pid, self.start)

    def age(self, now: float | None = None) -> float:
        """Seconds since it was written; never negative, since clocks are set back."""
        return max(0.0, (time.time() if now is None else now) - self.time)


def read_heartbeat(path: Path) -> HeartbeatRecord | None:
    """What the heartbeat at ``path`` says; ``None`` when there is none or it cannot be read."""
    for _ in range(3):  # a reader can meet the writer halfway
        try:
            with path.open("rb") as file:
                values: dict[str, Any] = json.loads(file.read(HEARTBEAT_BYTES))
            return HeartbeatRecord(
                **{"pid": 0, "start": "", "host": "", "boot": "", "time": 0.0, **typed_fields(HeartbeatRecord, values)}
            )
        except OSError:
            return None
        except (ValueError, TypeError, RecursionError):
            continue
    return None


def write_heartbeat(path: Path, beat: HeartbeatRecord) -> None:
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

    def __init__(self, path: Path, first: HeartbeatRecord | None = None, *, interval: float = 1.0) -> None:
        self._path = path
        self._interval = interval
        before = read_heartbeat(path)
        figures = {} if before is None else {name: getattr(before, name) for name in _FIGURES}
        self._record = replace(first or HeartbeatRecord(state="starting"), **figures)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._writes = True
        self._descriptor: int | None = None
        self._write()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def record(self) -> HeartbeatRecord:
        """What is written each second."""
        return self._record

    def update(self, **changes: Any) -> None:
        """Say something else from now on (fields of :class:`HeartbeatRecord`)."""
        with self._lock:
            before, self._record = self._record, replace(self._record, **changes)
            if before.state != self._record.state:
                self._write()

    def stop_writing(self) -> None:
        """Write nothing more: the file may be another worker's, or its folder is being deleted."""
        with self._lock:
            self._writes = False

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
        if not self._writes:
            return
        self._record = replace(self._record, time=time.time(), memory=system.memory_bytes())
        with contextlib.suppress(OSError):
            if self._descriptor is not None and not storage.leads_to(self._path, self._descriptor):
                os.close(self._descriptor)  # it was removed, or the folder vanished, which can come back
                self._descriptor = None
            if self._descriptor is None:
                self._descriptor = _open(self._path)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            storage.disk.write(self._descriptor, self._record.to_bytes())


def _open(path: Path) -> int:
    if path.is_symlink():  # in its place a file is made; what it leads to is somebody's
        storage.disk.unlink(path)
    return storage.disk.open(path, os.O_RDWR | os.O_CREAT)


def _own_start() -> str:
    return system.process_start(os.getpid()) or ""

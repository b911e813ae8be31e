"""The lock that makes a worker the one writer of its run. The system lets go of it when the process ends, however.

It is an OS lock, never a file whose mere presence means something: on the file ``lock``, and on the run's folder, so
that removing the file frees nothing. After taking it a process must not fork: the child would hold it too. Whether
somebody holds it is asked of ``system.is_locked``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from charlstm import storage
from charlstm.errors import RunError
from charlstm.runs import system
from charlstm.text.visible import shell_command

if TYPE_CHECKING:
    from filelock import BaseFileLock

PATIENCE = 2.0
"""Seconds for which a starting worker tries again: somebody may be probing."""

POLL = 0.02

Loss = Literal["deleted", "moved", "unlocked"]
"""The folder is no run any more; its path leads elsewhere or nowhere; another process may have taken the lock."""


class HeldError(RunError):
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


def take(path: Path, *, patience: float = PATIENCE) -> RunLock:
    """Take the lock at ``path``, in a run's folder; it is held until the process ends or ``release()`` is called on
    what comes back.

    Raises :class:`HeldError` when another process holds it, :class:`~charlstm.errors.RunError` when the folder is not
    there or its file system has no locks.
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


def _held(path: Path) -> HeldError:
    name = path.parent.name
    return HeldError(
        f"Another worker is already on the run {name}: watch it with `{shell_command('watch', name)}`, "
        f"or end it with `{shell_command('control', name, 'stop')}`"
    )


def _no_locks(path: Path) -> RunError:
    return RunError(f"The file system of {path.parent} has no locks; keep runs on another with --runs-dir")

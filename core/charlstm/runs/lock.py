"""The lock that makes a worker the one writer of its run. The system lets go of it when the process ends, however.

It is an OS lock, never a file whose mere presence means something. After taking it a process must not fork: the child
would hold it too. Whether somebody holds it is asked of ``system.is_locked``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charlstm import storage
from charlstm.errors import RunError

if TYPE_CHECKING:
    from filelock import BaseFileLock

PATIENCE = 2.0
"""Seconds for which a starting worker tries again: somebody may be probing."""


class HeldError(RunError):
    """Another process holds the lock."""


def take(path: Path, *, patience: float = PATIENCE) -> BaseFileLock:
    """Take the lock at ``path``; it is held until the process ends or ``release()`` is called on what comes back.

    Raises :class:`HeldError` when another process holds it, :class:`~charlstm.errors.RunError` when the file system has
    no locks.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(path, timeout=patience, mode=storage.PRIVATE_FILE, thread_local=False)
    try:
        lock.acquire(poll_interval=0.02)
    except Timeout:
        name = path.parent.name
        raise HeldError(
            f"Another worker is already on the run {name}: watch it with `charlstm watch {name}`, "
            f"or end it with `charlstm control {name} stop`"
        ) from None
    except NotImplementedError:
        raise _no_locks(path) from None
    if isinstance(lock, SoftFileLock):  # newer filelock falls back to one where the system has no locks
        lock.release()
        raise _no_locks(path)
    return lock


def _no_locks(path: Path) -> RunError:
    return RunError(f"The file system of {path.parent} has no locks; keep runs on another with --runs-dir")

"""Faulty disks: one that fails at the nth change, and one that loses power. And a file system
without locks.

Every write, truncation, sync, rename, link, unlink and rmdir of the program is a method of these classes, so that a
test can fail or kill the program before each of them in turn.
"""

import errno
import fcntl
import functools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from charlstm import storage
from charlstm.storage import Disk

use_disk = functools.partial(mock.patch.object, storage, "disk")
"""A context in which the program uses another disk: ``with use_disk(FaultyDisk(0))``."""


class FaultyDisk(Disk):
    """Call ``fault()`` instead of change number ``at`` (from 0), and with ``again`` instead of all later ones too.

    With ``half``, half of a write is written first. ``calls`` counts the changes. ``only`` names the methods that are
    counted and may fail; all by default.
    """

    def __init__(
        self, at: int | None = None, fault: Callable[[], Any] | None = None, *, half: bool = False,
        only: frozenset[str] = frozenset(), again: bool = False,
    ) -> None:  # fmt: skip
        self.at, self.calls = at, 0
        self._fault = fault or full
        self._half, self._only, self._again = half, only, again
        self._lock = threading.RLock()  # no other thread changes anything during the fault

    def _hit(self, name: str) -> bool:
        if self._only and name not in self._only:
            return False
        self.calls += 1
        return self.at is not None and (self.calls == self.at + 1 or (self._again and self.calls > self.at))

    def write(self, descriptor: int, data: Any) -> int:
        with self._lock:
            if self._hit("write"):
                if self._half:
                    super().write(descriptor, memoryview(data)[: len(memoryview(data)) // 2])
                self._fault()
            return super().write(descriptor, data)


def _counted(name: str) -> Callable[..., None]:
    def change(self: FaultyDisk, *arguments: Any) -> None:
        with self._lock:
            if self._hit(name):
                self._fault()
            getattr(Disk, name)(self, *arguments)

    return change


for _name in ("truncate", "sync", "rename", "link", "unlink", "rmdir", "sync_folder"):
    setattr(FaultyDisk, _name, _counted(_name))


def full() -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class PowerLossDisk(FaultyDisk):
    """Simulate a power cut before change number ``at``: undo in ``root`` what was not synced, and kill the process.

    A file gets the content of its last sync, a folder the names of its last sync. With ``names_first``, names are kept
    that were not synced: a journaling file system often writes a rename before the content of the file.
    """

    def __init__(self, root: Path, at: int | None = None, *, names_first: bool = False) -> None:
        super().__init__(at, self._cut)
        self._root, self._names_first = root, names_first
        self._inodes: dict[int, bytes] = {}
        self._folders: dict[Path, dict[str, int]] = {}
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            self._folders[folder] = self._names(folder)
            for name, inode in self._folders[folder].items():
                self._inodes[inode] = (folder / name).read_bytes()

    def sync(self, descriptor: int) -> None:
        with self._lock:
            super().sync(descriptor)
            with open(f"/proc/self/fd/{descriptor}", "rb") as file:
                self._inodes[os.fstat(descriptor).st_ino] = file.read()

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            super().link(source, target)
            if not source.is_relative_to(self._root):  # a file of the cache, which was synced there
                self._inodes[source.stat().st_ino] = source.read_bytes()

    def sync_folder(self, folder: Path) -> None:
        with self._lock:
            super().sync_folder(folder)
            self._folders[folder] = self._names(folder)

    @staticmethod
    def _names(folder: Path) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in folder.iterdir() if path.is_file()}

    def _cut(self) -> None:
        for folder in (self._root, *(path for path in self._root.rglob("*") if path.is_dir())):
            names = self._names(folder) if self._names_first else self._folders.get(folder, {})
            for path in [path for path in folder.iterdir() if path.is_file() and path.name != "lock"]:
                path.unlink()
            for name, inode in names.items():
                if name != "lock":
                    (folder / name).write_bytes(self._inodes.get(inode, b""))
        killed()


def killed() -> None:
    """Kill this process with SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def have_no_locks(monkeypatch: pytest.MonkeyPatch, answer: int = errno.ENOSYS) -> None:
    """Make every file system one without locks, which gives the error ``answer`` to who wants one."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(fcntl, "flock", refuse)

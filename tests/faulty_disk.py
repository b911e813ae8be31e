"""Disks that go wrong, for ``storage.using``: one that fails or takes half at the nth change, and one that counts.

Every write, truncation, sync, rename, link and unlink of the program passes here, so that a test can stop the world
before each of them in turn.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charlstm.storage import Disk


class FaultyDisk(Disk):
    """Does ``fault()`` in place of change number ``at`` (from 0), and with ``half`` first writes half of it.

    ``calls`` counts the changes; ``only`` (their names) leaves the others alone and uncounted.
    """

    def __init__(
        self,
        at: int | None = None,
        fault: Callable[[], Any] | None = None,
        *,
        half: bool = False,
        only: frozenset[str] = frozenset(),
        again: bool = False,
    ) -> None:
        self.at, self.calls = at, 0
        self._fault = fault or full
        self._half, self._only, self._again = half, only, again

    def _hit(self, name: str) -> bool:
        if self._only and name not in self._only:
            return False
        self.calls += 1
        return self.at is not None and (self.calls == self.at + 1 or (self._again and self.calls > self.at))

    def write(self, descriptor: int, data: Any) -> int:
        if self._hit("write"):
            if self._half:
                super().write(descriptor, memoryview(data)[: len(memoryview(data)) // 2])
            self._fault()
        return super().write(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        if self._hit("truncate"):
            self._fault()
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        if self._hit("sync"):
            self._fault()
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        if self._hit("rename"):
            self._fault()
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        if self._hit("link"):
            self._fault()
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        if self._hit("unlink"):
            self._fault()
        super().unlink(path)

    def sync_folder(self, folder: Path) -> None:
        if self._hit("sync_folder"):
            self._fault()
        super().sync_folder(folder)


class Killed(BaseException):
    """Stands for kill -9 in a test that goes on afterwards: nothing in the program catches it to tidy up on disk."""


def full() -> None:
    """The disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

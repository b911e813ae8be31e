"""Files that survive a crash: replaced atomically and synced, appended one write a line, or rewritten in place.

Every file that the program keeps goes through here, and every call that changes the disk goes through one
:class:`Disk`. That is the seam at which tests fill the disk, kill the process or forget what was not synced:
``with storage.using(faulty): ...``. The module knows nothing of what the files mean.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
CLOCK_GRAIN_NS = 2_000_000_000
"""Two changes of a file within this time may leave it the same times: FAT counts in two seconds."""
_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM}
_TROUBLE |= {errno.ESTALE, errno.EFBIG, errno.ENODEV, errno.ENXIO, errno.ELOOP}
_TROUBLE |= {errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNABORTED, errno.EHOSTUNREACH}  # of disks over a network


class Disk:
    """The calls that change what is on the disk, nothing more. Tests put another in its place."""

    def open(self, path: Path, flags: int, mode: int = PRIVATE_FILE) -> int:
        """A descriptor; a file that is made gets the permissions ``mode``, less the umask. A symbolic link is not
        followed: what it leads to is another file, which only looks like one of the program's."""
        for flag in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW"):
            flags |= getattr(os, flag, 0)
        name, folder = _at(path)
        try:
            return os.open(name, flags, mode, dir_fd=folder)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise OSError(errno.ELOOP, f"{path.name} is a link to another file; remove the link", str(path)) from None

    def write(self, descriptor: int, data: Buffer) -> int:
        """Write at the descriptor's position; how many bytes went in."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Make the file's content durable."""
        sync_file(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give ``source`` the name ``target``, which it replaces."""
        (old, old_folder), (new, new_folder) = _at(source), _at(target)
        os.replace(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def link(self, source: Path, target: Path) -> None:
        """Give ``source`` a second name."""
        (old, old_folder), (new, new_folder) = _at(source), _at(target)
        os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def unlink(self, path: Path) -> None:
        """Remove the name ``path`` if it is there."""
        name, folder = _at(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in ``folder`` durable, where the system can (Windows has no such call)."""
        if os.name == "nt":
            return
        name, anchor = _at(folder)
        descriptor = os.open(name, os.O_RDONLY, dir_fd=anchor)
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)


def sync_file(descriptor: int) -> None:
    """Bring what was written through the drive's own cache: fsync, which on macOS ends before that."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # a file system that does not know it, such as a network's
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


disk = Disk()


@contextlib.contextmanager
def use_disk(other: Disk) -> Iterator[Disk]:
    """Let ``other`` be the disk inside the block. For tests."""
    global disk
    before, disk = disk, other
    try:
        yield other
    finally:
        disk = before


_anchors: dict[str, int] = {}


@contextlib.contextmanager
def anchored(folder: Path, descriptor: int | None) -> Iterator[None]:
    """Inside the block every change below the path ``folder`` is made in the folder that ``descriptor`` has open, even
    when that one was moved and the path leads to another. Without a descriptor (Windows) the block changes nothing.
    """
    if descriptor is None:
        yield
        return
    _anchors[str(folder)] = descriptor
    try:
        yield
    finally:
        del _anchors[str(folder)]


def _at(path: Path) -> tuple[str, int | None]:
    """``path`` as the system's calls take it: a name, and the descriptor of the folder that it is relative to."""
    name = str(path)
    for folder, descriptor in list(_anchors.items()):  # other threads make and end runs of their own
        if name == folder:
            return ".", descriptor
        if name.startswith(folder + os.sep):
            return name[len(folder) + 1 :], descriptor
    return name, None


def exists(path: Path) -> bool:
    """Whether something is at ``path``, below an anchored folder too. Raises :class:`OSError` when nobody can tell."""
    name, folder = _at(path)
    try:
        os.stat(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def leads_to(path: Path, descriptor: int) -> bool:
    """Whether ``path`` still leads to the file that ``descriptor`` has open; also when the disk does not answer."""
    name, folder = _at(path)
    try:
        return os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def is_disk_trouble(error: BaseException) -> bool:
    """Whether ``error`` is a disk that is full, over quota, read-only, failing or gone: worth waiting for."""
    return isinstance(error, OSError) and error.errno in _TROUBLE


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable, where the system can."""
    disk.sync_folder(folder)


def make_folder(path: Path) -> None:
    """Create ``path`` for the user alone. Raises :class:`FileExistsError` when it is there already."""
    name, folder = _at(path)
    os.mkdir(name, PRIVATE_FOLDER, dir_fd=folder)
    sync_folder(path.parent)


def replace_file(
    path: Path,
    write: Callable[[BinaryIO], None],
    *,
    keep: Path | None = None,
    mode: int | None = PRIVATE_FILE,
    overwrite: bool = True,
) -> None:
    """Write ``path`` so that a reader or a crash sees the old content or the new, never a part.

    The bytes go into a file beside it, which is synced and renamed; then the folder is synced. If ``write`` or the
    disk fails, the old file is untouched and the one beside it is removed. With ``keep`` the old content goes on
    under that name, and at no moment is neither name there. The file gets the permissions ``mode``; with ``None``
    those that the umask leaves. Without ``overwrite`` a file that is there, even since this began, stays:
    :class:`FileExistsError`.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")  # threads may write it too
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = disk.open(beside, flags, 0o666 if mode is None else PRIVATE_FILE)
        if mode not in (None, PRIVATE_FILE):
            os.chmod(beside, mode)
        with io.BufferedWriter(_Through(descriptor)) as file:
            write(cast(BinaryIO, file))
            file.flush()
            disk.sync(descriptor)
        if keep is not None and exists(path):
            _keep(path, keep)
        if overwrite:
            disk.rename(beside, path)
        else:
            _give_free_name(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the failure that is already on its way matters more
            disk.unlink(beside)
        raise
    disk.sync_folder(path.parent)


def replace_bytes(path: Path, content: Buffer, *, keep: Path | None = None) -> None:
    """:func:`replace_file` for content that is already in memory."""
    replace_file(path, lambda file: write_all(file, content), keep=keep)


def append_line(path: Path, line: bytes, *, sync: bool = False) -> None:
    """Append ``line`` and a newline in one write, so that concurrent writers do not interleave.

    With ``sync`` the line is on the disk when this returns. A torn line that a crash left at the end is closed first,
    so that it spoils no other. Raises :class:`OSError` when the disk has no room for the whole line.
    """
    descriptor = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        content = line + b"\n"
        size = os.fstat(descriptor).st_size
        if size and _last_byte(descriptor, size) != b"\n":
            content = b"\n" + content
        if disk.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if sync:
            disk.sync(descriptor)
    finally:
        os.close(descriptor)


def truncate_torn_line(path: Path) -> int:
    """Cut a torn last line off ``path`` and say how many bytes went. Only the file's one writer may do this."""
    try:
        descriptor = disk.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        size = end = os.fstat(descriptor).st_size
        while end:
            start = max(0, end - 65536)
            os.lseek(descriptor, start, os.SEEK_SET)
            newline = os.read(descriptor, end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            disk.truncate(descriptor, end)
            disk.sync(descriptor)
        return size - end
    finally:
        os.close(descriptor)


def read_json(path: Path, *, most: int = 16_000_000) -> Any:
    """The value in the JSON file ``path``. Raises :class:`OSError`, or :class:`ValueError` when it is no JSON, longer
    than ``most`` bytes or nested without end: such a file may be anybody's."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path} is longer than {most:,} bytes")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None


class FileStamp(NamedTuple):
    """What tells that a file is unchanged without reading it.

    No program can set ``ctime_ns`` back, unlike ``mtime_ns``, so a change that keeps size and modification time shows
    too. On Windows it is the time of creation, and such a change does not show.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, info: os.stat_result) -> Self:
        """The stamp of the file that ``info`` describes."""
        return cls(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev)

    def is_settled(self, now_ns: int) -> bool:
        """Whether any change at ``now_ns`` or later gives another stamp: the last one is long enough ago.

        Only then may the content that is read from ``now_ns`` on be known by this stamp (git's index has this rule).
        """
        return max(self.mtime_ns, self.ctime_ns) + CLOCK_GRAIN_NS <= now_ns


def is_leftover(name: str) -> bool:
    """Whether a file is called as :func:`replace_file` calls what it has not yet written whole."""
    return re.fullmatch(r"\..+\.\d+(\.\d+)?\.tmp", name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed inside :func:`replace_file` left in ``folder``. For its one writer."""
    for path in folder.glob(".*.tmp"):
        if is_leftover(path.name):
            disk.unlink(path)


class _Through(io.RawIOBase):
    """A file object over a descriptor whose writes go through the disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Buffer) -> int:
        return disk.write(self._descriptor, data)

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                os.close(self._descriptor)


def _give_free_name(beside: Path, path: Path) -> None:
    """Rename ``beside`` to ``path``, which must not be there: a rename would replace it, a second name does not."""
    try:
        disk.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        disk.rename(beside, path)
    else:
        disk.unlink(beside)


def _keep(path: Path, keep: Path) -> None:
    """Let the content of ``path`` go on under the name ``keep``, which it replaces."""
    second = keep.with_name(f".{keep.name}.{os.getpid()}.tmp")
    disk.unlink(second)
    try:
        disk.link(path, second)
    except OSError:  # a file system without hard links: for a moment only `keep` is there, and readers know it
        disk.rename(path, keep)
    else:
        disk.rename(second, keep)


def write_all(file: BinaryIO, content: Buffer) -> None:
    """Write ``content`` into ``file``, for what takes a function that does."""
    file.write(content)


def _last_byte(descriptor: int, size: int) -> bytes:
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1)

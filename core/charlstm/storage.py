"""Write files so that a crash cannot damage them: replace a file atomically, or append a line with one write.

Read regular files alone: to open a pipe waits for its other end, and a device may have no end.

All files that the program keeps are opened here, and every call that changes the disk is a method of :class:`Disk`.
Tests replace :data:`disk` by one that is full, kills the process or loses what was not synced.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Self, cast

from charlstm import system
from charlstm.display import size

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from typing_extensions import Buffer

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
CLOCK_GRAIN_NS = 2_000_000_000
"""Two changes of a file within this time may give it the same timestamps: FAT has a resolution of two seconds."""
_DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM),
    *(errno.ESTALE, errno.EFBIG, errno.ENODEV, errno.ENXIO, errno.ELOOP),
    *(errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNABORTED, errno.EHOSTUNREACH),  # network file systems
}

SpecialKind = Literal["folder", "pipe", "device"]
"""What can stand where a file should be. A socket is called a pipe: it, too, has two ends and no content."""


class NotAFileError(OSError):
    """A folder, pipe or device stands where a file should be. ``kind`` says which; ``strerror`` is a sentence."""

    def __init__(self, path: Path, kind: SpecialKind) -> None:
        super().__init__(errno.EINVAL, f"{path.name} is a {kind}, not a file", str(path))
        self.kind = kind


class Disk:
    """The system calls that change the disk. Tests replace this class."""

    def open(self, path: Path, flags: int, mode: int = PRIVATE_FILE) -> int:
        """Open ``path`` and return a descriptor; a new file gets the permissions ``mode``, less the umask.

        Raises :class:`NotAFileError` for what is not a regular file, and :class:`OSError` (ELOOP) for a symbolic link:
        the file that it points to is not one of the program's.
        """
        flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        name, folder = _at(path)
        try:
            descriptor = os.open(name, flags, mode, dir_fd=folder)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a pipe that nobody reads, or a socket
                raise NotAFileError(path, "pipe") from None
            if error.errno == errno.EISDIR:
                raise NotAFileError(path, "folder") from None
            if error.errno != errno.ELOOP:
                raise
            reason = f"{path.name} is a link to another file; remove the link"
            raise OSError(errno.ELOOP, reason, str(path)) from None
        return _checked(descriptor, path)

    def write(self, descriptor: int, data: Buffer) -> int:
        """Write at the descriptor's position and return the number of bytes written."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Flush the file's content to the disk."""
        system.sync_file(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename ``source`` to ``target``, replacing a file of that name."""
        (old, old_folder), (new, new_folder) = _at(source), _at(target)
        os.replace(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def link(self, source: Path, target: Path) -> None:
        """Create the hard link ``target`` to ``source``."""
        (old, old_folder), (new, new_folder) = _at(source), _at(target)
        os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def unlink(self, path: Path) -> None:
        """Remove ``path`` if it exists."""
        name, folder = _at(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    def rmdir(self, path: Path) -> None:
        """Remove the folder ``path`` if it exists and is empty. A link to a folder stays."""
        name, folder = _at(path)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                os.rmdir(name, dir_fd=folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise

    def sync_folder(self, folder: Path) -> None:
        """Flush the names in ``folder`` to the disk."""
        system.sync_folder(*_at(folder))


disk = Disk()


_anchors: dict[str, int] = {}


@contextlib.contextmanager
def anchored(folder: Path, descriptor: int) -> Iterator[None]:
    """Inside the block, make every change below the path ``folder`` in the folder that ``descriptor`` has open.

    So a folder that is moved away, or replaced by another of the same name, still gets its own files and no others.
    """
    _anchors[str(folder)] = descriptor
    try:
        yield
    finally:
        del _anchors[str(folder)]


def _at(path: Path) -> tuple[str, int | None]:
    """Return ``path`` as system calls take it: a name, and the descriptor of the folder that it is relative to."""
    name = str(path)
    for folder, descriptor in list(_anchors.items()):  # a copy: other threads anchor folders meanwhile
        if name == folder:
            return ".", descriptor
        if name.startswith(folder + os.sep):
            return name[len(folder) + 1 :], descriptor
    return name, None


def exists(path: Path) -> bool:
    """Whether ``path`` exists, also below an anchored folder. Raises :class:`OSError` when that cannot be found out."""
    name, folder = _at(path)
    try:
        os.stat(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def leads_to(path: Path, descriptor: int) -> bool:
    """Whether ``path`` is still the file that ``descriptor`` has open. True too when the disk gives an error."""
    name, folder = _at(path)
    try:
        return os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


RETRY_SECONDS = 1.0
"""Seconds after which a write is tried again that a full disk has stopped. Meanwhile training waits."""


def is_disk_trouble(error: BaseException) -> bool:
    """Whether ``error`` says that the disk is full, over quota, read-only, failing or gone, or that something else
    stands where the file should be. Retrying may help."""
    return isinstance(error, NotAFileError) or (isinstance(error, OSError) and error.errno in _DISK_ERRORS)


def reason_to_wait(error: OSError, stop_requested: Callable[[], bool]) -> str:
    """Why nothing can be written: a training whose write failed with ``error`` waits, says so, tries that write again
    each :data:`RETRY_SECONDS` and then goes on. Raises ``error`` where that cannot help, or a stop is requested."""
    if not is_disk_trouble(error) or stop_requested():
        raise error
    return error.strerror or str(error)


def special_kind(mode: int) -> SpecialKind | None:
    """What has the ``st_mode`` ``mode``; ``None`` for a regular file."""
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "folder"
    return "pipe" if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else "device"


def open_file(path: Path) -> io.BufferedReader:
    """Open the regular file ``path``, or the one that it links to, for reading.

    Everything that the program reads is opened by this function, because opening a pipe waits for a writer and a device
    may have no end. A device is not even opened, which may act on it.

    Raises :class:`NotAFileError` for anything else than a file, another :class:`OSError` when it cannot be opened, and
    :class:`ValueError` for a path that no file can have.
    """
    kind = special_kind(os.stat(path).st_mode)
    if kind is not None:
        raise NotAFileError(path, kind)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # another thing may have its name by now
    return os.fdopen(_checked(os.open(path, flags), path), "rb")


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk."""
    disk.sync_folder(folder)


def make_folder(path: Path) -> None:
    """Create the folder ``path``, private to the user. Raises :class:`FileExistsError` when it exists, and another
    :class:`OSError` when the disk fails; there is no folder then."""
    name, folder = _at(path)
    os.mkdir(name, PRIVATE_FOLDER, dir_fd=folder)
    try:
        disk.sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):  # the first error matters more
            disk.rmdir(path)
        raise


def replace_file(
    path: Path,
    write: Callable[[BinaryIO], None],
    *,
    keep: Path | None = None,
    mode: int | None = PRIVATE_FILE,
    overwrite: bool = True,
) -> None:
    """Replace the file ``path`` by what ``write`` writes; readers and crashes see the old content or the new one.

    The content is written to a temporary file in the same folder, which is synced and renamed; then the folder is
    synced. If ``write`` or the disk fails, the old file is unchanged and the temporary file is removed.

    With ``keep``, the old content is kept under that name; at every moment one of the two names exists. The new file
    gets the permissions ``mode``, or with ``None`` those that the umask leaves. Raises :class:`FileExistsError` when
    the file exists and ``overwrite`` is false, also when it was created during the call; :class:`NotAFileError` when
    ``path`` is a device, which the superuser could replace by a file; :class:`OSError` when the disk fails.
    """
    with contextlib.suppress(FileNotFoundError):
        name, folder = _at(path)
        there = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISCHR(there) or stat.S_ISBLK(there):
            raise NotAFileError(path, "device")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")  # unique for each thread
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = disk.open(temporary, flags, 0o666 if mode is None else PRIVATE_FILE)
        if mode not in (None, PRIVATE_FILE):
            os.chmod(temporary, mode)
        with io.BufferedWriter(_DiskFile(descriptor)) as file:
            write(cast(BinaryIO, file))
            file.flush()
            disk.sync(descriptor)
        if keep is not None and exists(path):
            _keep_old(path, keep)
        if overwrite:
            disk.rename(temporary, path)
        else:
            _rename_without_replacing(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error matters more
            disk.unlink(temporary)
        raise
    disk.sync_folder(path.parent)


def replace_bytes(path: Path, content: Buffer) -> None:
    """Replace the file ``path`` by ``content``, as :func:`replace_file` does."""
    replace_file(path, lambda file: write_all(file, content))


def link_file(path: Path, name: Path) -> None:
    """Make ``name`` a second name of the file ``path``, replacing a file of that name. Raises :class:`OSError`, such as
    for a name on another disk."""
    _link(path, name)
    disk.sync_folder(name.parent)


LOCK_SECONDS = 5.0
"""For so long :func:`changing` waits for another process, which needs milliseconds unless it was suspended."""


def lock_path(path: Path) -> Path:
    """The file whose lock those take who change the file ``path`` (see :func:`changing`)."""
    return path.with_name(f".{path.name}.lock")


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Inside the block, nobody else is in such a block for the file ``path``, in this process or another.

    For a file that is read, changed and replaced: without a lock, the change of another process in between is lost.
    The lock is an OS lock on a file beside ``path``, which stays. A file system without locks gives none.

    Raises :class:`OSError` when the folder is missing or cannot be written, and :class:`TimeoutError`, which is one,
    when another process is in the block for :data:`LOCK_SECONDS`.
    """
    try:
        lock = take_lock(lock_path(path), LOCK_SECONDS)
    except BlockingIOError:
        reason = f"another program has been changing {path.name} for {LOCK_SECONDS:g} seconds"
        raise TimeoutError(errno.ETIMEDOUT, reason, str(path)) from None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def take_lock(path: Path, patience: float) -> BaseFileLock | None:
    """Take the OS lock on the file ``path``, which is created and stays, trying for ``patience`` seconds. It is held
    until its ``release()`` or the end of the process. ``None`` where the file system has no locks.

    Raises :class:`BlockingIOError` when another has it, and another :class:`OSError` when the folder is missing or
    cannot be written, or ``path`` is a link or a folder.
    """
    from filelock import FileLock, Timeout  # 60 ms, which a start of the app does not need

    os.stat(path.parent)  # some versions of filelock would create it, even that of a run which was just deleted
    # where there are no locks, filelock would take the file itself for one, which a killed process leaves behind
    lock = FileLock(path, timeout=patience, mode=PRIVATE_FILE, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout:
        raise BlockingIOError(errno.EAGAIN, "another program has the lock", str(path)) from None
    except OSError as error:
        # the last two are one number on Linux, and two on macOS
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP):
            return None
        raise
    return lock


def append_line(path: Path, line: bytes) -> None:
    """Append ``line`` and a newline in one write, so that lines of concurrent writers do not mix.

    If a crash left an incomplete last line, a newline is written first, so that the new line starts a line of its own.
    Raises :class:`OSError` when the disk does not take the whole line.
    """
    descriptor = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        content = line + b"\n"
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            content = b"\n" + content
        if disk.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def truncate_torn_line(path: Path) -> int:
    """Remove an incomplete last line of ``path`` and return its size in bytes. Only for the file's one writer."""
    try:
        descriptor = disk.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        size = end = os.fstat(descriptor).st_size
        while end:
            start = max(0, end - 65536)
            newline = os.pread(descriptor, end - start, start).rfind(b"\n")
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
    """Read the JSON file ``path``, which need not be trusted.

    Raises :class:`OSError`, or :class:`ValueError` when it is not JSON, too deeply nested or longer
    than ``most`` bytes.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path} is longer than {size(most)}")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None


class FileStamp(NamedTuple):
    """Size, times and identity of a file; when the stamp is the same, the file has not changed.

    Programs can set ``mtime_ns`` to an earlier time but not ``ctime_ns``, so the stamp also shows a change that keeps
    size and modification time.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, info: os.stat_result) -> Self:
        """The stamp of the file with the stat result ``info``."""
        return cls(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev)

    def is_settled(self, now_ns: int) -> bool:
        """Whether any change at ``now_ns`` or later gives another stamp, because the last change is long enough ago.

        Only then does the stamp identify the content that is read from ``now_ns`` on. (git's index has the same rule.)
        """
        return max(self.mtime_ns, self.ctime_ns) + CLOCK_GRAIN_NS <= now_ns


def replaced_by(name: str) -> str:
    """The name of the file that :func:`replace_file` replaces, if ``name`` is its temporary file; else empty."""
    temporary = re.fullmatch(r"\.(.+?)(\.\d+){1,2}\.tmp", name)
    return temporary[1] if temporary else ""


def remove_leftovers(folder: Path, is_own: Callable[[str], bool]) -> None:
    """Remove the temporary files that killed processes left in ``folder``, of files for whose names ``is_own`` is true.
    Only for the one writer of these files: a temporary file of another writer may be in use."""
    for path in folder.glob(".*.tmp"):
        if (name := replaced_by(path.name)) and is_own(name):
            disk.unlink(path)


class _DiskFile(io.RawIOBase):
    """A file object that writes to a descriptor through :data:`disk`."""

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


def _rename_without_replacing(temporary: Path, path: Path) -> None:
    """Rename, or raise :class:`FileExistsError` when ``path`` exists: unlike a rename, a hard link replaces nothing."""
    try:
        disk.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        disk.rename(temporary, path)
    else:
        disk.unlink(temporary)


def _keep_old(path: Path, keep: Path) -> None:
    """Make ``keep`` a second name of the file ``path``, replacing a file of that name."""
    try:
        _link(path, keep)
    except OSError:  # no hard links here: for a moment only `keep` exists, which readers try too
        disk.rename(path, keep)


def _link(path: Path, name: Path) -> None:
    temporary = name.with_name(f".{name.name}.{os.getpid()}.tmp")
    disk.unlink(temporary)
    disk.link(path, temporary)
    disk.rename(temporary, name)
    disk.unlink(temporary)  # where both were names of one file already, renaming does nothing


def write_all(file: BinaryIO, content: Buffer) -> None:
    """Write ``content`` to ``file`` and return nothing, as :func:`replace_file` wants it."""
    file.write(content)


def _checked(descriptor: int, path: Path) -> int:
    """``descriptor``, which ``path`` was opened as. Closes the descriptor and raises unless the file is regular."""
    kind = special_kind(os.fstat(descriptor).st_mode)
    if kind is not None:
        os.close(descriptor)
        raise NotAFileError(path, kind)
    return descriptor

"""Files that survive a crash: replaced atomically and synced, or appended one write a line.

Every file that the program keeps goes through here, so this is also the seam at which tests inject faults. It knows
nothing of what the files mean.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable, where the system can (Windows has no such call)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write ``path`` so that a reader or a crash sees the old content or the new, never a part.

    The bytes go into a file beside it, which is synced and renamed; then the folder is synced. If ``write`` or the
    disk fails, the old file is untouched and the one beside it is removed.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_bytes(path: Path, content: bytes) -> None:
    """:func:`replace_file` for content that is already in memory."""
    replace_file(path, lambda file: _write_all(file, content))


def _write_all(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def append_line(path: Path, line: bytes, *, sync: bool = False) -> None:
    """Append ``line`` and a newline in one write, so that concurrent writers do not interleave.

    With ``sync`` the line is on the disk when this returns.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    try:
        os.write(descriptor, line + b"\n")
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

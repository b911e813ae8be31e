"""Write results to files that the user names: models, exports and saved sessions.

A regular file is replaced atomically. Of a symbolic link, the file that it points to is replaced and the link stays.
Folders, pipes and devices are refused. A replaced file keeps its permissions; a new one gets those that
the umask leaves, or is private to the user when it is in a run's folder or in the app's own folder.

Files that the program itself names are written with ``charlstm.storage`` alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from charlstm.errors import CharLSTMError
from charlstm.paths import state_dir
from charlstm.storage import PRIVATE_FILE, replace_file, special_kind, write_all

STDOUT = "-"
"""How a command line names standard output."""


def save(path: str | Path, write: Callable[[BinaryIO], None], *, overwrite: bool = True) -> None:
    """Create or replace the file ``path`` with what ``write`` writes.

    Raises :class:`CharLSTMError` when ``path`` is not a regular file or its folder does not exist,
    :class:`FileExistsError` when it exists and ``overwrite`` is false, another :class:`OSError` when the file cannot be
    written.
    """
    file = check_destination(path, overwrite=overwrite)
    replace_file(file, write, mode=_mode(file), overwrite=overwrite)


def save_bytes(path: str | Path, content: bytes, *, overwrite: bool = True) -> None:
    """Create or replace the file ``path`` with ``content``. Raises as :func:`save` does."""
    save(path, lambda file: write_all(file, content), overwrite=overwrite)


def save_text(path: str | Path, text: str, *, overwrite: bool = True) -> None:
    """Create or replace the file ``path`` with ``text`` in UTF-8; lone surrogates, which it has not, become question
    marks. Raises as :func:`save` does."""
    save_bytes(path, text.encode("utf-8", "replace"), overwrite=overwrite)


def check_destination(path: str | Path, *, overwrite: bool = True) -> Path:
    """:func:`destination`, which is in a folder that exists: to raise before long work what :func:`save` would raise
    after it."""
    file = destination(path, overwrite=overwrite)
    if not file.parent.is_dir():
        raise CharLSTMError(f"There is no folder {file.parent}: create it, or choose another name")
    return file


def destination(path: str | Path, *, overwrite: bool = True) -> Path:
    """The file that :func:`save` will write: ``path``, or the regular file that it links to. Its folder may not exist
    yet.

    Raises as :func:`save` does.
    """
    if str(path).endswith(os.sep):  # which a Path leaves out
        raise CharLSTMError(f"{path} is a folder: give the file a name in it")
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return path.resolve() if path.is_symlink() else path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a possible file name"
        raise CharLSTMError(f"{path} cannot be written ({reason}): choose another name") from None
    kind = special_kind(mode)
    if kind == "folder":
        raise CharLSTMError(f"{path} is a folder: give the file a name in it")
    if kind is not None:
        raise CharLSTMError(f"{path} is a {kind} and not a file: choose another name")
    if not overwrite:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    return path.resolve(strict=True) if path.is_symlink() else path


def refuse_sources(path: str | Path, sources: Iterable[str | Path]) -> None:
    """Raises :class:`CharLSTMError` if ``path`` is, or leads to, one of the files ``sources``: those that the result is
    made of, which it would replace."""
    for source in sources:
        with contextlib.suppress(OSError, ValueError):  # a file that does not exist is no source
            if os.path.samefile(path, source):
                raise CharLSTMError(f"{path} is what is read here: choose another name, so that it is not lost")


def is_private(path: Path) -> bool:
    """Whether a file at ``path`` is private to the user: in a run's folder or subfolder, or in the app's own folder."""
    above = path.absolute().parents
    return any((folder / "run.json").is_file() for folder in above[:2]) or state_dir(make=False) in above


def _mode(file: Path) -> int | None:
    """The permissions of ``file``, or those of a new file; None leaves the choice to the umask."""
    try:
        return stat.S_IMODE(os.stat(file).st_mode)
    except FileNotFoundError:
        return PRIVATE_FILE if is_private(file) else None

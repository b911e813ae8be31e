"""The files of Generate's sessions: beside the run that is played, else in the user's state folder.

Their content is that of ``charlstm.generation.saving``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from charlstm import paths, storage
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation import saving
from charlstm.generation.session import Session
from charlstm.runs.folder import Run
from charlstm.user_files import is_private
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.formatting import home

AUTO = "auto-"
"""How the names of sessions that were saved by themselves begin."""
MOST_AUTO = 10


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session that was saved by itself: its file and when it was last saved, in Unix seconds."""

    path: Path
    saved: float


def folder(run: Path | None, model: Path) -> Path:
    """The folder for sessions of a model; it may not exist yet."""
    if run is not None:
        return Run(run).sessions_dir
    place = hashlib.sha256(os.fsencode(model.absolute())).hexdigest()[:8]  # others may have its name elsewhere
    return paths.state_dir(make=False) / "sessions" / f"{model.stem}-{place}"


def saved(place: Path) -> list[Path]:
    """The sessions there that the user named, newest first."""
    found = []
    with contextlib.suppress(OSError):
        for path in place.glob("*.json"):
            with contextlib.suppress(OSError):
                if not path.name.startswith(AUTO):
                    found.append((-path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]


def run_of(session: Path) -> Path | None:
    """The run in whose folder a session lies, if it lies in one."""
    run = Run(session.absolute().parent.parent)
    return run.path if run.exists() and run.sessions_dir == session.absolute().parent else None


def make(path: Path) -> None:
    """Make the folder, for the user alone unless it is one of their own choice. Raises :class:`OSError`."""
    mode = storage.PRIVATE_FOLDER if is_private(path / "session") else 0o777
    path.mkdir(mode=mode, parents=True, exist_ok=True)


def new_name(place: Path, start: str = AUTO, ending: str = ".json") -> Path:
    """A free name in ``place`` with the time of now."""
    stem = f"{start}{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = place / f"{stem}{ending}", 2
    while path.exists():
        path, number = place / f"{stem}-{number}{ending}", number + 1
    return path


def last(place: Path, but: Path | None = None) -> SavedSession | None:
    """The newest session that was saved by itself, other than ``but``."""
    return next((session for session in _autos(place) if session.path != but), None)


def forget_old(place: Path) -> None:
    """Keep the newest :data:`MOST_AUTO` sessions that were saved by themselves, and all that the user named."""
    for session in _autos(place)[MOST_AUTO:]:
        with contextlib.suppress(OSError):
            session.path.unlink()


def copy_as(path: Path, colour: str | None, session: Session) -> Callable[[], str]:
    """Copy a session to save it, or to export its text, as the ending of ``path`` says. The result writes the file, in
    any thread, and returns a sentence on what was done. Both raise :class:`CharLSTMError`."""
    write = saving.copy_as(session, path, cast(Any, colour) if colour in get_args(saving.Colour) else "rank")

    def save() -> str:
        try:
            make(path.parent)
            written = write(True)
        except OSError as error:
            raise GenerationError(f"{path} cannot be written: {error.strerror}.") from None
        place = home(written.absolute().parent)
        return f"{'Saved as' if written.suffix == '.json' else 'Exported to'} {written.name} in {place}"

    return save


def _autos(place: Path) -> list[SavedSession]:
    found = []
    with contextlib.suppress(OSError):
        for path in place.glob(f"{AUTO}*.json"):
            with contextlib.suppress(OSError):
                found.append(SavedSession(path, path.stat().st_mtime))
    return sorted(found, key=lambda session: (-session.saved, session.path.name))


class SessionWriter:
    """Write session files on background threads, one after the other."""

    def __init__(self) -> None:
        self._last: threading.Thread | None = None

    def write(
        self, path: Path, content: Callable[[], bytes], run: Path | None, failed: Callable[[str], object]
    ) -> None:
        """Write a file later. ``content`` makes what is written; ``run`` is the run that it belongs to, if any: one
        that was deleted or renamed meanwhile does not get its folder back. ``failed`` is called with a sentence."""

        def write() -> None:
            if run is not None and not Run(run).exists():
                return
            try:
                make(path.parent)
                storage.replace_bytes(path, content())
                forget_old(path.parent)
            except OSError as error:
                failed(f"The session cannot be saved to {path.parent}: {error.strerror}. Save it elsewhere to keep it.")

        self._start(write, failed)

    def save_as(self, save: Callable[[], str], saved: Callable[[str], object], failed: Callable[[str], object]) -> None:
        """Call later what :func:`copy_as` returned, and then ``saved`` or ``failed`` with a sentence."""

        def write() -> None:
            try:
                saved(save())
            except CharLSTMError as error:
                failed(str(error))

        self._start(write, failed)

    def wait(self, timeout: float) -> None:
        """Wait until everything is written, ``timeout`` seconds at most."""
        if self._last is not None:
            self._last.join(timeout)

    def _start(self, write: Callable[[], None], failed: Callable[[str], object]) -> None:
        previous = self._last

        def run() -> None:
            if previous is not None:
                previous.join()
            try:
                write()
            except Exception as error:
                LOG.exception("Unexpected error while a session was saved")
                failed(sentence(error, "saving the session"))

        self._last = threading.Thread(target=run, name="charlstm-session-writer", daemon=True)
        self._last.start()

"""Where sessions of Generate are kept: beside the run that is played, else in the user's state folder.

Names and places; what is in a session file is ``charlstm.generation.saving``'s.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from charlstm import paths, storage
from charlstm.errors import CharLSTMError
from charlstm.runs.folder import Run
from charlstm.user_files import is_private

if TYPE_CHECKING:
    from charlstm.generation.session import Session

AUTO = "auto-"
"""How the names of self-saved sessions begin."""
MOST_AUTO = 10


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A self-saved session: its file and when it was last saved, in Unix seconds."""

    path: Path
    saved: float


def folder(run: Path | None, model: Path) -> Path:
    """The folder for sessions of a model; made by who writes the first."""
    if run is not None:
        return Run(run).sessions_dir
    place = hashlib.sha256(os.fsencode(model.absolute())).hexdigest()[:8]  # others may have its name elsewhere
    return paths.state_dir(make=False) / "sessions" / f"{model.stem}-{place}"


def saved(place: Path) -> list[Path]:
    """What a person saved there under a name, newest first."""
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
    """A name in ``place`` that says when, and is free."""
    stem = f"{start}{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = place / f"{stem}{ending}", 2
    while path.exists():
        path, number = place / f"{stem}-{number}{ending}", number + 1
    return path


def last(place: Path, but: Path | None = None) -> SavedSession | None:
    """The newest self-saved session, other than ``but``."""
    return next((kept for kept in _autos(place) if kept.path != but), None)


def forget_old(place: Path) -> None:
    """Keep the newest :data:`MOST_AUTO` self-saved sessions; what a person named is never touched."""
    for kept in _autos(place)[MOST_AUTO:]:
        with contextlib.suppress(OSError):
            kept.path.unlink()


def save_as(path: Path, colour: str, session: Session) -> str:
    """Save a session, or export its text, as the ending of ``path`` says; a sentence on what was done."""
    from charlstm.generation import saving

    try:
        make(path.parent)
        path = saving.save_as(session, path, "rank" if colour == "off" else cast(Any, colour))
    except CharLSTMError as error:
        return f"{error}."
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}."
    return f"{'Saved as' if path.suffix == '.json' else 'Exported to'} {path}"


def _autos(place: Path) -> list[SavedSession]:
    found = []
    with contextlib.suppress(OSError):
        for path in place.glob(f"{AUTO}*.json"):
            with contextlib.suppress(OSError):
                found.append(SavedSession(path, path.stat().st_mtime))
    return sorted(found, key=lambda kept: (-kept.saved, kept.path.name))

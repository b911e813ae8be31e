"""The files of Generate's sessions: beside the run that is played, else in the user's state folder.

``charlstm.generation.session_file`` has the format.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

from charlstm import paths, storage, user_files
from charlstm.display import plural
from charlstm.errors import CharLSTMError, GenerationError, RunError
from charlstm.generation import session_file
from charlstm.generation.colouring import Colour
from charlstm.generation.export import exported
from charlstm.generation.session import Session
from charlstm.generation.session_file import SessionState, SessionSummary
from charlstm.runs.folder import RunFolder, find_run, list_runs, run_of_session
from charlstm.runs.models import find_model
from charlstm.storage import FileStamp
from charlstm.user_files import is_private
from charlstm_tui.app_state import own_files, remember_file
from charlstm_tui.formatting import home

AUTO = "auto-"
"""How the names of sessions that were saved by themselves begin."""
AUTO_NAME = re.compile(rf"{AUTO}\d{{8}}-\d{{6}}(-\d+)?\.json")
MOST_AUTO = 500
"""Automatically saved sessions that are kept, with work in them and without. An opened session is continued in its
file, so this is the number of stories."""
MOST_OTHERS = 5
FIRST_SESSION = 1_767_225_600.0
"""2026, in Unix seconds: a clock that has lost its time begins in an earlier year."""
CLOCKS_DIFFER = 60.0
"""Seconds by which the clock of a file server may be ahead."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session in a file: when it was last saved, in Unix seconds, and what it is about; ``None`` if the file cannot
    be read."""

    path: Path
    saved: float
    summary: SessionSummary | None

    @property
    def automatic(self) -> bool:
        """Whether the app named and saved the session by itself."""
        return AUTO_NAME.fullmatch(self.path.name) is not None

    @property
    def length(self) -> int:
        """Characters after the prime."""
        return 0 if self.summary is None else self.summary.length

    @property
    def size(self) -> int:
        """All characters, with the prime."""
        return 0 if self.summary is None else self.summary.size

    @property
    def edited(self) -> bool:
        """Whether the user had a part in it, or it is not known."""
        return self.summary is None or self.summary.edited

    @property
    def has_work(self) -> bool:
        """Whether the user did something to it: had a part in it, saved it or gave it a title; or it is not known."""
        return self.edited or bool(self.title)

    @property
    def is_kept(self) -> bool:
        """Whether the session stays: the user named it, or it has work in it."""
        return not self.automatic or self.has_work

    @property
    def title(self) -> str:
        """The user's title, or empty."""
        return "" if self.summary is None else self.summary.title

    @property
    def model(self) -> str:
        """The model, for a list: the name of its run, or of its file."""
        if (run := run_of_session(self.path.absolute())) is not None:
            return run.name
        return "" if self.summary is None else Path(self.summary.model).name.removesuffix(".safetensors")

    @property
    def is_listed(self) -> bool:
        """Whether it is worth listing: what the app saved by itself, if there is any text, or work that branches and
        undo may have where the text itself is empty, or if that is not known."""
        return bool(self.length) or self.has_work or not self.automatic

    @property
    def name(self) -> str:
        """The user's title or file name; empty for an automatically saved session."""
        return self.title or ("" if self.automatic else self.path.name)

    def about(self, beginning: int, moment: bool = True) -> str:
        """When it was saved, how long it is, and so many characters of its beginning."""
        words = [time_of_saving(self.saved)] if moment else []
        if self.summary is not None:
            size = plural(self.summary.words, "word") if self.summary.words else f"{self.size:,} chars"
            words += [size, quoted(self.summary.begins, beginning)]
        return " · ".join(words)


def folder(run: Path | None, model: Path) -> Path:
    """The folder for sessions of a model; it may not exist yet."""
    if run is not None:
        return RunFolder(run).sessions_dir
    return own_folder(model, model.stem)


def own_folder(model: Path, name: str) -> Path:
    """The app's own folder for sessions of the model or run at ``model``, which is called ``name``."""
    digest = hashlib.sha256(os.fsencode(model.absolute())).hexdigest()[:8]  # others may have its name elsewhere
    return paths.state_dir(make=False) / "sessions" / f"{name}-{digest}"


def saved(folder: Path, since: float = 0.0) -> list[SavedSession]:
    """The sessions there that were saved after ``since``, newest first."""
    found: list[SavedSession] = []
    with contextlib.suppress(OSError):
        files = [path for path in folder.glob("*.json") if not since or path.stat().st_mtime > since]
        found += [session for path in files if (session := session_at(path)) is not None and session.saved > since]
    return sorted(found, key=lambda session: (-session.saved, session.path.name))


def everywhere(folder: Path, runs_dir: Path | None = None, since: float = 0.0) -> list[SavedSession]:
    """The sessions of all models that were saved after ``since``, newest first: those in ``folder``, of the
    runs that are known and of other models, and the files of the user's elsewhere that are remembered."""
    own = paths.state_dir(make=False) / "sessions"
    folders = {folder, *(run.sessions_dir for run in list_runs(runs_dir, elsewhere=True))}
    with contextlib.suppress(OSError):
        folders.update(each for each in own.iterdir() if each.is_dir())
    found = [session for each in folders for session in saved(each, since)]
    found += [session for session in elsewhere(found) if session.saved > since]
    return sorted(found, key=lambda session: (-session.saved, session.path.name))


def left_off(runs_dir: Path | None = None, since: float = 0.0) -> SavedSession | None:
    """The last session with work in it that was saved after ``since`` (Unix seconds), of whichever model, if the model
    is there."""
    found = everywhere(paths.state_dir(make=False) / "sessions", runs_dir, since)
    return next((each for each in found if each.has_work and model_of(each.path, runs_dir) is not None), None)


def is_in_own_folder(path: Path) -> bool:
    """Whether a session lies in a folder of the app's: beside a run, or in the user's state folder."""
    path = path.absolute()
    return run_of_session(path) is not None or path.is_relative_to(paths.state_dir(make=False).absolute() / "sessions")


def elsewhere(sessions: Iterable[SavedSession]) -> list[SavedSession]:
    """The files of the user's that are remembered and are not among ``sessions``."""
    paths = set(own_files()) - {session.path.resolve() for session in sessions}
    return [session for path in paths if (session := session_at(path)) is not None]


def remember(path: Path) -> None:
    """List the session of the user's at ``path`` from now on, wherever it is."""
    if not is_in_own_folder(path):
        remember_file(path.resolve())


def session_at(path: Path) -> SavedSession | None:
    """The session in a file; ``None`` if the file is gone, or is a pipe or the like."""
    with contextlib.suppress(OSError):
        info = path.stat()
        if storage.special_kind(info.st_mode) is not None:
            return None
        summary = _summary(path, FileStamp.of(info))
        # A copy is no newer than what it is a copy of.
        changed = info.st_mtime if summary is None or not summary.saved else min(info.st_mtime, summary.saved)
        return SavedSession(path, changed, summary)
    return None


@lru_cache(maxsize=8 * MOST_AUTO)  # all are looked at when a text is opened
def _summary(path: Path, stamp: FileStamp) -> SessionSummary | None:
    try:
        return session_file.read_summary(path)
    except (CharLSTMError, OSError):
        return None


def model_of(session: Path, runs_dir: Path | None = None) -> str | None:
    """The model that a session was played on, if it exists, else the run in whose folder the session lies. The run may
    have been renamed or copied since."""
    run = run_of_session(session.absolute())
    with contextlib.suppress(CharLSTMError, OSError):
        model = session_file.read_summary(session).model
        if run is not None and Path(model).name == run.path.name:
            return str(run.path)
        # A run that was moved to a folder of runs that is known has its name there.
        for name in (model,) if model.endswith(".safetensors") else (model, Path(model).name):
            with contextlib.suppress(CharLSTMError):
                if name and model_file(name, runs_dir):
                    return name
    return None if run is None else str(run.path)


def model_file(name: str, runs_dir: Path | None = None, step: int | None = None) -> Path:
    """The file of the model ``name``, or of its snapshot after ``step`` steps. For a run that has no best model yet it
    is its last snapshot. Raises :class:`CharLSTMError`."""
    try:
        return find_model(name, runs_dir, snapshot=step)
    except RunError:
        snapshots = find_run(name, runs_dir).snapshots()
        if step is not None or not snapshots:
            raise
        return snapshots[-1].path


def kept(played: Path | None) -> str:
    """A sentence that says how to continue the session at ``played``, if there is work in it."""
    if played is None or (session := session_at(played)) is None or not session.has_work or session.summary is None:
        return ""
    return f"The text is kept: {continues(played)}."


def is_automatic(path: Path, folder: Path) -> bool:
    """Whether the file at ``path`` has a name of the app's own and lies in ``folder`` or another folder of the app."""
    is_there = path.parent == folder.resolve() or is_in_own_folder(path)
    return is_there and AUTO_NAME.fullmatch(path.name) is not None


def make(path: Path) -> None:
    """Make the folder, for the user alone unless it is one of their own choice. Raises :class:`OSError`."""
    mode = storage.PRIVATE_FOLDER if is_private(path / "session") else 0o777
    path.mkdir(mode=mode, parents=True, exist_ok=True)


def new_name(folder: Path, taken: Collection[Path] = ()) -> Path:
    """A free name in ``folder`` with the time of now; ``taken`` are those of files that are not written yet."""
    stem = f"{AUTO}{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = folder / f"{stem}.json", 2
    while path.exists() or path in taken:
        path, number = folder / f"{stem}-{number}.json", number + 1
    return path


def last(folder: Path, closed: SavedSession | None = None) -> SavedSession | None:
    """The session to continue, of whichever model: the newest with work in it; else the newest with a text; else one
    whose text is empty and that had work in it. ``closed`` was played until now: its file may not be written yet.
    ``folder`` is that of the model that is played."""
    others = [session for session in everywhere(folder) if closed is None or session.path != closed.path]
    known = [each for each in (closed, *others) if each is not None and each.summary is not None]
    sessions = [each for each in known if each.length or each.has_work]
    return max(sessions, key=lambda each: (bool(each.length), each.has_work), default=None)


def forget_old(folder: Path, keep: Collection[Path] = ()) -> None:
    """Keep the newest :data:`MOST_AUTO` sessions with work in them that were saved by themselves, the newest
    :data:`MOST_OTHERS` without, and all that the user named, that are in ``keep`` or that a program has open.

    Those that are dated later than now, or before there was charlstm, stay too: the clock was wrong then or is now, and
    which is the oldest cannot be known.
    """
    now = time.time()
    automatic = [session for session in saved(folder) if session.automatic and _says_automatic(session.path)]
    automatic = [each for each in automatic if each.path in keep or FIRST_SESSION <= each.saved <= now + CLOCKS_DIFFER]
    automatic.sort(key=lambda session: session.path not in keep)
    with_work = [session for session in automatic if session.has_work]
    others = [session for session in automatic if not session.has_work]
    for session in with_work[MOST_AUTO:] + others[MOST_OTHERS:]:
        with contextlib.suppress(OSError):
            if session.path not in keep:
                session_file.delete(session.path)


def _says_automatic(path: Path) -> bool:
    """Whether a file with a name of the app's own says that the app saved it by itself."""
    try:
        return session_file.says_automatic(path)
    except OSError:
        return False


def time_of_saving(seconds: float) -> str:
    """A time as ``26 Nov 10:32``, or with the year instead of the hour where that is another."""
    then = time.localtime(seconds)
    month = MONTHS[then.tm_mon - 1]
    same_year = then.tm_year == time.localtime().tm_year
    return f"{then.tm_mday} {month} " + (time.strftime("%H:%M", then) if same_year else str(then.tm_year))


def quoted(text: str, width: int) -> str:
    """How a text begins, on one line and in quotation marks."""
    line = " ".join(text.split())
    return f"“{line}”" if len(line) <= width else f"“{line[: width - 1].rstrip()}…”"


def export_as(
    path: Path, colour: str | None, state: SessionState, session: Callable[[], Session], *, prose: bool = False
) -> str:
    """Export the text of a session as the ending of ``path`` says, with ``prose`` as paragraphs; ``session`` gives a
    session whose model has read all of the text, for formats that show figures. Returns a sentence on what was done.
    Raises :class:`CharLSTMError`."""
    user_files.destination(path)
    scale = cast(Any, colour if colour in get_args(Colour) else "rank")
    content = exported(path, state.document.text.read(), session, scale, state.summary.title, prose=prose)
    try:
        make(path.parent)
        user_files.save_text(path, content)
    except OSError as error:
        raise GenerationError(f"{path} cannot be written: {error.strerror}.") from None
    return f"Exported to {path.name} in {home(path.absolute().parent)}"


def rescue(state: SessionState) -> str:
    """Save a session that could not be saved among the app's own files. Returns a sentence about that."""
    folder = paths.state_dir(make=False) / "sessions" / "unsaved"
    try:
        make(folder)
        path = new_name(folder)
        session_file.write_as(path, state)
    except (OSError, CharLSTMError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"It cannot be kept elsewhere either: {reason}. Its latest changes are lost."
    return f"It is kept elsewhere: {continues(path)}."


def continues(path: Path) -> str:
    """The command that continues the session at ``path``, for a sentence. A shell takes it: ``~`` is not quoted."""
    begin, slash, rest = home(path).partition("~/")
    name = f"~/{shlex.quote(rest)}" if slash and not begin else shlex.quote(str(path))
    return f"charlstm-tui {name} continues it"

"""The files of Generate's sessions: beside the run that is played, else in the user's state folder.

Their content is that of ``charlstm.generation.saving``.
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

from charlstm import paths, storage
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation import saving
from charlstm.generation.saving import SessionSummary
from charlstm.generation.session import Session
from charlstm.runs.folder import Run
from charlstm.runs.models import find_model
from charlstm.storage import FileStamp
from charlstm.user_files import is_private
from charlstm_tui.formatting import home

AUTO = "auto-"
"""How the names of sessions that were saved by themselves begin."""
_AUTO_NAME = re.compile(rf"{AUTO}\d{{8}}-\d{{6}}(-\d+)?\.json")
"""Such a name as a whole, as :func:`new_name` makes it: one that the user chose may begin in the same way."""
LONG = 1000
"""Characters that the model writes before it pauses: a longer text was asked for."""
MOST_AUTO = 500
"""Sessions with work in them that are kept of those that were saved by themselves, and how many of the others. One that
is opened again is continued in its file, so that these are as many stories."""
MOST_OTHERS = 5
FIRST_SESSION = 1_767_225_600.0
"""2026, in Unix seconds: a clock that has lost its time begins in an earlier year."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MOST_BYTES = 20_000_000
"""A longer file without a summary is not read to list it."""


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session in a file: when it was last saved, in Unix seconds, and what it is about; ``None`` if the file cannot
    be read."""

    path: Path
    saved: float
    summary: SessionSummary | None

    @property
    def automatic(self) -> bool:
        """Whether the app gave it its name and saved it by itself."""
        return is_automatic(self.path)

    @property
    def length(self) -> int:
        """Characters after the prime."""
        return 0 if self.summary is None else self.summary.length

    @property
    def edited(self) -> bool:
        """Whether the user had a part in it, or it is not known."""
        return self.summary is None or self.summary.edited

    @property
    def has_work(self) -> bool:
        """Whether the user had a part in it, or asked for a long text; or it is not known."""
        return self.edited or self.length > LONG

    def is_version_of(self, path: Path) -> bool:
        """Whether it was saved by itself when the session at ``path`` was continued."""
        return self.summary is not None and self.summary.continues == str(path.absolute())

    @property
    def continued(self) -> str:
        """The path of the saved session that is continued when this one is opened."""
        if not self.automatic:
            return str(self.path.absolute())
        return "" if self.summary is None else self.summary.continues

    @property
    def name(self) -> str:
        """What the user calls it; empty for what was saved by itself."""
        if not self.automatic:
            return self.path.name
        continued = "" if self.summary is None else Path(self.summary.continues).name
        return f"{continued}, continued" if continued else ""

    def about(self, beginning: int, moment: bool = True) -> str:
        """When it was saved, how long it is, and so many characters of its beginning."""
        words = [time_of_saving(self.saved)] if moment else []
        if self.summary is not None:
            words += [f"{self.length:,} chars", quoted(self.summary.begins, beginning)]
        return " · ".join(words)


def folder(run: Path | None, model: Path) -> Path:
    """The folder for sessions of a model; it may not exist yet."""
    if run is not None:
        return Run(run).sessions_dir
    place = hashlib.sha256(os.fsencode(model.absolute())).hexdigest()[:8]  # others may have its name elsewhere
    return paths.state_dir(make=False) / "sessions" / f"{model.stem}-{place}"


def saved(place: Path, but: Path | None = None) -> list[SavedSession]:
    """The sessions there other than ``but``, newest first."""
    found: list[SavedSession] = []
    with contextlib.suppress(OSError):
        found += [session for path in place.glob("*.json") if path != but and (session := session_at(path)) is not None]
    return sorted(found, key=lambda session: (-session.saved, session.path.name))


def elsewhere(sessions: Iterable[SavedSession]) -> list[SavedSession]:
    """The sessions that the user saved elsewhere and that these ones continue."""
    known = {session.path for session in sessions}
    paths = {Path(session.summary.continues) for session in sessions if session.summary and session.summary.continues}
    return [session for path in paths - known if (session := session_at(path)) is not None]


def session_at(path: Path) -> SavedSession | None:
    """The session in a file; ``None`` if the file is gone, or is a pipe or the like."""
    with contextlib.suppress(OSError):
        info = path.stat()
        if storage.special_kind(info.st_mode) is not None:
            return None
        return SavedSession(path, info.st_mtime, _summary(path, FileStamp.of(info)))
    return None


@lru_cache(maxsize=2 * MOST_AUTO)  # all are looked at after each save
def _summary(path: Path, stamp: FileStamp) -> SessionSummary | None:
    try:
        return saving.read_summary(path, MOST_BYTES)
    except (CharLSTMError, OSError):
        return None


def model_of(session: Path, runs_dir: Path | None = None) -> str | None:
    """The model of a session: the run in whose folder it lies, else the model that it was played on, if that is
    there."""
    run = Run(session.absolute().parent.parent)
    if run.exists() and run.sessions_dir == session.absolute().parent:
        return str(run.path)
    with contextlib.suppress(CharLSTMError, OSError):
        model = saving.read_summary(session, MOST_BYTES).model
        if model:
            find_model(model, runs_dir)
            return model
    return None


def kept(played: Path | None) -> str:
    """A sentence that says how to continue the session at ``played``, if there is work in it that is nowhere else."""
    if played is None or (session := session_at(played)) is None or not session.length or not session.has_work:
        return ""
    advice = continues(played)
    if session.summary is not None and session.summary.continues:
        named = Path(session.summary.continues)
        with contextlib.suppress(OSError):
            if named.stat().st_mtime >= session.saved:
                return ""
        return f"The text is kept, and {named.name} is as you saved it last: {advice}."
    return f"The text is kept: {advice}."


def continues(path: Path) -> str:
    """The command that continues the session at ``path``, for a sentence. A shell takes it: ``~`` is not quoted."""
    begin, slash, rest = home(path).partition("~/")
    name = f"~/{shlex.quote(rest)}" if slash and not begin else shlex.quote(str(path))
    return f"charlstm-tui {name} continues it"


def is_automatic(path: Path) -> bool:
    """Whether the app gave this name to a session that it saved by itself."""
    return _AUTO_NAME.fullmatch(path.name) is not None


def is_own(path: Path, place: Path) -> bool:
    """Whether the app gave the session at ``path`` its name, in its folder ``place``: then it is continued there."""
    return is_automatic(path) and path.absolute().parent == place.absolute()


def make(path: Path, *, parents: bool = True) -> None:
    """Make the folder, and those above it with ``parents``, for the user alone unless it is one of their own choice.
    Raises :class:`OSError`."""
    mode = storage.PRIVATE_FOLDER if is_private(path / "session") else 0o777
    path.mkdir(mode=mode, parents=parents, exist_ok=True)


def new_name(place: Path, start: str = AUTO, ending: str = ".json", taken: Collection[Path] = ()) -> Path:
    """A free name in ``place`` with the time of now; ``taken`` are those of files that are not written yet."""
    stem = f"{start}{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = place / f"{stem}{ending}", 2
    while path.exists() or path in taken:
        path, number = place / f"{stem}-{number}{ending}", number + 1
    return path


def last(place: Path, but: Path | None, opened: Path | None, closed: SavedSession | None) -> SavedSession | None:
    """The session to continue, other than ``but``: a newer version of the one that was ``opened``, which the app saved
    by itself; else the newest with work in it; else the newest with a text. ``closed`` was played until now: its file
    may not be written yet."""
    sessions = [session for session in saved(place, but) if closed is None or session.path != closed.path]
    if closed is not None and closed.path != but:
        sessions.insert(0, closed)
    sessions = [session for session in sessions if session.length]
    newer: list[SavedSession] = []
    if opened is not None:
        with contextlib.suppress(OSError):
            time_opened = opened.stat().st_mtime
            newer = [session for session in sessions if session.is_version_of(opened) and session.saved > time_opened]
    with_work = [session for session in sessions if session.has_work]
    return next(iter((*newer, *with_work, *sessions)), None)


def forget_old(place: Path, used: Collection[Path] = ()) -> None:
    """Keep the newest :data:`MOST_AUTO` sessions with work in them that were saved by themselves, the newest
    :data:`MOST_OTHERS` without, and all that the user named.

    Those in files that this app has ``used`` are the newest, whatever their dates say. Those that are dated later than
    now, or before there was charlstm, stay too: the clock was wrong then or is now, and which is the oldest cannot be
    known.
    """
    now = time.time()
    automatic = [session for session in saved(place) if session.automatic]
    automatic = [session for session in automatic if session.path in used or FIRST_SESSION <= session.saved <= now]
    automatic.sort(key=lambda session: session.path not in used)
    with_work = [session for session in automatic if session.has_work]
    others = [session for session in automatic if not session.has_work]
    for session in with_work[MOST_AUTO:] + others[MOST_OTHERS:]:
        if session.path in used:
            continue
        with contextlib.suppress(OSError):
            session.path.unlink()


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


def copy_as(path: Path, colour: str | None, session: Session, model: str = "") -> Callable[[], str]:
    """Copy a session to save it, or to export its text, as the ending of ``path`` says. The result writes the file, in
    any thread, and returns a sentence on what was done. Both raise :class:`CharLSTMError`."""
    scale = colour if colour in get_args(saving.Colour) else "rank"
    write = saving.copy_as(session, path, cast(Any, scale), model=model)

    def save() -> str:
        try:
            make(path.parent)
            written = write(True)
        except OSError as error:
            raise GenerationError(f"{path} cannot be written: {error.strerror}.") from None
        place = home(written.absolute().parent)
        return f"{'Saved as' if written.suffix == '.json' else 'Exported to'} {written.name} in {place}"

    return save

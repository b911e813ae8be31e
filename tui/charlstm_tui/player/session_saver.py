"""Write the sessions of the app to their files, on a background thread.

Each change hands over the whole session, which is a few references (:meth:`SessionSaver.keep`). The newest is written
0.2 seconds after the first change that is not written, later where writing takes long, and at once when a session is
left and at the end. A failed write is repeated until it succeeds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from charlstm.errors import CharLSTMError
from charlstm.generation import session_file
from charlstm.generation.session_file import FileLostError, OwnFile, ReadSession, SessionState, is_as_left
from charlstm.runs.folder import RunFolder
from charlstm.storage import FileStamp
from charlstm_tui.background import JobQueue
from charlstm_tui.choices import path_after_rename
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.formatting import home
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.saved_sessions import SavedSession

WRITE_AFTER = 0.2
"""Seconds from a change to its write. A text of 100 kB takes 20 ms."""
BYTES_PER_SECOND = 2_000_000
"""At most so many are written, on average, while one types: that takes less than 5 % of a processor."""
RETRY_AFTER = 1.0
"""Seconds until a failed write is tried again."""
NEVER = float("inf")

_LOST = {
    "in use": "Another program has this session open: here it goes on in a file of its own.",
    "changed": "Another program has changed the file of this session: here it goes on in a file of its own.",
    "gone": "The file of this session was deleted: it goes on in a new one.",
    "read-only": "The file of this session cannot be written: here it goes on in a file of its own.",
    "linked": "The file of this session has other names (hard links): here it goes on in a file of its own.",
}


@dataclass(frozen=True, slots=True)
class SavingStatus:
    """The state of saving one session.

    Attributes:
        path: its file; None before there is one.
        failure: a sentence, as long as something cannot be saved; empty otherwise.
        unsaved: whether something waits to be written.
        note: a sentence about where it is saved, if that is not where it was; the latest one.
        automatic: whether the app gives the file its name.
    """

    path: Path | None = None
    failure: str = ""
    unsaved: bool = False
    note: str = ""
    automatic: bool = True


class _Move(NamedTuple):
    """A file that the user named, and what is called with a sentence when the session is saved there, or cannot be."""

    path: Path
    saved: Callable[[str], object]
    failed: Callable[[str], object]


@dataclass(eq=False)
class _Saving:
    """One session. All fields are read and set under the saver's lock; ``file`` is used by the saver's thread alone.

    Attributes:
        folder: for its file, if the app is to name that.
        run: in whose folder that is.
        newest: what is to be in the file; ``written``: what is there; ``moment``: when that was changed last.
        path, stamp: the file, as it was left.
        automatic: whether the app gave the file its name; else it is the user's.
        move: where it is to be saved from now on, and who is told what came of that.
        file: the file while its lock is held.
        due: when something is to be done, in seconds of :func:`time.monotonic`.
        leaving: whether it is not played any more.
        begun_here: whether it was not read from a file.
    """

    folder: Path
    run: Path | None
    newest: SessionState | None = None
    written: SessionState | None = None
    moment: float = 0.0
    path: Path | None = None
    stamp: FileStamp | None = None
    automatic: bool = True
    move: _Move | None = None
    file: OwnFile | None = None
    due: float = NEVER
    interval: float = WRITE_AFTER
    leaving: bool = False
    begun_here: bool = False
    failure: str = ""
    note: str = ""

    def lies_at(self, path: Path, stamp: FileStamp | None, *, automatic: bool) -> None:
        """Use the file ``path``, which has no links, from now on."""
        is_in_folder = path.parent == self.folder.resolve()
        self.path, self.stamp = self.folder / path.name if is_in_folder else path, stamp
        self.automatic = automatic and saved_sessions.is_automatic(path, self.folder)

    def loses_file(self, note: str) -> None:
        """Use a new file from now on; ``note`` says why."""
        if self.file is not None:
            self.file.close()
        self.file = self.path = self.stamp = None
        self.automatic, self.note = True, note

    @property
    def waits(self) -> bool:
        return self.newest is not self.written or self.move is not None

    @property
    def is_busy(self) -> bool:
        """Whether a write or the release of the file is due, and has not failed."""
        return (self.waits and not self.failure) or (self.leaving and not self.waits and self.file is not None)

    @property
    def status(self) -> SavingStatus:
        return SavingStatus(self.path, self.failure, self.waits, self.note, self.automatic)


class SessionSaver:
    """The thread that writes all sessions of the app. No method but :meth:`write_all`, :meth:`flush`, :meth:`wait_for`
    and :meth:`close` waits for the disk. ``told`` is called from it when a status has changed."""

    def __init__(self, told: Callable[[], object] = lambda: None) -> None:
        self._told = told
        self._savings: dict[Hashable, _Saving] = {}
        self._changed = threading.Condition()
        self._closing_until: float | None = None
        self._thread = threading.Thread(target=self._run, name="charlstm-session-saver", daemon=True)
        self._jobs = JobQueue()

    # ---- for other threads

    def begin(self, key: Hashable, folder: Path, *, run: Path | None = None) -> None:
        """A new session, which is saved in ``folder`` under a name of the app's own. There is no file before the first
        :meth:`keep`. ``run`` is the run in whose folder that is."""
        self._add(key, _Saving(folder, run, begun_here=True))

    def go_on(self, key: Hashable, folder: Path, found: ReadSession, *, run: Path | None = None) -> None:
        """A session that was read from a file. The first :meth:`keep` goes on in that file; or in a new one in
        ``folder``, if the file is damaged, if another program has it open or has written to it since, and if it is the
        user's and cannot be written or has several names (hard links)."""
        state = replace(found.state, document=found.state.document.copy())
        moment = state.summary.saved or found.stamp.mtime_ns / 1e9
        saving = _Saving(folder, run, state, state, moment)
        if found.can_go_on:
            path = found.path.resolve()  # it may have been opened by another path, such as a link
            saving.lies_at(path, found.stamp, automatic=found.automatic)
        self._forget_file(saving.path)
        self._add(key, saving)

    def keep(self, key: Hashable, state: SessionState) -> None:
        """Let ``state`` be in the file of a session soon."""
        with self._changed:
            saving = self._savings[key]
            saving.newest, saving.leaving = state, False
            if (due := time.monotonic() + saving.interval) < saving.due:  # else the thread waits for that already
                saving.due = due
                self._changed.notify_all()

    def move(self, key: Hashable, path: Path, saved: Callable[[str], object], failed: Callable[[str], object]) -> None:
        """Save a session in the file ``path`` of the user's, and go on there: the file of the app's own that had it is
        deleted then. ``saved`` or ``failed`` is called from the thread with a sentence; in the latter case the session
        stays where it is."""
        with self._changed:
            saving = self._savings[key]
            saving.move, saving.due = _Move(path, saved, failed), 0.0
            self._changed.notify_all()

    def leave(self, key: Hashable) -> None:
        """The session is not played any more: write what waits at once, and let other programs go on in its file.
        Another :meth:`keep` goes on in it, too."""
        with self._changed:
            if (saving := self._savings.get(key)) is not None:
                saving.leaving = True
                if not saving.failure:
                    saving.due = 0.0
                self._changed.notify_all()

    def knows(self, key: Hashable) -> bool:
        """Whether a session has this key. Opening a session's file again gives the session a new key."""
        with self._changed:
            return key in self._savings

    def status(self, key: Hashable) -> SavingStatus:
        """The state of saving a session; an empty status for an unknown session."""
        with self._changed:
            saving = self._savings.get(key)
            return SavingStatus() if saving is None else saving.status

    def rename_run(self, old: Path, new: Path) -> None:
        """The run in the folder ``old`` was renamed to ``new``, and the files in it too."""
        with self._changed:
            for saving in self._savings.values():
                saving.folder = path_after_rename(saving.folder, old, new)
                saving.run = new if saving.run == old else saving.run
                if saving.path is not None:
                    saving.path = path_after_rename(saving.path, old, new)
                if saving.file is not None:
                    saving.file.path = path_after_rename(saving.file.path, old, new)

    @property
    def files(self) -> set[Path]:
        """The files of all sessions since the app was started."""
        with self._changed:
            return {saving.path for saving in self._savings.values() if saving.path is not None}

    def unsaved(self) -> list[tuple[SavingStatus, SessionState]]:
        """What is not saved."""
        with self._changed:
            return [
                (saving.status, saving.newest)
                for saving in self._savings.values()
                if saving.waits and saving.newest is not None
            ]

    def write_all(self, timeout: float) -> bool:
        """Write all that waits at once. Waits until it is written or has failed, ``timeout`` seconds at most; returns
        whether it is."""
        self._wait_for(lambda saving: True, timeout)
        with self._changed:
            return not any(saving.is_busy for saving in self._savings.values())

    def wait_for(self, key: Hashable, timeout: float) -> bool:
        """Write what waits of a session at once, and wait until it is written or has failed, ``timeout`` seconds at
        most. Returns whether it is written."""
        return self._wait_for(lambda saving: saving is self._savings.get(key), timeout)

    def flush(self, path: Path, timeout: float) -> bool:
        """Write what waits for the file ``path`` at once, and wait until it is written or has failed, ``timeout``
        seconds at most. Returns whether it is written. That takes milliseconds, unless the disk is slow."""
        file = path.resolve()
        return self._wait_for(lambda saving: saving.path is not None and saving.path.resolve() == file, timeout)

    def _wait_for(self, meant: Callable[[_Saving], bool], timeout: float) -> bool:
        with self._changed:
            waiting = [saving for saving in self._savings.values() if meant(saving)]
            for saving in waiting:
                saving.due = 0.0 if saving.is_busy else saving.due
            self._changed.notify_all()
            self._changed.wait_for(lambda: not any(each.is_busy for each in waiting), timeout)
            return not any(each.waits for each in waiting)

    def close(self, timeout: float) -> list[SavingStatus]:
        """Write all that waits, and end the thread. Waits for it ``timeout`` seconds at most, and returns what is not
        saved then."""
        with self._changed:
            now = time.monotonic()
            self._closing_until = now + timeout
            for saving in self._savings.values():
                saving.leaving, saving.due = True, now
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return [status for status, _ in self.unsaved()]

    def delete_unkept(self) -> None:
        """Delete the files of what was begun since the app was started and only grew by itself, after :meth:`close`."""
        for each in self._savings.values():
            if each.path is None or each.stamp is None or each.newest is None or not each.begun_here or each.waits:
                continue
            try:
                session = SavedSession(each.path, each.moment, each.newest.summary)
                if not session.has_work and is_as_left(each.path, each.stamp):
                    session_file.delete(each.path)
            except OSError as error:
                LOG.warning("%s, which is not kept, cannot be deleted: %s", each.path, error)

    def _forget_file(self, path: Path | None) -> None:
        """Another session has this file now."""
        with self._changed:
            self._savings = {key: each for key, each in self._savings.items() if each.waits or each.path != path}

    def _add(self, key: Hashable, saving: _Saving) -> None:
        with self._changed:
            self._savings[key] = saving
            if self._thread.ident is None:
                self._thread.start()

    # ---- on the thread

    def _run(self) -> None:
        while True:
            try:
                if self._step():
                    return
            except Exception:
                LOG.exception("Unexpected error of the thread that saves sessions")
                time.sleep(RETRY_AFTER)

    def _step(self) -> bool:
        """Do the work that is due, or wait. Returns whether all is done and the app is being closed."""
        with self._changed:
            now = time.monotonic()
            due = [saving for saving in self._savings.values() if saving.due <= now]
            if not due:
                until = min((saving.due for saving in self._savings.values()), default=NEVER)
                if self._closing_until is not None:
                    if until == NEVER or now >= self._closing_until:
                        return True
                    until = min(until, self._closing_until)
                self._changed.wait(None if until == NEVER else until - now)
                return False
        for saving in due:
            before = saving.status
            self._attend(saving)
            if replace(before, unsaved=False) != replace(saving.status, unsaved=False):
                self._told()
        return False

    def _attend(self, saving: _Saving) -> None:
        """Write the waiting changes of one session, and release its file if the session is left. A failure concerns
        this session alone."""
        with self._changed:
            state, saving.due, move = saving.newest, NEVER, saving.move
        if state is not None and move is not None:
            self._move(saving, state, move)
        if state is not None and state is not saving.written:
            try:
                self._write(saving, state)
            except Exception as error:
                self._failed(saving, error)
                return
            assert saving.stamp is not None
            with self._changed:
                saving.interval = max(WRITE_AFTER, saving.stamp.size / BYTES_PER_SECOND)
                saving.written, saving.failure = state, ""
                if saving.newest is not state:
                    saving.due = min(saving.due, 0.0 if saving.leaving else time.monotonic() + saving.interval)
                self._changed.notify_all()
        with self._changed:
            if saving.leaving and not saving.waits and saving.file is not None:
                saving.file.close()
                saving.file = None
                self._changed.notify_all()

    def _failed(self, saving: _Saving, error: Exception) -> None:
        folder = home((saving.path or saving.folder / "session").parent)
        reason = _reason(error, "saving it")
        with self._changed:
            saving.failure = f"The session cannot be saved to {folder}: {reason.rstrip('.')}."
            saving.due = time.monotonic() + RETRY_AFTER
            self._changed.notify_all()

    def _write(self, saving: _Saving, state: SessionState) -> None:
        """Write a session to its file, or to a new one where that is another's. Raises :class:`OSError`."""
        state, run = self._dated(saving, state), saving.run
        if run is not None and not RunFolder(run).exists():
            self._leave_run(saving, run)
        if saving.path is not None:
            try:
                if saving.file is None:
                    saving.file = OwnFile(saving.path, saving.stamp, automatic=saving.automatic)
                saving.file.write(state)
                self._set_path(saving, saving.path)
                return
            except FileLostError as error:
                with self._changed:
                    saving.loses_file(_LOST[error.reason])
        self._begin_file(saving, state)

    def _leave_run(self, saving: _Saving, run: Path) -> None:
        """Save a session in a folder of the app's from now on, as its run was deleted or, elsewhere, renamed."""
        with self._changed:
            was_beside_run = saving.path is None or saving.path.parent == saving.folder
            saving.run, saving.folder = None, saved_sessions.own_folder(run, run.name)
            if was_beside_run:
                saving.loses_file(
                    f"The run {run.name} is not there any more; the text is kept in {home(saving.folder)}."
                )

    @staticmethod
    def _dated(saving: _Saving, state: SessionState) -> SessionState:
        """The session with the time of its last change."""
        before = saving.written
        if before is None or _is_other_work(before, state):
            saving.moment = time.time()
        return replace(state, summary=replace(state.summary, saved=saving.moment))

    def _move(self, saving: _Saving, state: SessionState, move: _Move) -> None:
        """Save a session in a file that the user named. A failure is said once: the session stays in its own file."""
        try:
            name = session_file.target(move.path)
            saved_sessions.make(name.parent)
            path = name.resolve()
            if saving.path is None or path != saving.path.resolve():
                self._write_at(saving, path, state)
            elif saving.written is not state:
                self._write(saving, state)
            saved_sessions.remember(path)
            with self._changed:
                saving.written = state
            if saving.path is not None and saving.path.resolve() == path:
                move.saved(f"Saved as {name.name} in {home(name.absolute().parent)}; the text goes on there.")
        except FileLostError:
            move.failed(f"{move.path.name} is open in another program: choose another name.")
        except Exception as error:
            reason = _reason(error, "saving the session")
            move.failed(f"{move.path} cannot be written: {reason}." if isinstance(error, OSError) else reason)
        with self._changed:
            saving.move = None if saving.move is move else saving.move
            self._changed.notify_all()

    def _write_at(self, saving: _Saving, path: Path, state: SessionState) -> None:
        """Write a session to a file of the user's, in the place of one that is there, and go on in it."""
        new, old = _new_file(path, self._dated(saving, state), automatic=False), saving.path
        self._forget_file(path)
        if saving.file is not None:
            saving.file.close()
        was_automatic, stamp = saving.automatic, saving.stamp
        with self._changed:
            saving.file, saving.failure, saving.note = new, "", ""
            saving.lies_at(path, new.stamp, automatic=False)
        if old is not None and was_automatic and stamp is not None:
            try:
                if is_as_left(old, stamp):
                    session_file.delete(old)
            except OSError as error:
                LOG.warning("%s, whose text is in %s now, cannot be deleted: %s", old, path, error)

    def _begin_file(self, saving: _Saving, state: SessionState) -> None:
        folder = saving.folder
        saved_sessions.make(folder)
        taken: set[Path] = set()
        while saving.file is None:
            path = saved_sessions.new_name(folder, taken=taken)
            try:
                saving.file = _new_file(path, state, automatic=True)
            except (FileExistsError, FileLostError):  # another program takes the same name
                taken.add(path)
        self._set_path(saving, path)
        self._jobs.add(lambda: saved_sessions.forget_old(folder, self.files), "deleting old sessions")

    def _set_path(self, saving: _Saving, path: Path) -> None:
        with self._changed:
            saving.path = path
            if saving.file is not None:
                saving.stamp = saving.file.stamp


def _reason(error: Exception, doing: str) -> str:
    """Why something failed, for a sentence; an unexpected error is logged."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if not isinstance(error, CharLSTMError):
        LOG.error("Unexpected error while a session was saved", exc_info=error)
    return sentence(error, doing)


def _new_file(path: Path, state: SessionState, *, automatic: bool) -> OwnFile:
    """Write a session to a new file; one of the user's takes the place of what is there."""
    file = OwnFile(path, None, automatic=automatic)
    try:
        file.write(state)
    except BaseException:
        file.close()
        raise
    return file


def _is_other_work(before: SessionState, state: SessionState) -> bool:
    """Whether the text or its branches have changed, or the user has a part in it now: it is newer then."""
    return (
        before.document.text != state.document.text
        or len(before.document.branches) != len(state.document.branches)
        or before.document.names != state.document.names
        or before.summary.edited != state.summary.edited
    )

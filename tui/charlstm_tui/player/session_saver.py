"""Write what is done to the sessions of the app to their files, on a background thread.

A session's file is a log (:mod:`charlstm.generation.session_log`): changes are appended, which takes well below a
millisecond, however long the text is. The player's thread gives them to :meth:`SessionSaver.save` 0.15 s later; they
are written at once then, and are on the disk within two seconds. What fails is tried again until it succeeds.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from charlstm.errors import CharLSTMError
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Entry
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_log import (
    LogLostError,
    SeenFile,
    SessionLog,
    SessionState,
    SessionSummary,
    changes,
)
from charlstm.runs.folder import Run, known_runs, list_runs
from charlstm.storage import FileStamp
from charlstm_tui.background import JobQueue
from charlstm_tui.choices import path_after_rename
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.formatting import home
from charlstm_tui.player import saved_sessions

SYNC_AFTER = 1.0
"""Seconds from a write to its sync. With some 0.2 before the write, a change is on the disk within two seconds if the
sync takes no longer than 0.8."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a failed write is tried again: twice as many after each failure, up to the longest pause."""
CLOSING_PAUSE = 0.1
"""The same while the app waits to be closed."""
MOST_NAMES = 10_000
NEVER = float("inf")

_LOST = {
    "in use": "Another program has this session open: here it goes on in a file of its own.",
    "changed": "Another program has continued this session: here it goes on in a file of its own.",
    "replaced": "Another program has replaced the file of this session: here it goes on in a file of its own.",
    "gone": "The file of this session was deleted: it goes on in a new one.",
}


@dataclass(frozen=True, slots=True)
class SavingStatus:
    """How it is with saving one session.

    Attributes:
        path: its file; None before there is one.
        failure: a sentence, as long as something cannot be saved; empty otherwise.
        unsaved: whether something waits to be written.
        note: a sentence about where it is saved, if that is not where it was; the latest one.
    """

    path: Path | None = None
    failure: str = ""
    unsaved: bool = False
    note: str = ""


@dataclass(eq=False)
class _Saving:
    """One session: what waits to be written, and where to.

    The player's thread sets the fields down to ``end_state``, the saver's thread the others; while :attr:`syncing` or
    :attr:`compacting`, a third thread sets those that tell how it ended. All hold the saver's lock for what another
    thread reads. A session that is taken up again (:meth:`SessionSaver.go_on`) is set anew by the player's thread."""

    key: Hashable
    folder: Path
    run: Path | None
    state: SessionState | None  # what was written, or what a file is to begin with; None if it is not known
    seen: SeenFile | None  # to go on in
    entries: list[Entry] = field(default_factory=list)
    settings: SamplerSettings | None = None
    clamps: Sequence[Clamp] | None = None
    summary: SessionSummary | None = None
    waits: bool = False
    is_ending: bool = False
    end_state: SessionState | None = None
    path: Path | None = None
    failure: str = ""
    note: str = ""
    log: SessionLog | None = None
    run_identity: tuple[int, int] | None = None
    retry_at: float = 0.0
    pause: float = FIRST_PAUSE
    tidy_at: float = 0.0
    unsynced_since: float | None = None
    sync_failed: bool = False  # what was written may be lost, and another sync would not say so
    written_summary: SessionSummary | None = None
    syncing: bool = False
    compacting: bool = False
    deleted_run: str = ""
    is_new: bool = True

    @property
    def status(self) -> SavingStatus:
        return SavingStatus(self.path, self.failure, self.waits or bool(self.failure), self.note)


class SessionSaver:
    """The thread that writes all sessions of the app. No method but :meth:`wait_for`, :meth:`flush`, :meth:`write_all`
    and :meth:`close` waits for the disk. ``told`` is called from it when a status has changed."""

    def __init__(self, told: Callable[[], object] = lambda: None) -> None:
        self._told = told
        self._savings: dict[Hashable, _Saving] = {}
        self._replaced: list[_Saving] = []  # of keys that are in use again
        self._files: set[Path] = set()
        self._changed = threading.Condition()
        self._closing_until: float | None = None
        self._thread = threading.Thread(target=self._run, name="charlstm-session-saver", daemon=True)
        self._started = False
        self._compacting = False
        self._jobs = JobQueue()

    # ---- for the player's thread

    def begin(self, key: Hashable, folder: Path, state: SessionState, *, run: Path | None = None) -> None:
        """A new session, which is saved in ``folder`` under a name of the app's own. There is no file before the first
        :meth:`save`. ``run`` is the run in whose folder that is."""
        self._add(_Saving(key, folder, run, state, None, summary=state.summary))

    def go_on(
        self, key: Hashable, folder: Path, state: SessionState, seen: SeenFile, *, run: Path | None = None
    ) -> None:
        """A session that was read from a file. The first :meth:`save` goes on in that file, if the app gave it its
        name, in ``folder``; otherwise in a new file there. So it does if another program has the file open or has
        written to it since, and if it is damaged or of an older format.

        It may be a session that was ended here before, also while its file is still compacted; :meth:`flush` has to be
        called then before the file is read."""
        own = seen.can_go_on and seen.automatic and saved_sessions.is_own(seen.path, folder)
        if own:  # it may have been opened by another path, such as one with a link
            seen = replace(seen, path=folder / seen.path.name)
        if own and self._take_up(key, folder, state, seen, run):
            return
        path = seen.path if own else None
        self._add(_Saving(key, folder, run, state, seen if own else None, path=path, summary=state.summary))

    def save(
        self,
        key: Hashable,
        entries: Iterable[Entry] = (),
        *,
        summary: SessionSummary | None = None,
        settings: SamplerSettings | None = None,
        clamps: Sequence[Clamp] | None = None,
    ) -> None:
        """Write what was done to the document since the last call, or since the state of :meth:`begin` or
        :meth:`go_on`, and settings and clamps if they changed."""
        with self._changed:
            saving = self._savings[key]
            saving.entries.extend(entries)
            saving.summary = saving.summary if summary is None else summary
            saving.settings = saving.settings if settings is None else settings
            saving.clamps = saving.clamps if clamps is None else tuple(clamps)
            saving.waits, saving.is_ending, saving.end_state = True, False, None
            self._changed.notify_all()

    def end(self, key: Hashable, state: SessionState | None) -> None:
        """The session is not played any more: write what waits, replace the log by ``state``, which has all of it, and
        let other programs go on in the file. Another :meth:`save` goes on in it, too. Without a state the log stays."""
        with self._changed:
            saving = self._savings[key]
            saving.is_ending, saving.end_state = True, state
            self._changed.notify_all()

    def knows(self, key: Hashable) -> bool:
        """Whether a session has this key. It has another one since its file was opened again under that."""
        with self._changed:
            return key in self._savings

    def status(self, key: Hashable) -> SavingStatus:
        """How it is with saving a session; an empty status for an unknown one."""
        with self._changed:
            saving = self._savings.get(key)
            return SavingStatus() if saving is None else saving.status

    def write_all(self, timeout: float) -> bool:
        """Wait until all that waits is written or has failed, ``timeout`` seconds at most. Returns whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not any(each.waits and not each.failure for each in (*self._replaced, *self._savings.values())),
                timeout,
            )

    def rename_run(self, old: Path, new: Path) -> None:
        """The run in the folder ``old`` was renamed to ``new``, and the files in it too. The thread finds that out by
        itself when it writes next; until then this is what is said of them."""
        with self._changed:
            self._files = {path_after_rename(path, old, new) for path in self._files}
            for saving in (*self._replaced, *self._savings.values()):
                if saving.path is not None:
                    saving.path = path_after_rename(saving.path, old, new)

    @property
    def files(self) -> set[Path]:
        """The files of all sessions since the app was started."""
        with self._changed:
            return self._files | {saving.path for saving in self._savings.values() if saving.path is not None}

    def close(self, timeout: float) -> list[SavingStatus]:
        """Write all that waits, and end the thread. Waits for it ``timeout`` seconds at most, and returns what is not
        saved then."""
        with self._changed:
            now = time.monotonic()
            self._closing_until = now + timeout
            for saving in (*self._replaced, *self._savings.values()):
                saving.retry_at, saving.tidy_at = min(saving.retry_at, now), min(saving.tidy_at, now)
            self._changed.notify_all()
        if self._started:
            self._thread.join(timeout + CLOSING_PAUSE)
        with self._changed:
            all_of_them = (*self._replaced, *self._savings.values())
            return [saving.status for saving in all_of_them if saving.status.unsaved]

    def give_title(self, path: Path, title: str) -> Hashable | None:
        """Give the session in a file a title, if it was saved here and the file is as it was left. Returns its key."""
        with self._changed:
            for key, saving in self._savings.items():
                if saving.path == path and saving.summary is not None and _is_as_left(saving):
                    saving.written_summary = saving.written_summary or saving.summary  # so that its time stays
                    saving.summary = replace(saving.summary, title=title)
                    if saving.end_state is not None:
                        saving.end_state = replace(saving.end_state, summary=saving.summary)
                    saving.waits = True
                    self._changed.notify_all()
                    return key
        return None

    def wait_for(self, key: Hashable, timeout: float) -> bool:
        """Wait until all that was saved of a session is in its file, ``timeout`` seconds at most. Returns whether it
        is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: (saving := self._savings.get(key)) is None or not saving.waits, timeout
            )

    def flush(self, path: Path, timeout: float) -> bool:
        """Wait until all that was saved of a session is in the file ``path``, ``timeout`` seconds at most. Returns
        whether it is. That takes milliseconds, unless the disk is slow."""
        file = path.resolve()
        with self._changed:
            return self._changed.wait_for(
                lambda: (
                    not any(
                        saving.waits and saving.path is not None and saving.path.resolve() == file
                        for saving in (*self._savings.values(), *self._replaced)
                    )
                ),
                timeout,
            )

    def _take_up(self, key: Hashable, folder: Path, state: SessionState, seen: SeenFile, run: Path | None) -> bool:
        """Go on with a session that was ended here, if there is one in that file with that text. Where something else
        has changed the file since, such as a title, it goes on as it was read."""
        with self._changed:
            for saving in (*self._savings.values(), *self._replaced):
                if saving.path == seen.path and saving.is_ending and not saving.waits and _same(saving.state, state):
                    break
            else:
                return False
            if saving in self._replaced:
                self._replaced.remove(saving)
            else:
                del self._savings[saving.key]
            if not _is_as_left(saving):
                return False
            self._retire(key)
            saving.key, saving.folder, saving.run, saving.is_new = key, folder, run, True
            saving.is_ending, saving.end_state, saving.note = False, None, ""
            self._savings[key] = saving
            self._changed.notify_all()
            return True

    def _retire(self, key: Hashable) -> None:
        """End the session that has this key, if there is one; it is still written."""
        before = self._savings.pop(key, None)
        if before is not None:
            before.is_ending = True
            going = [each for each in self._replaced if each.waits or each.log is not None]
            self._replaced = [*going, before]

    def _add(self, saving: _Saving) -> None:
        with self._changed:
            self._retire(saving.key)
            self._savings[saving.key] = saving
            if not self._started:
                self._started = True
                self._thread.start()
            self._changed.notify_all()

    # ---- on the thread

    def _run(self) -> None:
        while True:
            try:
                if self._step():
                    return
            except Exception:
                LOG.exception("Unexpected error of the thread that saves sessions")
                time.sleep(FIRST_PAUSE)

    def _step(self) -> bool:
        """Do what is due, or wait for it. Returns whether all is done and the app is being closed."""
        with self._changed:
            savings = [*self._replaced, *self._savings.values()]
            now, closing = time.monotonic(), self._closing_until is not None
            due = [saving for saving in savings if self._due(saving, closing) <= now]
            if not due:
                until = min((self._due(saving, closing) for saving in savings), default=NEVER)
                if self._closing_until is not None:
                    if until == NEVER and not any(saving.syncing or saving.compacting for saving in savings):
                        return True
                    if now >= self._closing_until:
                        return True
                    until = min(until, self._closing_until)
                self._changed.wait(None if until == NEVER else max(0.0, until - now))
                return False
        for saving in due:
            before = saving.status
            self._attend(saving, closing)
            if replace(before, unsaved=False) != replace(saving.status, unsaved=False):
                self._told()
        return False

    def _due(self, saving: _Saving, closing: bool) -> float:
        """When there is something to do for a session, in seconds of :func:`time.monotonic`."""
        if saving.is_new:
            return 0.0
        if saving.waits:
            return saving.retry_at
        if saving.log is None or saving.syncing:
            return NEVER
        if not saving.compacting and (
            saving.is_ending or closing or saving.sync_failed or (saving.log.is_long and not self._compacting)
        ):
            return saving.tidy_at
        if saving.unsynced_since is not None and not saving.sync_failed:
            return max(saving.tidy_at, 0.0 if closing else saving.unsynced_since + SYNC_AFTER)
        return NEVER

    def _attend(self, saving: _Saving, closing: bool) -> None:
        """Do what is due for one session. A failure is its alone."""
        try:
            if saving.is_new:
                saving.is_new = False
                saving.run_identity = None if saving.run is None else _identity(saving.run)
                if saving.state is not None:
                    saving.state = replace(saving.state, document=saving.state.document.copy(), cache=None)
            elif saving.waits:
                self._write(saving)
            elif saving.log is not None:
                self._tidy(saving, closing)
        except Exception as error:
            self._failed(saving, error, closing)

    def _failed(self, saving: _Saving, error: Exception, closing: bool) -> None:
        if not isinstance(error, (OSError, CharLSTMError)):
            LOG.error("Unexpected error while a session was saved", exc_info=error)
        place = home((saving.path or saving.folder / "session").parent)
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else sentence(error, "saving it")
        with self._changed:
            saving.failure = f"The session cannot be saved to {place}: {reason}."
            saving.retry_at = saving.tidy_at = time.monotonic() + (CLOSING_PAUSE if closing else saving.pause)
            saving.pause = min(LONGEST_PAUSE, 2 * saving.pause)
            self._changed.notify_all()

    def _write(self, saving: _Saving) -> None:
        """Write what waits. Raises :class:`OSError`; all that is not written waits then."""
        with self._changed:
            count, settings, clamps, summary = len(saving.entries), saving.settings, saving.clamps, saving.summary
            record = changes(saving.entries[:count], settings, clamps)
        assert summary is not None
        while True:
            if saving.log is None:
                self._open(saving)
            assert saving.log is not None
            try:
                if record or summary != saving.written_summary:
                    saving.log.append(record, summary, keep_time=not record and _is_only_named(saving, summary))
                break
            except LogLostError as error:
                self._recover(saving, error)
        saving.state = _after(saving.state, saving.entries[:count], settings, clamps, summary)
        with self._changed:
            del saving.entries[:count]
            saving.settings = None if saving.settings is settings else saving.settings
            saving.clamps = None if saving.clamps is clamps else saving.clamps
            how = saving.settings is not None or saving.clamps is not None
            saving.waits = bool(saving.entries) or how or saving.summary != summary
            saving.retry_at, saving.written_summary = 0.0, summary
            if not saving.sync_failed:
                saving.failure, saving.pause = "", FIRST_PAUSE
            saving.path = saving.log.path
            self._files.add(saving.path)
            if saving.unsynced_since is None:
                saving.unsynced_since = time.monotonic()
            self._changed.notify_all()

    def _open(self, saving: _Saving) -> None:
        """Open the file of a session, or begin a new one."""
        folder = self._place(saving)
        if saving.seen is not None:
            try:
                saving.log = SessionLog.open(replace(saving.seen, path=folder / saving.seen.path.name))
                saving.seen = None
                return
            except LogLostError as error:
                saving.seen, saving.note = None, _LOST[error.reason]
        assert saving.state is not None
        saved_sessions.make(folder)
        taken: set[Path] = set()
        while saving.log is None:
            path = saved_sessions.new_name(folder, taken=taken)
            try:
                saving.log = SessionLog.create(path, saving.state)
            except (FileExistsError, LogLostError):  # another program takes the same name
                taken.add(path)
                if len(taken) > MOST_NAMES:
                    raise
        with self._changed:
            saving.path, saving.folder, saving.written_summary = path, folder, saving.state.summary
            if saving.deleted_run:
                saving.note = f"The run {saving.deleted_run} was deleted; the text is kept in {home(path)}."
                saving.deleted_run = ""
            self._files.add(path)
        self._forget_old(folder)

    def _recover(self, saving: _Saving, error: LogLostError) -> None:
        """The file is not where it was: find it in its renamed run, or begin a new one with what it said."""
        log = saving.log
        assert log is not None
        folder = self._place(saving)
        there = folder / log.path.name
        if error.reason in ("gone", "replaced") and there != log.path and log.is_at(there):
            log.path = saving.path = there
            return
        if saving.state is None:
            saving.state = log.read().state
        log.close()
        saving.log, saving.note = None, _LOST[error.reason]

    def _place(self, saving: _Saving) -> Path:
        """The folder for a session. It follows its run, and is the app's own if that was deleted."""
        run = saving.run
        if run is None or (saving.run_identity is not None and _identity(run) == saving.run_identity):
            return saving.folder
        for other in (*list_runs(run.parent), *known_runs()) if saving.run_identity is not None else ():
            if _identity(other.path) == saving.run_identity:
                saving.run, saving.folder = other.path, other.sessions_dir
                return saving.folder
        saving.folder = saved_sessions.own_folder(run, run.name)
        saving.run, saving.deleted_run = None, run.name
        return saving.folder

    # ---- what takes long, beside the thread

    def _tidy(self, saving: _Saving, closing: bool) -> None:
        """Sync, compact or close a file."""
        log = saving.log
        assert log is not None
        with self._changed:
            if saving.waits:
                return
            state, size = saving.end_state if saving.is_ending else None, log.size
            now = saving.state
        may_compact = not saving.compacting and not self._compacting
        if may_compact and (saving.sync_failed or (state is None and log.is_long and not closing)):
            copied = None if now is None else replace(now, document=now.document.copy())
            self._beside(saving, lambda: self._compact(saving, log, copied, size), compacts=True)
        elif saving.unsynced_since is not None and (closing or state is None) and not saving.sync_failed:
            self._beside(saving, lambda: self._sync(saving, log), compacts=False)
        elif may_compact and state is not None:
            self._beside(saving, lambda: self._compact(saving, log, state, size), compacts=True)
        elif (saving.is_ending or closing) and not saving.compacting and state is None and not saving.sync_failed:
            with self._changed:
                if not saving.waits:
                    self._close(saving, log)
        else:
            saving.tidy_at = time.monotonic() + CLOSING_PAUSE  # another session is being compacted

    def _sync(self, saving: _Saving, log: SessionLog) -> None:
        since, saving.unsynced_since = saving.unsynced_since, None
        try:
            log.sync()
        except OSError as error:
            saving.sync_failed, saving.unsynced_since = True, since
            self._failed(saving, error, self._closing_until is not None)

    def _compact(self, saving: _Saving, log: SessionLog, state: SessionState | None, size: int) -> None:
        """Compact a file. Nothing is lost if that fails, unless a sync has failed before."""
        try:
            synced = log.compact(state, size)
            with self._changed:
                if log.size == synced:  # nothing was appended since
                    saving.unsynced_since = None
                if saving.sync_failed:
                    saving.sync_failed, saving.failure, saving.pause = False, "", FIRST_PAUSE
        except (OSError, CharLSTMError) as error:
            saving.tidy_at = time.monotonic() + LONGEST_PAUSE
            if saving.sync_failed:
                self._failed(saving, error, self._closing_until is not None)
        finally:
            with self._changed:
                if state is not None and saving.end_state is state:
                    saving.end_state, saving.tidy_at = None, 0.0

    def _close(self, saving: _Saving, log: SessionLog) -> None:
        saving.seen = log.seen
        log.close()
        saving.log = None
        self._changed.notify_all()

    def _beside(self, saving: _Saving, job: Callable[[], object], *, compacts: bool) -> None:
        """Do something for a session on a thread of its own, so that what is written meanwhile does not wait."""

        def run() -> None:
            try:
                job()
            except Exception as error:
                saving.tidy_at = time.monotonic() + LONGEST_PAUSE
                LOG.error("Unexpected error while a session was synced or compacted", exc_info=error)
            with self._changed:
                if compacts:
                    saving.compacting = self._compacting = False
                else:
                    saving.syncing = False
                self._changed.notify_all()

        if compacts:
            saving.compacting = self._compacting = True
        else:
            saving.syncing = True
        threading.Thread(target=run, name="charlstm-session-tidy", daemon=True).start()

    def _forget_old(self, folder: Path) -> None:
        self._jobs.add(lambda: saved_sessions.forget_old(folder, self.files), "deleting old sessions")


def _is_only_named(saving: _Saving, summary: SessionSummary) -> bool:
    """Whether nothing has changed but the title, and which saved session this one continues: it is no newer then."""
    before = saving.written_summary
    return before is not None and summary == replace(before, continues=summary.continues, title=summary.title)


def _is_as_left(saving: _Saving) -> bool:
    """Whether a file is open here, or has not changed since it was closed here."""
    if saving.log is not None or saving.seen is None or saving.path is None:
        return saving.log is not None
    try:
        return FileStamp.of(os.stat(saving.path)) == saving.seen.stamp
    except OSError:
        return False


def _same(one: SessionState | None, other: SessionState) -> bool:
    """Whether two states have the same text, cursor and last change."""
    if one is None:
        return False
    mine, theirs = one.document, other.document
    return mine.place == theirs.place and mine.undoable == theirs.undoable and mine.text == theirs.text


def _after(
    state: SessionState | None, entries: Sequence[Entry], settings: SamplerSettings | None,
    clamps: Sequence[Clamp] | None, summary: SessionSummary,
) -> SessionState | None:  # fmt: skip
    """What a session is after some changes, whose document is changed in place. So nothing has to be read to compact
    its file, or to begin another one. None if that is not known: then the file is read."""
    if state is None:
        return None
    try:
        state.document.replay(entries)
        state.document.journal.clear()
    except Exception as error:
        LOG.error("What was done to a session could not be done again", exc_info=error)
        return None
    return replace(
        state, summary=summary, settings=state.settings if settings is None else settings,
        clamps=state.clamps if clamps is None else tuple(clamps),
    )  # fmt: skip


def _identity(run: Path) -> tuple[int, int] | None:
    """What stays the same when a run is renamed; None for what is no run."""
    try:
        info = os.stat(run)
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if Run(run).exists() else None

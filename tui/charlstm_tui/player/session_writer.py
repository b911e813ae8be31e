"""Write session files on a background thread, and again where that fails.

A session stays with its run when that is renamed, and goes to a folder of the app's own when its run is gone. A file
that another program has made or changed is left alone: the session goes on in another file then.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from charlstm import paths, storage
from charlstm.errors import CharLSTMError
from charlstm.runs.folder import Run, list_runs
from charlstm.storage import FileStamp
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.formatting import home
from charlstm_tui.player import saved_sessions

FIRST_PAUSE = 2.0
"""Seconds before a save that failed is tried again; twice as many after each further failure."""
LONGEST_PAUSE = 60.0


class SaveResult(NamedTuple):
    """What came of an attempt to save: the ``file`` for the session now, the folder of its ``run``, and a ``note`` on
    what changed about them. Whether it is saved is told by :attr:`SessionWriter.failure`."""

    file: Path
    run: Path | None
    note: str = ""


class RunIdentity(NamedTuple):
    """What a run keeps when it is renamed."""

    device: int
    inode: int
    created: float


@dataclass(slots=True, eq=False)
class _Save:
    """A session that is to be written to ``path``."""

    path: Path
    content: Callable[[], bytes]
    run: Path | None
    told: Callable[[SaveResult], object]
    failures: int = 0
    due: float = 0.0  # a time of time.monotonic()
    failure: str = ""


class SessionWriter:
    """Write files one after the other on a thread. What fails is tried again with growing pauses, until it succeeds or
    something newer is to be written to the same file."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[_Save | Callable[[], None]] = deque()
        self._failed: dict[Path, _Save] = {}
        self._is_writing = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._known: dict[Path, FileStamp] = {}  # what each file was like when it was read or written here
        self._instead: dict[Path, Path] = {}  # where a session is written that was to be in another file
        self._runs: dict[Path, RunIdentity] = {}
        self._run_now: dict[Path, Path] = {}  # those that were renamed

    # ---- for the player

    def remember(self, path: Path) -> None:
        """The file is about to be read, and is written from now on. Before it is read, so that a change by another
        program in between is noticed. What could not be written to it yet gets another file: it is newer than what is
        read."""
        with self._changed:
            waiting = [save for save in self._waiting if isinstance(save, _Save)]
            for save in [save for save in (*waiting, *self._failed.values()) if save.path == path]:
                self._failed.pop(path, None)
                save.path = self._new_name(path.parent)
                if save not in waiting:
                    self._failed[save.path] = save
        with suppress(OSError):
            self._known[path] = FileStamp.of(path.stat())
            self._instead.pop(path, None)

    def remember_run(self, run: Path | None) -> None:
        """Sessions of this run are written from now on, also when it was renamed."""
        identity = None if run is None else _identity(run)
        if run is not None and identity is not None:
            self._runs[run] = identity
            self._run_now.pop(run, None)

    def file(self, path: Path) -> Path:
        """The file in which the session is that was to be in ``path``."""
        while path in self._instead:
            path = self._instead[path]
        return path

    def write(
        self, path: Path, content: Callable[[], bytes], run: Path | None, told: Callable[[SaveResult], object]
    ) -> None:
        """Write a file later. ``content`` makes what is written; ``run`` is the run that it belongs to, if any.
        ``told`` is called in the writer's thread after each attempt."""
        with self._changed:
            save = _Save(path, content, run, told)
            before = self._failed.pop(path, None)
            if before is not None and not self._closing:  # what is newer fails too, as long as the disk is full
                save.failures, save.due, save.failure = before.failures, before.due, before.failure
                self._failed[path] = save
            else:
                self._add(save)

    def save_as(self, save: Callable[[], str], saved: Callable[[str], object], failed: Callable[[str], object]) -> None:
        """Call later what :func:`saved_sessions.copy_as` returned, and then ``saved`` or ``failed`` with a sentence."""

        def write() -> None:
            try:
                saved(save())
            except CharLSTMError as error:
                failed(str(error))
            except Exception as error:
                LOG.exception("Unexpected error while a session was saved")
                failed(sentence(error, "saving the session"))

        with self._changed:
            self._add(write)

    def wait(self, timeout: float | None) -> bool:
        """Wait until everything is written or has failed, ``timeout`` seconds at most; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._is_writing, timeout)

    @property
    def failure(self) -> str:
        """Why a session is not saved, the latest; empty if all are."""
        with self._changed:
            failure = next((save.failure for save in reversed(self._failed.values())), "")
        return f"{failure}. It is tried again; save it elsewhere to keep it." if failure else ""

    def close(self, timeout: float | None) -> bool:
        """Try once more to write what failed, and wait until everything is written or has failed again, ``timeout``
        seconds at most; whether it is."""
        with self._changed:
            if not self._closing:
                self._closing = True
                for save in self._failed.values():
                    self._add(save)
                self._failed.clear()
        return self.wait(timeout)

    def rescue(self) -> list[str]:
        """After :meth:`close`: put what could not be written into a folder of the app's own. Returns a sentence for
        each session about where it is now, or that it is not saved."""
        with self._changed:
            failed = list(self._failed.values())
            self._failed.clear()
        return [self._rescue(save) for save in failed]

    # ---- the thread

    def _add(self, job: _Save | Callable[[], None]) -> None:
        if isinstance(job, _Save):
            for place, other in enumerate(self._waiting):
                if isinstance(other, _Save) and other.path == job.path:  # it has not begun, and this one is newer
                    self._waiting[place] = job
                    return
        self._waiting.append(job)
        self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="charlstm-session-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                job = self._next()
                while job is None:
                    due = min((save.due for save in self._failed.values()), default=None)
                    self._changed.wait(None if due is None else max(0.0, due - time.monotonic()))
                    job = self._next()
                self._is_writing = True
            try:
                if isinstance(job, _Save):
                    self._attempt(job)
                else:
                    job()
            except Exception:  # of the one that is told
                LOG.exception("Unexpected error while a session was saved")
            finally:
                with self._changed:
                    self._is_writing = False
                    self._changed.notify_all()

    def _next(self) -> _Save | Callable[[], None] | None:
        """What is to be done now."""
        if self._waiting:
            return self._waiting.popleft()
        now = time.monotonic()
        due = next((save for save in self._failed.values() if save.due <= now), None)
        if due is not None:
            del self._failed[due.path]
        return due

    def _attempt(self, save: _Save) -> None:
        file, run, note = self._place(save)
        failure = ""
        try:
            file, changed = self._write(file, save.content, run)
            note = changed or note
        except OSError as error:
            failure = error.strerror or str(error)
        except Exception as error:
            LOG.exception("Unexpected error while a session was saved")
            failure = sentence(error, "saving the session")
        if file != save.path:
            self._instead[save.path] = file
            self._instead.pop(file, None)  # that of a run which has its old name again
        if not failure:
            save.told(SaveResult(file, run, note))
            saved_sessions.forget_old(file.parent, self._known)
            return
        save.failure = f"The session cannot be saved to {home(file.parent)}: {failure.rstrip('.')}"
        save.failures += 1
        save.due = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (save.failures - 1))
        with self._changed:
            newer = save.path in self._failed or any(
                isinstance(other, _Save) and other.path == save.path for other in self._waiting
            )
            if not newer:
                self._failed[save.path] = save
        save.told(SaveResult(file, run, note))

    def _place(self, save: _Save) -> tuple[Path, Path | None, str]:
        """The file for a session, the folder of its run now, and a sentence if they are not where they were."""
        file, run = self.file(save.path), save.run
        if run is None:
            return file, None, ""
        run = self._run_now.get(run, run)
        for before, now in self._run_now.items():
            if file.is_relative_to(before):
                file = self._moved(file, before, now)
        if not file.is_relative_to(run):
            return file, None, ""
        if self._is_there(run):
            return file, run, ""
        renamed = self._renamed(run)
        if renamed is not None:
            self._run_now = {before: renamed if now == run else now for before, now in self._run_now.items()}
            self._run_now[run] = renamed
            self._runs[renamed] = self._runs[run]
            note = f"The run is called {renamed.name} now; this session stays with it."
            return self._moved(file, run, renamed), renamed, note
        number = hashlib.sha256(os.fsencode(run)).hexdigest()[:8]
        place = paths.state_dir(make=False) / "sessions" / f"{run.name}-{number}"
        return place / file.name, None, f"The run {run.name} is gone: this session is kept in {home(place)}."

    def _moved(self, file: Path, before: Path, now: Path) -> Path:
        """Where a file is since its run was renamed."""
        there = now / file.relative_to(before)
        if file in self._known:
            self._known[there] = self._known.pop(file)
        return there

    def _is_there(self, run: Path) -> bool:
        """Whether the run is still in its folder; another one may have its name now."""
        if not Run(run).exists():
            return False
        known, there = self._runs.get(run), _identity(run)
        return known is None or there is None or there.created == known.created

    def _renamed(self, run: Path) -> Path | None:
        """Where a run is that was renamed."""
        known = self._runs.get(run)
        if known is None:
            return None
        with suppress(OSError, CharLSTMError):
            return next((other.path for other in list_runs(run.parent) if _identity(other.path) == known), None)
        return None

    def _write(self, file: Path, content: Callable[[], bytes], run: Path | None = None) -> tuple[Path, str]:
        """Write a session to ``file``, or to another file if it belongs to another program. Returns the file, and a
        sentence if it is another one. The folder of ``run`` is not made, as it may be renamed or deleted just now."""
        saved_sessions.make(file.parent, parents=run is None)
        made, note = content(), ""
        while True:
            known = self._known.get(file)
            if known is not None and not _is_as(file, known):
                note = "Another program has continued this session: here it goes on in a file of its own."
            elif self._replace(file, made, new=known is None):
                return file, note
            file = self._new_name(file.parent)

    def _new_name(self, place: Path) -> Path:
        """A name for a file that nothing is written to."""
        waiting = (save.path for save in (*self._waiting, *self._failed.values()) if isinstance(save, _Save))
        return saved_sessions.new_name(place, taken={*self._known, *self._instead.values(), *waiting})

    def _replace(self, file: Path, content: bytes, *, new: bool) -> bool:
        """Write the file; false if it is to be ``new`` and there is one."""
        written = -1

        def write(opened: BinaryIO) -> None:
            nonlocal written
            opened.write(content)
            opened.flush()
            if os.name != "nt":  # where an open file cannot be renamed
                written = os.dup(opened.fileno())

        try:
            storage.replace_file(file, write, overwrite=not new)
        except FileExistsError:
            if not new:
                raise
            return False
        finally:
            # Of what was written, whatever stands in the file by now, or wherever it is: another program may have
            # replaced it at once, or renamed its folder.
            if written >= 0:
                info = os.fstat(written)
                os.close(written)
                if info.st_nlink:
                    self._known[file] = FileStamp.of(info)
        if written < 0:
            self._known[file] = FileStamp.of(file.stat())
        return True

    def _rescue(self, save: _Save) -> str:
        place = paths.state_dir(make=False) / "sessions" / "unsaved"
        try:
            file, _ = self._write(self._new_name(place), save.content)
        except Exception as error:
            LOG.warning("A session could not be saved to %s: %r", place, error)
            return f"{save.failure}. Its latest changes are lost."
        return f"{save.failure}. It is kept elsewhere: {saved_sessions.continues(file)}."


def _identity(run: Path) -> RunIdentity | None:
    with suppress(OSError, CharLSTMError):
        info = os.stat(run)
        return RunIdentity(info.st_dev, info.st_ino, Run(run).spec().created)
    return None


def _is_as(path: Path, stamp: FileStamp) -> bool:
    """Whether a file is as it was, or is gone: nobody's words are lost then."""
    try:
        return FileStamp.of(path.stat()) == stamp
    except OSError:
        return True

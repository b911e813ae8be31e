"""Read and write session files: the text of a session with its branches and its history (format 4).

A file is one JSON object, written whole and atomically. The first line has the summary for lists of sessions. The
history comes last: a file that is cut there still has the text. No model is needed to read or write one: what a model
had made of the text is not in the file. Nothing in a file is trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from charlstm import storage, user_files
from charlstm.display import size
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.clamp import existing_clamps
from charlstm.generation.document import Document
from charlstm.generation.prime import read_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.session import Session
from charlstm.generation.session_state import ERRORS, damage, state_from_dict
from charlstm.generation.session_state import SessionState as SessionState
from charlstm.generation.session_state import SessionSummary as SessionSummary
from charlstm.generation.session_state import summary_of as summary_of
from charlstm.storage import FileStamp

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from charlstm.model.file import Model

FORMAT = 4
KIND = "charlstm session"

MAX_BYTES = 2**30
"""A larger file is refused before it is read."""

MOST_HISTORY = 200_000
"""Characters of the changes that a file has for undo and redo."""

LONGEST_HEAD, LONGEST_BEGINNING = 65_536, 200
"""Bytes in which a file has its summary, and its kind and format."""


@dataclass(frozen=True, slots=True)
class ReadSession:
    """What a session file says.

    Attributes:
        stamp: the file has not changed as long as it has this stamp.
        is_session: whether it is a session; else its text alone was read from a file of text.
        automatic: whether the app saved it by itself.
        note: a sentence about what is damaged in it, if anything is.
    """

    path: Path
    state: SessionState
    stamp: FileStamp
    is_session: bool = True
    automatic: bool = False
    note: str = ""

    @property
    def can_go_on(self) -> bool:
        """Whether a program may write to this file: it is a session and not damaged."""
        return self.is_session and not self.note


# ---- reading


def read(path: Path) -> ReadSession:
    """Read a session file. Raises :class:`GenerationError` if it is missing, damaged or of another format."""
    try:
        return _read(path)
    except FileNotFoundError:
        raise GenerationError(f"There is no session file {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise GenerationError(f"The session file {path} cannot be read: it is damaged, or no session") from None
    except (OSError, *ERRORS) as error:
        reason = getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
        raise GenerationError(f"The session file {path} cannot be read: {reason}") from None


def _read(path: Path) -> ReadSession:
    with storage.open_file(path) as file:
        stamp = FileStamp.of(os.fstat(file.fileno()))
        if stamp.size > MAX_BYTES:
            raise ValueError(f"it is longer than {size(MAX_BYTES)}")
        content = file.read(stamp.size + 1)
    _check_format(content)
    values, is_whole = _parsed(content)
    if not isinstance(values, dict) or (values.get("kind"), values.get("format")) != (KIND, FORMAT):
        raise ValueError("it is not a saved session")
    state = state_from_dict(values, Document.from_dict(values["document"]))
    has_history = _read_history(state.document, values.get("history"))
    with contextlib.suppress(*ERRORS):  # the text matters more
        state = replace(state, summary=SessionSummary.from_dict(values["summary"]))
    note = "" if is_whole and has_history else damage(path)
    return ReadSession(path, state, stamp, automatic=values.get("automatic") is True, note=note)


def _check_format(content: bytes) -> None:
    """Raise :class:`ValueError` for a file that begins as a session of another format."""
    beginning = content[:LONGEST_BEGINNING]
    found = re.search(rb'"format": (\d{1,9})\b', beginning)
    if found is None or f'"kind": "{KIND}"'.encode() not in beginning or int(found[1]) == FORMAT:
        return
    if int(found[1]) > FORMAT:
        raise ValueError("it was written by a newer charlstm; update charlstm to read it")
    raise ValueError("it is of a version before 1.0, whose sessions are not read; begin a new one")


def _read_history(document: Document, history: Any) -> bool:
    """Give a document its history. Returns whether it is as it was written; else the document has none."""
    try:
        if history["check"] != _check(history):
            return False
        document.read_history(history)
    except ERRORS:
        return False
    return True


def _parsed(content: bytes) -> tuple[Any, bool]:
    """The values of a file, and whether it is whole: else they are without the history."""
    try:
        return json.loads(content), True
    except (json.JSONDecodeError, UnicodeDecodeError):
        text = content.rfind(HISTORY.encode())
        if text < 0:
            raise
        return json.loads(content[:text] + b"}"), False


SUMMARY = '"summary": '


def read_summary(path: Path) -> SessionSummary:
    """The summary of the session file ``path``, which stands in its beginning.

    Raises :class:`GenerationError` for what is no session file, :class:`OSError`.
    """
    try:
        with storage.open_file(path) as file:
            content = file.read(LONGEST_HEAD)
        _check_format(content)
        beginning = content.decode("utf-8", "replace")
        if f'"kind": "{KIND}"' not in beginning:
            raise ValueError("it is another file")
        if (start := beginning.find(SUMMARY)) >= 0:
            with contextlib.suppress(json.JSONDecodeError):  # it is longer
                return SessionSummary.from_dict(json.JSONDecoder().raw_decode(beginning, start + len(SUMMARY))[0])
        return read(path).state.summary
    except ERRORS as error:
        raise GenerationError(f"{path} is not a saved session: {error}") from None


def says_automatic(path: Path) -> bool:
    """Whether a session file was saved automatically, by its own record. Raises :class:`OSError`."""
    with storage.open_file(path) as file:
        return b'"automatic": true' in file.readline(LONGEST_HEAD)


# ---- writing

HISTORY = ',\n"history": '


def content_of(state: SessionState, *, automatic: bool = False) -> bytes:
    """The content of a session file."""
    document = state.document
    summary = replace(state.summary, words=document.words)
    head = {"format": FORMAT, "kind": KIND, "automatic": automatic, "summary": asdict(summary)}
    session = {
        "settings": state.settings.to_dict(),
        "clamps": [[each.layer, each.cell, float(each.value)] for each in state.clamps],
        "sample": state.sample, "model": {"weights": state.weights, "run": state.run}, "document": document.to_dict(),
    }  # fmt: skip
    steps = document.history(MOST_HISTORY)
    history = {**steps, "check": _check(steps)}
    return _json(head)[:-1] + b",\n" + _json(session)[1:-1] + HISTORY.encode() + _json(history) + b"}\n"


def _check(steps: Mapping[str, Iterable[Any]]) -> int:
    """The CRC-32 of a history."""
    return zlib.crc32(b"".join(_json(each) for name in ("undo", "redo") for each in steps[name]))


def _json(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=True).encode("ascii")


def write(path: Path, state: SessionState, *, automatic: bool = False, overwrite: bool = True) -> None:
    """Create or replace a session file of the app's own; it is on the disk then. Raises :class:`FileExistsError` for an
    existing one that is not to be overwritten, another :class:`OSError` when the disk fails: the old file is unchanged
    then."""
    content = content_of(state, automatic=automatic)
    storage.replace_file(path, lambda file: storage.write_all(file, content), overwrite=overwrite)


def target(path: Path) -> Path:
    """The file for a session that the user calls ``path``; a name without suffix gets ``.json``. Raises
    :class:`CharLSTMError` for a folder, a device and the like."""
    user_files.destination(path)
    path = path.with_suffix(".json")
    user_files.destination(path)
    return path


def write_as(path: Path, state: SessionState) -> None:
    """Save a session in a file that the user named. Raises as :func:`charlstm.user_files.save` does."""
    state = replace(state, summary=replace(state.summary, saved=time.time()))
    user_files.save_bytes(path, content_of(state))


class FileLostError(CharLSTMError):
    """A session's file cannot be written: it is ``in use`` by another program, or it is ``gone``, or was ``changed`` by
    another program; or it is the user's and ``read-only``, or it has other names too, as ``linked`` files have."""

    def __init__(self, path: Path, reason: Literal["in use", "gone", "changed", "read-only", "linked"]) -> None:
        super().__init__(f"{path} cannot be continued: {_REASONS[reason]}")
        self.reason = reason


_REASONS = {
    "in use": "another program has it open",
    "gone": "it is not there any more",
    "changed": "another program has written to it",
    "read-only": "it cannot be written",
    "linked": "it is one file with several names (hard links)",
}


class OwnFile:
    """A session file that this program alone writes: a lock beside the file is held until :meth:`close`.

    Attributes:
        path: of the file. Who finds its folder renamed assigns the new one.
        stamp: as it was written or read last.
        automatic: whether the app gave it its name; else it is the user's, and keeps its permissions.
    """

    def __init__(self, path: Path, stamp: FileStamp | None, *, automatic: bool = True) -> None:
        """Take the lock; ``stamp`` is that of the file when it was read, None for a new one. Raises
        :class:`FileLostError` if it cannot be written as it is, :class:`OSError`."""
        self.path, self.stamp, self.automatic = path, stamp, automatic
        if stamp is not None:
            self._check()
        self._lock = _locked(path)
        with contextlib.suppress(OSError):
            storage.remove_leftovers(path.parent, path.name.__eq__)

    def write(self, state: SessionState) -> None:
        """Write a session, whole; a new file of the user's takes the place of what is there. Raises
        :class:`FileLostError` unless the file is as it was left here, :class:`FileExistsError` where a new one of the
        app's own is there by now, another :class:`OSError` when the disk fails. The file is unchanged then."""
        if self.stamp is not None:
            self._check()
        if self.automatic:
            write(self.path, state, automatic=True, overwrite=self.stamp is not None)
        else:
            user_files.save_bytes(self.path, content_of(state))
        self.stamp = FileStamp.of(os.stat(self.path))

    def close(self) -> None:
        """Release the lock, which leaves nothing beside a file of the user's, or where no file could be written."""
        if (not self.automatic or self.stamp is None) and self._lock is not None:
            with contextlib.suppress(OSError):
                storage.disk.unlink(storage.lock_path(self.path))
        _release(self._lock)
        self._lock = None

    def _check(self) -> None:
        assert self.stamp is not None
        if not is_as_left(self.path, self.stamp):
            raise FileLostError(self.path, "changed" if os.path.lexists(self.path) else "gone")
        if not self.automatic:
            if os.stat(self.path).st_nlink > 1:
                raise FileLostError(self.path, "linked")
            if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
                raise FileLostError(self.path, "read-only")


def is_as_left(path: Path, stamp: FileStamp) -> bool:
    """Whether a file still has this stamp. Its name may be another, and other names may lead to it: the time of a
    change of names does not count. Raises :class:`OSError` where that cannot be found out."""
    try:
        here = FileStamp.of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return here._replace(ctime_ns=0) == stamp._replace(ctime_ns=0)


def give_title(path: Path, title: str) -> None:
    """Give the session in a file a title; the time of its last change stays.

    Raises :class:`GenerationError` for a damaged file, :class:`FileLostError` if it cannot be written as it is,
    :class:`OSError`.
    """
    found = read(path)
    if not found.can_go_on:
        raise GenerationError(f"{path} is damaged")
    file = OwnFile(path, found.stamp, automatic=found.automatic)
    try:
        file.write(replace(found.state, summary=replace(found.state.summary, title=title)))
        os.utime(path, ns=(found.stamp.mtime_ns, found.stamp.mtime_ns))
    finally:
        file.close()


def _locked(path: Path) -> BaseFileLock | None:
    """Take the lock of a session's file. None on a file system without locks. Raises :class:`FileLostError` if another
    program has it, :class:`OSError`."""
    try:
        return storage.take_lock(storage.lock_path(path), patience=0)
    except BlockingIOError:
        raise FileLostError(path, "in use") from None


def _release(lock: BaseFileLock | None) -> None:
    if lock is not None:
        lock.release()


def delete(path: Path) -> bool:
    """Delete a session's file and its lock, unless a program has it open. Returns whether it is deleted. Raises
    :class:`OSError`."""
    try:
        lock = _locked(path)
    except FileLostError:
        return False
    try:
        storage.remove_leftovers(path.parent, path.name.__eq__)
        storage.disk.unlink(path)
        storage.disk.unlink(storage.lock_path(path))
    finally:
        _release(lock)
    return True


# ---- a session again


def begin_reading(state: SessionState, model: Model) -> Reading:
    """A reading of the text of a session, which has read its prime."""
    document = state.document
    recipe = Recipe(document.seed, state.sample, state.settings, existing_clamps(state.clamps, model.config))
    prime = read_prime(model, document.text.read(0, document.prime_length))
    return Reading(model, prime, recipe)


def session_of(state: SessionState, reading: Reading) -> Session:
    """A session with the text, the branches and the cursor of a document; the reading reads the text here."""
    return Session.of_document(Document.of(state.document.state, state.document.names), reading)

"""Read and write session files: the text of a session with its branches and its history (format 4).

A file is one JSON object, which is written whole and atomically; its first line has what a list of sessions shows, and
its history comes last, so that a file that was cut there still has its text. No model is needed to read or write one:
what a model had made of the text is not in the file. Nothing in a file is trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from charlstm import storage, user_files
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation import old_session_files
from charlstm.generation.clamp import existing_clamps
from charlstm.generation.document import Document
from charlstm.generation.prime import read_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.session import Session
from charlstm.generation.session_state import BEGINNING, ERRORS, damage, state_from_dict
from charlstm.generation.session_state import SessionState as SessionState
from charlstm.generation.session_state import SessionSummary as SessionSummary
from charlstm.generation.session_state import summary_of as summary_of
from charlstm.memory import machine_memory
from charlstm.storage import FileStamp

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from charlstm.generation.stepper import Stepper
    from charlstm.model.file import Model

FORMAT = 4
KIND = "charlstm session"

MAX_BYTES = 2**36
"""A larger file is refused before it is read."""

READING_MEMORY = 4
"""Bytes of memory that reading takes for each byte of a file: the bytes, their text, and what it says."""

MOST_HISTORY = 200_000
"""Characters of the changes that a file has for undo and redo."""

PIECE = 1 << 16
"""Characters that are written at once. While a piece is made into JSON, no other thread runs."""

LONGEST_HEAD = 65_536


@dataclass(frozen=True, slots=True)
class ReadSession:
    """What a session file says.

    Attributes:
        stamp: the file has not changed as long as it has this stamp.
        format: that of the file.
        automatic: whether the app saved it by itself.
        note: a sentence about what is damaged in it, if anything is.
    """

    path: Path
    state: SessionState
    stamp: FileStamp
    format: int
    automatic: bool = False
    note: str = ""

    @property
    def can_go_on(self) -> bool:
        """Whether a program may write to this file: it is of this format and not damaged."""
        return self.format == FORMAT and not self.note

    @property
    def text(self) -> str:
        """The current text with its prime."""
        return self.state.document.text.read()

    @property
    def title(self) -> str:
        """What the user calls it; empty if it has no title."""
        return self.state.summary.title

    @property
    def model(self) -> str:
        """The model that wrote it, as the file names it; empty if it does not."""
        return self.state.summary.model or self.state.run


# ---- reading


def read(path: Path) -> ReadSession:
    """Read a session file of any format. Raises :class:`GenerationError` if it is missing, damaged or of a newer
    format."""
    with reading(path), storage.open_file(path) as file:
        stamp = FileStamp.of(os.fstat(file.fileno()))
        if old_session_files.is_log(cast(BinaryIO, file)):
            state, automatic, note = old_session_files.read_log(cast(BinaryIO, file), path)
            return ReadSession(path, state, stamp, 3, automatic, note)
        if stamp.size > MAX_BYTES:
            raise ValueError(f"it is longer than {MAX_BYTES:,} bytes")
        content = file.read(stamp.size + 1)
    with reading(path):
        values, is_whole = _parsed(content)
    del content
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise GenerationError(f"{path} is not a saved session")
    if type(values.get("format")) is not int or values["format"] > FORMAT:
        raise GenerationError(f"{path} was written by a newer charlstm; update charlstm to read it")
    try:
        if values["format"] < FORMAT:
            return ReadSession(path, old_session_files.state_of_tree(values), stamp, values["format"])
        state = state_from_dict(values, Document.from_dict(values["document"]))
        has_history = _read_history(state.document, values.get("history"))
        with contextlib.suppress(*ERRORS):  # the text matters more
            state = replace(state, summary=SessionSummary.from_dict(values["summary"]))
    except (*ERRORS, *old_session_files.ERRORS) as error:
        raise GenerationError(f"{path} is damaged: {str(error)[:200] or type(error).__name__}") from None
    note = "" if is_whole and has_history else damage(path)
    return ReadSession(path, state, stamp, FORMAT, values.get("automatic") is True, note)


def _read_history(document: Document, history: Any) -> bool:
    """Give a document its history. Returns whether it is as it was written; else the document has none."""
    try:
        steps = {name: history[name] for name in ("undo", "redo")}
        if history["check"] != zlib.crc32(b"".join(_json(each) for each in chain(*steps.values()))):
            return False
        document.read_history(steps)
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
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one sentence why the session file ``path`` cannot be read. Raises :class:`GenerationError`."""
    try:
        size, memory = os.stat(path).st_size, machine_memory()
        if memory is not None and READING_MEMORY * size > memory.total:  # the kernel would end the process
            raise ValueError(f"it has {size:,} bytes, and this machine has not enough memory to read so much")
        yield
    except MemoryError:
        raise GenerationError(f"The session file {path} cannot be read: there is not enough memory for it") from None
    except storage.NotAFileError as error:
        raise GenerationError(f"{path} is a {error.kind}, not a file: name a session file") from None
    except FileNotFoundError:
        raise GenerationError(f"There is no session file {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise GenerationError(f"The session file {path} cannot be read: it is damaged, or no session") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GenerationError(f"The session file {path} cannot be read: {reason}") from None


_SUMMARY = re.compile(r'{"format": \d+, "kind": "charlstm session", "summary": ')


def read_summary(path: Path, most: int = MAX_BYTES) -> SessionSummary:
    """The summary of the session file ``path``. One without, as those of version 0.1, is read as a whole unless it is
    longer than ``most`` bytes.

    Raises :class:`GenerationError` for what is no session file, :class:`OSError`.
    """
    try:
        with storage.open_file(path) as file:
            if old_session_files.is_log(cast(BinaryIO, file)):
                return old_session_files.read_log_summary(cast(BinaryIO, file))
            line = file.readline(LONGEST_HEAD)
        if (head := _head(line)) is not None:
            return SessionSummary.from_dict(head["summary"])
        if (found := _SUMMARY.match(beginning := line.decode("ascii", "replace"))) is not None:  # formats 1 and 2
            with contextlib.suppress(json.JSONDecodeError):  # it is longer
                return SessionSummary.from_dict(json.JSONDecoder().raw_decode(beginning, found.end())[0])
        values = storage.read_json(path, most=most)
        if "summary" in values:
            return SessionSummary.from_dict(values["summary"])
        text, cursor = str(values["branches"][0]["text"]), values["cursor"]
        length = int(cursor.get("length", len(text)))
        prime = str(values["prime"])
        return SessionSummary(length, f"{prime}{text}"[:BEGINNING], length > 0, size=len(prime) + length)
    except ERRORS as error:
        raise GenerationError(f"{path} is not a saved session: {error}") from None


def _head(line: bytes) -> dict[str, Any] | None:
    """What the first line of a file says; None for formats 1 and 2, whose first line is all of the file."""
    content = line.rstrip()
    if content.endswith(b","):  # the object goes on
        content = content[:-1] + b"}"
    try:
        head = json.loads(content) if content.startswith((b'{"format": 3,', b'{"format": 4,')) else None
    except (ValueError, RecursionError):
        return None
    return head if isinstance(head, dict) else None


# ---- writing

HISTORY = ',\n"history": '


def parts(state: SessionState, *, automatic: bool = False) -> Iterator[bytes]:
    """The content of a session file, in parts that take a millisecond each."""
    document = state.document
    summary = replace(state.summary, words=document.words)
    saved = document.to_dict()
    branches = saved.pop("branches")
    head = {"format": FORMAT, "kind": KIND, "automatic": automatic, "summary": asdict(summary)}
    yield _json(head)[:-1] + b",\n"
    about = {
        "settings": state.settings.to_dict(),
        "clamps": [[each.layer, each.cell, float(each.value), float(each.factor)] for each in state.clamps],
        "sample": state.sample, "model": {"weights": state.weights, "run": state.run},
    }  # fmt: skip
    yield _json(about)[1:-1] + b',\n"document": ' + _json(saved)[:-1] + b', "branches": '
    yield from _list(branches)
    yield b"}" + HISTORY.encode() + b"{"
    check = 0
    for name, steps in document.history(MOST_HISTORY).items():
        yield b'"%s": ' % name.encode()
        yield from _list(steps)
        yield b",\n"
        for each in steps:
            check = zlib.crc32(_json(each), check)
    yield b'"check": %d}}\n' % check


def _list(values: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """A list of objects as JSON, each on a line of its own."""
    separator = b"[\n"
    for each in values:
        yield separator
        yield from _pieces(each)
        separator = b",\n"
    yield b"]" if separator == b",\n" else b"[]"


def _pieces(value: Any) -> Iterator[bytes]:
    """A value as JSON, whose long texts are made into it in pieces."""
    if isinstance(value, str) and len(value) > PIECE:
        yield b'"'
        for at in range(0, len(value), PIECE):
            yield _json(value[at : at + PIECE])[1:-1]
        yield b'"'
    elif isinstance(value, dict) and any(map(_is_long, value.values())):
        separator = b"{"
        for name, each in value.items():
            yield separator + _json(name) + b": "
            yield from _pieces(each)
            separator = b", "
        yield b"}"
    else:
        yield _json(value)


def _is_long(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_long, value.values()))
    return isinstance(value, str) and len(value) > PIECE


def _json(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=True).encode("ascii")


def write(path: Path, state: SessionState, *, automatic: bool = False, overwrite: bool = True) -> None:
    """Create or replace a session file of the app's own; it is on the disk then. Raises :class:`FileExistsError` for an
    existing one that is not to be overwritten, another :class:`OSError` when the disk fails: the old file is unchanged
    then."""
    storage.replace_file(path, lambda file: _write_all(file, parts(state, automatic=automatic)), overwrite=overwrite)


def write_as(path: Path, state: SessionState, *, overwrite: bool = True) -> None:
    """Save a session in a file that the user named. Raises as :func:`charlstm.user_files.save` does."""
    state = replace(state, summary=replace(state.summary, saved=time.time()))
    user_files.save(path, lambda file: _write_all(file, parts(state)), overwrite=overwrite)


def _write_all(file: BinaryIO, content: Iterable[bytes]) -> None:
    for part in content:
        storage.write_all(file, part)


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
        try:
            storage.remove_leftovers(path.parent, path.name.__eq__)
        except BaseException:
            self.close()
            raise

    def write(self, state: SessionState) -> None:
        """Write a session, whole; a new file of the user's takes the place of what is there. Raises
        :class:`FileLostError` unless the file is as it was left here, :class:`FileExistsError` where a new one of the
        app's own is there by now, another :class:`OSError` when the disk fails. The file is unchanged then."""
        if self.stamp is not None:
            self._check()
        if self.automatic:
            write(self.path, state, automatic=True, overwrite=self.stamp is not None)
        else:
            user_files.save(self.path, lambda file: _write_all(file, parts(state)))
        self.stamp = FileStamp.of(os.stat(self.path))

    def close(self) -> None:
        """Release the lock, which leaves nothing beside a file of the user's."""
        if not self.automatic and self._lock is not None:
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

    Raises :class:`GenerationError` for an older format or a damaged file, :class:`FileLostError` if it cannot be
    written as it is, :class:`OSError`.
    """
    found = read(path)
    if not found.can_go_on:
        raise GenerationError(f"{path} is of an older version or damaged")
    file = OwnFile(path, found.stamp, automatic=found.automatic)
    try:
        file.write(replace(found.state, summary=replace(found.state.summary, title=title)))
        os.utime(path, ns=(found.stamp.mtime_ns, found.stamp.mtime_ns))
    finally:
        file.close()


def _locked(path: Path) -> BaseFileLock | None:
    """Take the lock of a session's file. None where there are no locks, and on Windows, where an open file would keep
    its run from being renamed. Raises :class:`FileLostError` if another program has it, :class:`OSError`."""
    if os.name == "nt":
        return None
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


# ---- sessions of the library


def state_of(session: Session) -> SessionState:
    """All of a session, to be written."""
    info, document = session.model.info, session.document
    document = Document.of(replace(document.state, seed=session.seed), document.names)
    run, step = info.get("run"), info.get("step")
    run = run if isinstance(run, str) else ""
    summary = replace(summary_of(document), model=run, step=step if type(step) is int else -1)
    weights = session.reading.weights_digest
    return SessionState(document, summary, session.settings, session.clamps, session.sample, weights, run)


def to_bytes(session: Session) -> bytes:
    """The content of a session file."""
    state = state_of(session)
    return b"".join(parts(replace(state, summary=replace(state.summary, saved=time.time()))))


def save_session(session: Session, path: str | Path, *, overwrite: bool = True) -> None:
    """Save all branches of a session: create or replace the file ``path``, atomically.

    Raises :class:`CharLSTMError` if ``path`` is not a regular file, :class:`FileExistsError` for an existing one that
    is not to be overwritten, :class:`OSError` if it cannot be written.
    """
    write_as(Path(path), state_of(session), overwrite=overwrite)


def load_session(path: str | Path, model: Model, *, stepper: Stepper | None = None) -> Session:
    """Load a session that :func:`save_session`, ``charlstm play`` or the app wrote, to be continued by ``model``, which
    reads its text. It need not be the model that wrote it.

    Raises :class:`GenerationError` if the file is missing, damaged or of a newer format.
    """
    state = read(Path(path)).state
    return session_of(state, begin_reading(state, model, stepper))


def begin_reading(state: SessionState, model: Model, stepper: Stepper | None = None) -> Reading:
    """A reading of the text of a session, which has read its prime."""
    document = state.document
    recipe = Recipe(document.seed, state.sample, state.settings, existing_clamps(state.clamps, model.config))
    prime = read_prime(model, document.text.read(0, document.prime_length))
    return Reading(model, prime, recipe, stepper=stepper)


def session_of(state: SessionState, reading: Reading) -> Session:
    """A session with the text, the branches and the cursor of a document; the reading reads the text here."""
    return Session.of_document(Document.of(state.document.state, state.document.names), reading)

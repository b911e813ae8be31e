"""The file of a session that goes on: a log to which each change of the text is appended (format 3).

The first line, the head, is JSON: the format, what the session is about, and whether the app saved it by itself. Each
other line is a CRC-32 as eight hexadecimal digits, a space and a JSON object. What the names in such an object mean:

- ``state``: the whole session: its document with its history, settings, clamps, and the model's characters;
- ``cache``: what the model had read then, as :func:`charlstm.generation.saving.to_dict` gives it; it can be left out;
- ``entries``: what was done to the document, for :meth:`charlstm.generation.document.Document.replay`;
- ``settings``, ``clamps``: they were changed to these;
- ``summary``: what differs from the summary in the head. The last line always has it, so that a list of sessions reads
  the beginning and the end of each file only.

A line is written by one write. A torn last line, as a crash leaves it, is dropped. Nothing in a file is trusted.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import io
import json
import math
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, cast

from charlstm import storage
from charlstm.arguments import whole_number
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import MOST_CHANGES, Document, Entry, text_from_dict, text_to_dict
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.text_pieces import Text
from charlstm.storage import FileStamp

if TYPE_CHECKING:
    from filelock import BaseFileLock

FORMAT = 3
HEAD = '{"format": 3, "kind": "charlstm session", '
"""How such a file begins."""

LEAST_LOG = 16_000
"""Bytes of changes after the whole state from which on the file is compacted, unless half of the whole state is more.
Some 130 typed words are so long. Compacting 40 kB takes 20 ms, most of which waits for the disk."""

LONGEST_HEAD = 65_536
TAIL = 16_384
"""Bytes at the end of a file in which the last summary is."""
SHORT_LINE = 4096
"""After a longer line, the summary has a line of its own."""

BLOCK = 2**20
"""Bytes that are copied at once."""

MOST_RATIO = 100
"""A history that is packed better than this is saved unpacked: a small file could otherwise fill the memory."""

ERRORS = (
    KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError, zlib.error,
    binascii.Error, GenerationError,
)  # fmt: skip
"""What values that are not those of a session lead to."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a session is about, which is read from the beginning and the end of its file.

    Attributes:
        length: characters after the prime.
        begins: the first characters, with the prime.
        edited: whether the user had a part in it: typed, chose, or made a branch.
        continues: the path of the saved session that this one continues, if any.
        model: the model, as it is named on the command line; empty if it is not known.
        title: what the user calls it; empty if it has no title.
        words: stretches between spaces, with those of the prime; 0 if they were not counted.
        size: all characters, with the prime; 0 if that is not known, as in files of version 0.2.
        step: after how many steps of its training the model was; -1 if that is not known.
        saved: when it was changed last, in Unix seconds, which a copy of the file keeps; 0 if that is not known.
    """

    length: int
    begins: str
    edited: bool
    continues: str = ""
    model: str = ""
    title: str = ""
    words: int = 0
    size: int = 0
    step: int = -1
    saved: float = field(default=0.0, compare=False)  # the same session may be saved twice

    @classmethod
    def from_dict(cls, values: Any) -> SessionSummary:
        """The inverse of ``asdict``. Raises :class:`TypeError` for values that are no summary."""
        known = cls(**values)
        types = (int, str, bool, str, str, str, int, int, int, float)
        if tuple(type(value) for value in asdict(known).values()) != types or not math.isfinite(known.saved):
            raise TypeError("its summary is not one")
        return known


@dataclass(frozen=True, slots=True)
class SessionState:
    """A whole session, to be written or as it was read.

    Attributes:
        document: which no one changes any more: a :meth:`Document.copy`.
        symbols: the model's characters by id.
        summary: what it is about.
        settings, clamps, sample: as in :class:`charlstm.generation.session.Session`.
        weights: SHA-256 of the model's weights; ``run``: the model's name for people, if it has one.
        unknown: characters of the prime that the model does not know, with their counts.
        cache: makes, in any thread, what the model has read, as :func:`charlstm.generation.saving.to_dict` does.
    """

    document: Document
    symbols: tuple[str, ...]
    summary: SessionSummary
    settings: SamplerSettings = field(default_factory=SamplerSettings)
    clamps: tuple[Clamp, ...] = ()
    sample: int = 0
    weights: str = ""
    run: str = ""
    unknown: Mapping[str, int] = field(default_factory=dict)
    cache: Callable[[], Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A session file when it was read.

    Attributes:
        stamp: it has not changed as long as it has this stamp.
        good_end: where the last line ends that can be used; what stands behind it is torn or damaged.
        state_end: where the lines of the last state end; the changes since stand behind it.
        automatic: whether its head says that the app saved it by itself.
        can_go_on: whether it can be appended to: it is of format 3 and not damaged.
        cache: where the line begins that has what the model had read, and its length; 0 without one.
    """

    path: Path
    stamp: FileStamp
    good_end: int = 0
    state_end: int = 0
    automatic: bool = False
    can_go_on: bool = False
    cache: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class ReadLog:
    """What a log says; ``note`` is a sentence about what is damaged in it, if anything is."""

    state: SessionState
    seen: SeenFile
    note: str = ""


class LogLostError(CharLSTMError):
    """A session's file cannot be appended to: it is ``in use`` by another program, or it is ``gone``, was ``replaced``
    by another file, or was ``changed`` by another program."""

    def __init__(self, path: Path, reason: Literal["in use", "gone", "replaced", "changed"]) -> None:
        super().__init__(f"{path} cannot be continued: {_REASONS[reason]}")
        self.reason = reason


_REASONS = {
    "in use": "another program has it open",
    "gone": "it is not there any more",
    "replaced": "another file is in its place",
    "changed": "another program has written to it",
}


# ---- reading


def read(path: Path) -> ReadLog:
    """Read a whole log. Raises :class:`GenerationError` for a file that is no log or is damaged at its beginning,
    and :class:`OSError`."""
    with storage.open_file(path) as file:
        return _read(cast(BinaryIO, file), path, FileStamp.of(os.fstat(file.fileno())))


def is_log(file: BinaryIO) -> bool:
    """Whether a file, which is read from its beginning, has this format; it is at its beginning again then."""
    file.seek(0)
    begins = file.read(len(HEAD))
    file.seek(0)
    return begins == HEAD.encode()


def read_summary(file: BinaryIO) -> SessionSummary:
    """The summary of a log, from its first and its last lines. Raises :class:`ValueError` and the like."""
    head = _head(file.readline(LONGEST_HEAD))
    summary = dict(head["summary"])
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    for line in reversed(file.read(TAIL).split(b"\n")[:-1]):
        record = _record(line)
        if record is not None and isinstance(record.get("summary"), dict):
            summary |= record["summary"]
            break
    return SessionSummary.from_dict(summary)


def give_title(path: Path, title: str) -> None:
    """Give the session in a file of this format a title; the time of the file stays.

    Raises :class:`GenerationError` for another format or a damaged file, :class:`LogLostError` if a program has it
    open, :class:`OSError`.
    """
    found = read(path)
    log = SessionLog.open(found.seen)
    try:
        log.append(changes(), replace(found.state.summary, title=title), sync=True, keep_time=True)
        os.utime(path, ns=(found.seen.stamp.mtime_ns, found.seen.stamp.mtime_ns))
    finally:
        log.close()


def says_automatic(path: Path) -> bool | None:
    """Whether the head of a session file says that the app saved it by itself; None for another format, which does not
    say it. Raises :class:`OSError`."""
    with storage.open_file(path) as file:
        if not is_log(cast(BinaryIO, file)):
            return None
        with contextlib.suppress(*ERRORS):
            return _head(file.readline(LONGEST_HEAD)).get("automatic") is True
    return False


def _head(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise ValueError("its first line is not whole")
    head = json.loads(line)
    if not isinstance(head, dict):
        raise TypeError("its first line is none of a session")
    return head


def _record(line: bytes) -> dict[str, Any] | None:
    """The object of a line without its end; None if the line is damaged."""
    if len(line) < 10 or line[8:9] != b" " or b"%08x" % zlib.crc32(line[9:]) != line[:8]:
        return None
    try:
        record = json.loads(line[9:])
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


class _BadLineError(Exception):
    """The line at ``offset`` cannot be used."""

    def __init__(self, offset: int, reason: object) -> None:
        super().__init__(str(reason)[:200] or type(reason).__name__)
        self.offset = offset


def _read(file: BinaryIO, path: Path, stamp: FileStamp, until: int | None = None) -> ReadLog:
    """Read the whole lines of ``file``, or those in the first ``until`` bytes."""
    bad = None
    while True:
        try:
            reading = _Reading(file, until)
            break
        except _BadLineError as error:
            bad, until = error, error.offset  # the document is as it was before, if nothing of the line is used
    if reading.state is None:
        raise GenerationError(f"{path} is damaged: {bad or 'it has no text'}")
    damaged = bad is not None or reading.is_damaged
    note = ""
    try:
        reading.state.document.copy().check_history()
    except ERRORS:
        damaged = True
        reading.state.document.forget_history()
    if damaged:
        note = f"{path.name} is damaged. The text is what was saved before the damage; the file stays as it is."
    seen = SeenFile(
        path, stamp, reading.good_end, reading.state_end, reading.automatic, can_go_on=not damaged, cache=reading.cache
    )
    return ReadLog(reading.state, seen, note)


class _Reading:
    """What the lines of a file say, one after the other. Raises :class:`_BadLineError` for a line that cannot be
    used."""

    def __init__(self, file: BinaryIO, until: int | None) -> None:
        self.state: SessionState | None = None
        self.is_damaged = False
        self.cache = (0, 0)
        file.seek(0)
        line = file.readline()
        self.good_end = self.state_end = len(line)
        try:
            head = _head(line)
            self.automatic = head.get("automatic") is True
            self._head = dict(head["summary"])
        except ERRORS:  # the session is in the other lines
            self.is_damaged, self.automatic, self._head = True, False, {}
        self._summary = self._head
        while (line := file.readline()).endswith(b"\n") and (until is None or self.good_end + len(line) <= until):
            record = _record(line[:-1])
            if record is None:
                self.is_damaged = True
                break
            try:
                self._take(record)
            except ERRORS as error:
                raise _BadLineError(self.good_end, error) from None
            if "cache" in record:
                self.cache = (self.good_end, len(line))
            self.good_end += len(line)
            if "state" in record or "cache" in record:
                self.state_end = self.good_end
        if self.state is not None and (self._summary or not self.is_damaged):
            with contextlib.suppress(*ERRORS):
                self.state = replace(self.state, summary=SessionSummary.from_dict(self._summary))

    def _take(self, record: dict[str, Any]) -> None:
        if "state" in record:
            self.state, has_history = _state_from_dict(record["state"])
            self.is_damaged |= not has_history
        state = self.state
        if state is None:
            raise ValueError("it does not begin with a text")
        if "entries" in record:
            state.document.replay(map(checked_entry, record["entries"]))
            state.document.journal.clear()
        if "settings" in record:
            self.state = state = replace(state, settings=SamplerSettings.from_dict(record["settings"]))
        if "clamps" in record:
            self.state = state = replace(state, clamps=_clamps_from_list(record["clamps"]))
        if "cache" in record and isinstance(values := record["cache"], dict):
            self.state = replace(state, cache=lambda: values)
        if isinstance(changed := record.get("summary"), dict):
            self._summary = self._head | changed


_WHOLE = ("position", "start", "removed", "number", "cursor", "length", "seed", "branch")
_WORDS = ("do", "kind", "text", "name")
_FLAGS = ("joins", "in_place", "undoable", "recorded")


def checked_entry(entry: Any) -> Mapping[str, Any]:
    """``entry``, if its values are of the types that a document's journal has. Raises :class:`TypeError`."""
    if not isinstance(entry, dict):
        raise TypeError("an entry is an object")
    for name, value in entry.items():
        right = (
            (type(value) is int and abs(value) < 2**64) if name in _WHOLE
            else isinstance(value, str) if name in _WORDS
            else isinstance(value, bool) if name in _FLAGS
            else name == "by" and type(value) in (int, str)
        )  # fmt: skip
        if not right:
            raise TypeError(f"an entry has {str(name)[:20]!r}: {str(value)[:20]!r}")
    return entry


# ---- a whole state as JSON


def _state_to_dict(state: SessionState) -> dict[str, Any]:
    document = state.document.to_dict()
    history = {"undo": document.pop("undo"), "redo": document.pop("redo")}
    return {
        "document": {**document, **_packed_history(history)},
        "settings": state.settings.to_dict(), "clamps": _clamps_to_list(state.clamps), "sample": state.sample,
        "model": {"weights": state.weights, "run": state.run}, "symbols": list(state.symbols),
        "unknown": dict(state.unknown),
    }  # fmt: skip


def _state_from_dict(values: Mapping[str, Any]) -> tuple[SessionState, bool]:
    """A whole state, and whether its history is right."""
    symbols, model = values["symbols"], values["model"]
    if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
        raise TypeError("the characters of its model are a list")
    saved = dict(values["document"])
    document, has_history = Document.from_dict({**saved, "undo": [], "redo": []}), True
    with contextlib.suppress(*ERRORS):  # the text matters more than its history
        has_history = False
        history = _completed_history(_unpacked_history(saved), document.text)
        document = Document.from_dict({**saved, **history})
        has_history = True
    state = SessionState(
        document, tuple(symbols), SessionSummary(0, "", True), SamplerSettings.from_dict(values["settings"]),
        _clamps_from_list(values["clamps"]), whole_number(values["sample"], 0, 2**62),
        str(model["weights"]), str(model["run"]),
        {str(char)[:1]: whole_number(count, 0, 2**62) for char, count in dict(values["unknown"]).items()},
    )  # fmt: skip
    return state, has_history


def _packed_history(history: Mapping[str, Any]) -> Mapping[str, Any]:
    """A thousand changes are some 170 kB of JSON, and some 10 kB packed. What a change put into the text is still there
    when the changes after it are undone, so that its length is enough."""
    undo = [{**change, "added": len(change["added"]["text"])} for change in history["undo"]]
    redo = [{**change, "removed": len(change["removed"]["text"])} for change in history["redo"]]
    raw = _json({"undo": undo, "redo": redo})
    packed = base64.b64encode(zlib.compress(raw, 6)).decode()
    return {"history": packed if len(raw) <= MOST_RATIO * len(packed) else raw.decode()}


def _unpacked_history(document: Mapping[str, Any]) -> Mapping[str, Any]:
    packed = document["history"]
    if packed.startswith("{"):
        raw = packed
    else:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(packed, validate=True), MOST_RATIO * len(packed))
        if not unpacker.eof:
            raise ValueError("its history is not whole")
    history: dict[str, Any] = json.loads(raw)
    return history


def _completed_history(history: Mapping[str, Any], text: Text) -> dict[str, Any]:
    """The history of a document, which begins with what leads to ``text``, with all that was put in and taken out."""
    whole: dict[str, Any] = {}
    for name, here, there in (("undo", "added", "removed"), ("redo", "removed", "added")):
        changes, at = list(history[name])[-MOST_CHANGES:], text
        for place in range(len(changes) - 1, -1, -1):
            change = changes[place]
            start = whole_number(change["start"], 0, len(at))
            stop = start + whole_number(change[here], 0, len(at) - start)
            changes[place] = {**change, here: text_to_dict(at.part(start, stop))}
            at = at.replaced(start, stop, text_from_dict(change[there]))
        whole[name] = changes
    return whole


def _clamps_to_list(clamps: Iterable[Clamp]) -> list[list[float]]:
    """JSON keeps the numbers exactly."""
    return [[each.layer, each.cell, float(each.value), float(each.factor)] for each in clamps]


def _clamps_from_list(values: Any) -> tuple[Clamp, ...]:
    return tuple(Clamp(*each) for each in values)


def _json(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _line(record: Mapping[str, Any]) -> bytes:
    content = _json(record)
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _differences(summary: SessionSummary, head: SessionSummary) -> dict[str, Any]:
    before = asdict(head)
    return {name: value for name, value in asdict(summary).items() if value != before[name]}


# ---- writing


def changes(
    entries: Sequence[Entry] = (), settings: SamplerSettings | None = None, clamps: Sequence[Clamp] | None = None
) -> dict[str, Any]:
    """A record of what was done and changed, for :meth:`SessionLog.append`."""
    record: dict[str, Any] = {"entries": list(entries)} if entries else {}
    if settings is not None:
        record["settings"] = settings.to_dict()
    if clamps is not None:
        record["clamps"] = _clamps_to_list(clamps)
    return record


class SessionLog:
    """A session's file that is appended to, by this program alone: a lock beside the file is held until :meth:`close`.

    Attributes:
        path: of the file. Who finds it renamed assigns the new one.
        size: bytes that were written and are known to be good.
        state_end: where the lines of the last state end.
    """

    def __init__(self, path: Path, lock: BaseFileLock | None, descriptor: int, head: SessionSummary) -> None:
        self.path = path
        self._lock, self._descriptor, self._head = lock, descriptor, head
        self.size = self.state_end = 0
        self._cache = (0, 0)
        self._saved = head.saved
        self.automatic = True
        self._is_torn = False
        self._mutex = threading.RLock()  # compacting ends on another thread

    @classmethod
    def create(cls, path: Path, state: SessionState, *, automatic: bool = True) -> SessionLog:
        """Create the file with a whole state; it is on the disk then. Its folder must exist.

        Raises :class:`FileExistsError` if there is one, also when another program has just created it,
        :class:`LogLostError` if another program is creating it, another :class:`OSError` when the disk fails.
        """
        lock = _locked(path)
        try:
            written: list[_Layout] = []
            state = replace(state, summary=replace(state.summary, saved=time.time()))
            storage.replace_file(path, lambda file: written.append(_write(file, state, automatic)), overwrite=False)
            log = cls(path, lock, _opened(path), state.summary)
        except BaseException:
            _release(lock)
            raise
        log.size = log.state_end = written[0].size
        log.automatic, log._cache = automatic, written[0].cache
        return log

    @classmethod
    def open(cls, seen: SeenFile) -> SessionLog:
        """Go on in a file that was read. A torn last line is removed.

        Raises :class:`LogLostError` if another program has it open, or it is not as it was when it was read;
        :class:`OSError`.
        """
        if not os.path.lexists(seen.path):
            raise LogLostError(seen.path, "gone")
        lock = _locked(seen.path)
        try:
            _remove_leftovers(seen.path)
            descriptor = _opened(seen.path)
            try:
                if not seen.can_go_on or FileStamp.of(os.fstat(descriptor)) != seen.stamp:
                    raise LogLostError(seen.path, "changed")
                os.lseek(descriptor, 0, os.SEEK_SET)
                with open(os.dup(descriptor), "rb") as file:
                    head = SessionSummary.from_dict(_head(file.readline(LONGEST_HEAD))["summary"])
                    file.seek(0)
                    saved = read_summary(file).saved
                if seen.stamp.size > seen.good_end:
                    storage.disk.truncate(descriptor, seen.good_end)
            except BaseException:
                os.close(descriptor)
                raise
        except BaseException:
            _release(lock)
            raise
        log = cls(seen.path, lock, descriptor, head)
        log.size, log.state_end, log.automatic, log._cache = seen.good_end, seen.state_end, seen.automatic, seen.cache
        log._saved = saved
        return log

    def append(
        self, record: Mapping[str, Any], summary: SessionSummary, *, sync: bool = False, keep_time: bool = False
    ) -> None:
        """Append a record of :func:`changes`, and what the session is about then, by one write. It is changed now then,
        unless the time of the last change is to be kept.

        Raises :class:`LogLostError` if the file is not the one that was written here, and :class:`OSError` if the disk
        fails: nothing of the record is in the file then, or a torn line that the next call removes.
        """
        with self._mutex:
            self._check()
            saved = self._saved if keep_time else time.time()
            about = {"summary": _differences(replace(summary, saved=saved), self._head)}
            line = _line({**record, **about})
            if len(line) > SHORT_LINE:
                line += _line(about)
            self._is_torn = True
            written = storage.disk.write(self._descriptor, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            self.size += written
            self._saved = saved
            self._is_torn = False
            if sync:
                self.sync()

    def sync(self) -> None:
        """Let what was appended reach the disk. Raises :class:`OSError`."""
        with self._mutex:
            descriptor = os.dup(self._descriptor)
        try:
            storage.disk.sync(descriptor)  # what is appended meanwhile does not wait
        finally:
            os.close(descriptor)

    @property
    def seen(self) -> SeenFile:
        """The file as it is, to :meth:`open` it again. Raises :class:`OSError`."""
        with self._mutex:
            stamp = FileStamp.of(os.fstat(self._descriptor))
            return SeenFile(self.path, stamp, self.size, self.state_end, self.automatic, True, self._cache)

    @property
    def is_long(self) -> bool:
        """Whether the changes after the whole state take more room than half of it, and are worth compacting."""
        return self.size - self.state_end > max(LEAST_LOG, self.state_end // 2)

    def compact(self, state: SessionState | None = None, size: int | None = None) -> int:
        """Replace the file by one with a whole state: the one given, or what the file says. The state has what was
        appended up to ``size``, by default all of it. What another thread appends meanwhile is kept, and so is what
        the model had read, unless the state has something newer. Returns the size of the new file, which is synced.
        Raises as :meth:`append` does."""
        with self._mutex:
            self._check()
            size = self.size if size is None else size
            start, length = self._cache
            saved = self._saved
        if state is None:
            state = replace(self.read(size).state, cache=None)
        state = replace(state, summary=replace(state.summary, saved=saved))
        held = False
        appended = os.fstat(self._descriptor).st_mtime_ns
        written: list[_Layout] = []

        def write(file: BinaryIO) -> None:
            nonlocal held
            old_cache = _blocks(self._descriptor, start, start + length)
            written.append(_write(file, state, self.automatic, old_cache))
            file.flush()
            storage.disk.sync(file.fileno())  # now, while others need not wait
            self._mutex.acquire()
            held = True
            self._check()
            rest = self._rebased(size, state.summary)
            file.write(rest)
            written.append(_Layout(written[0].size + len(rest), written[0].cache))

        try:
            storage.replace_file(self.path, write)
            os.utime(self.path, ns=(appended, appended))  # nothing was done to the session now
            descriptor = _opened(self.path)
            os.close(self._descriptor)
            self._descriptor, self._head = descriptor, state.summary
            self.size, self.state_end, self._cache = written[1].size, written[0].size, written[0].cache
            return self.size
        finally:
            if held:
                self._mutex.release()

    def _rebased(self, start: int, head: SessionSummary) -> bytes:
        """The lines from ``start`` on, with summaries for another head."""
        lines = []
        for line in b"".join(_blocks(self._descriptor, start, self.size)).splitlines():
            record = _record(line) or {}
            summary = SessionSummary.from_dict(asdict(self._head) | record.get("summary", {}))
            lines.append(_line({**record, "summary": _differences(summary, head)}))
        return b"".join(lines)

    def read(self, size: int | None = None) -> ReadLog:
        """Read what was written here, or the first ``size`` bytes of it, also when the file has been deleted or
        replaced. Raises :class:`GenerationError`, :class:`OSError`."""
        with self._mutex:
            size, descriptor = self.size if size is None else size, os.dup(self._descriptor)
        with open(descriptor, "rb", buffering=0) as file:
            content = io.BufferedReader(_Positioned(file.fileno()))
            return _read(cast(BinaryIO, content), self.path, FileStamp.of(os.fstat(descriptor)), size)

    def is_at(self, path: Path) -> bool:
        """Whether ``path`` leads to the file that is appended to. Raises :class:`OSError` where that cannot be found
        out."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def close(self) -> None:
        """Close the file and release its lock."""
        with self._mutex:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            _release(self._lock)
            self._lock = None

    def _check(self) -> None:
        """Raise :class:`LogLostError` unless the file is as it was left here; remove a torn line of this program."""
        try:
            there = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            raise LogLostError(self.path, "gone") from None
        here = os.fstat(self._descriptor)
        if not os.path.samestat(there, here):
            raise LogLostError(self.path, "replaced")
        if here.st_size > self.size and self._is_torn:
            storage.disk.truncate(self._descriptor, self.size)
        elif here.st_size != self.size:
            raise LogLostError(self.path, "changed")


class _Positioned(io.RawIOBase):
    """Reads a descriptor at a position of its own, so that two readers do not disturb each other."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._at = base[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        content = _at_position(self._descriptor, len(buffer), self._at)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def _at_position(descriptor: int, length: int, position: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, position)
    os.lseek(descriptor, position, os.SEEK_SET)  # Windows; appending does not depend on the position
    return os.read(descriptor, length)


def _blocks(descriptor: int, start: int, stop: int) -> Iterator[bytes]:
    """The bytes of a file from ``start`` to ``stop``, some at a time."""
    while start < stop:
        block = _at_position(descriptor, min(BLOCK, stop - start), start)
        if not block:
            raise OSError(errno.EIO, "the file is shorter than it was")
        start += len(block)
        yield block


def write_state(file: BinaryIO, state: SessionState) -> None:
    """Write a whole session, as the user named it."""
    _write(file, replace(state, summary=replace(state.summary, saved=time.time())), automatic=False)


class _Layout(NamedTuple):
    """How long a file is, and where what the model had read is in it."""

    size: int
    cache: tuple[int, int]


def _write(file: BinaryIO, state: SessionState, automatic: bool, old_cache: Iterable[bytes] = ()) -> _Layout:
    """Write the head and a whole state. Where that has nothing that the model had read, ``old_cache`` is that line."""
    head = {"format": FORMAT, "kind": "charlstm session", "summary": asdict(state.summary), "automatic": automatic}
    size = file.write(json.dumps(head, ensure_ascii=True).encode("ascii") + b"\n")
    size += file.write(_line({"state": _state_to_dict(state)}))
    length = sum(
        file.write(block) for block in (old_cache if state.cache is None else (_line({"cache": state.cache()}),))
    )
    cache = (size, length) if length else (0, 0)
    return _Layout(size + length + file.write(_line({"summary": {}})), cache)


def _opened(path: Path) -> int:
    return storage.disk.open(path, os.O_RDWR | os.O_APPEND)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed programs left while they compacted the file. Only for who holds its lock."""
    for each in path.parent.glob(f".{path.name}.*.tmp"):
        if storage.is_leftover(each.name):
            storage.disk.unlink(each)


# ---- the lock


def _locked(path: Path) -> BaseFileLock | None:
    """Take the lock of a session's file. None where there are no locks, and on Windows, where an open file would keep
    its run from being renamed. Raises :class:`LogLostError` if another program has it, :class:`OSError`."""
    if os.name == "nt":
        return None
    try:
        return storage.take_lock(storage.lock_path(path), patience=0)
    except BlockingIOError:
        raise LogLostError(path, "in use") from None


def _release(lock: BaseFileLock | None) -> None:
    if lock is not None:
        lock.release()


def delete(path: Path) -> bool:
    """Delete a session's file and its lock, unless a program has it open. Returns whether it is deleted. Raises
    :class:`OSError`."""
    try:
        lock = _locked(path)
    except LogLostError:
        return False
    try:
        _remove_leftovers(path)
        storage.disk.unlink(path)
        storage.disk.unlink(storage.lock_path(path))
    finally:
        _release(lock)
    return True

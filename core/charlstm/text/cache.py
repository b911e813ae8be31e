"""The cache of prepared texts, by fingerprint, and of the fingerprints of sources.

``texts/FINGERPRINT/`` has ``ids.bin`` (the encoded text), ``corpus.json`` (vocabulary and counts) and
``verified.json``: the stamps that these files had when they were last verified against the fingerprint.
``sources/KEY.json`` has the fingerprint of a source and the stamps of its files. Folders are completed under another
name and then renamed, so that readers never see a part. Everything here may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from charlstm import storage
from charlstm.errors import CharLSTMError, TextError
from charlstm.paths import cache_dir
from charlstm.text.vocabulary import Vocabulary

FORMAT = 1
IDS = "ids.bin"
_PIECE = 4 * 1024 * 1024
_STALE_SECONDS = 24 * 3600
_FINGERPRINT = re.compile("[0-9a-f]{64}")
_RECORD = re.compile(r"[0-9a-f]{32}\.json")
_MAX_CORPUS_JSON = 128 * 2**20
"""The largest ``corpus.json`` in bytes: enough for every character of Unicode."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A prepared text: ``ids`` (N,), read-only and memory-mapped, and ``counts`` (V,) of the vocabulary."""

    fingerprint: str
    vocabulary: Vocabulary
    counts: npt.NDArray[np.int64]
    ids: npt.NDArray[Any]
    validation_chars: int = 0
    """How many characters at the end come from a separate validation text."""


def texts_dir() -> Path:
    return _folder("texts")


def _folder(name: str) -> Path:
    folder = cache_dir() / name
    folder.mkdir(mode=storage.PRIVATE_FOLDER, exist_ok=True)
    return folder


def load(fingerprint: str, *, verify: bool = True) -> Stored | None:
    """The prepared text ``fingerprint``, or None when it is not in the cache or damaged.

    With ``verify``, the ids are read and hashed if the files may have changed since that was last done
    (:class:`storage.FileStamp`).
    """
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        return None
    folder = texts_dir() / fingerprint
    try:
        verified = _Verified(folder)
        known = verified.covers("corpus.json", IDS)
        about = storage.read_json(folder / "corpus.json", most=_MAX_CORPUS_JSON)
        if about["format"] != FORMAT or about["fingerprint"] != fingerprint:
            return None
        vocabulary = Vocabulary.from_dict(about["vocabulary"])
        counts = np.array(about["counts"], np.int64)
        if counts.shape != (len(vocabulary),) or (counts < 0).any():
            return None
        validation_chars = about.get("validation_chars", 0)
        ids = _map_ids(folder / IDS, vocabulary, int(counts.sum()))
        if type(validation_chars) is not int or not 0 <= validation_chars < len(ids):
            return None
        if verify and not known:
            if (
                not np.array_equal(_counts(ids, len(vocabulary)), counts)
                or _digest(vocabulary, ids, validation_chars) != fingerprint
            ):
                return None
            verified.add("corpus.json", IDS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, CharLSTMError):
        return None
    return Stored(fingerprint, vocabulary, counts, ids, validation_chars)


class _Verified:
    """The stamps that files of a prepared text had before they were read and found correct, in ``verified.json``.

    When that file is missing or damaged, the files are verified again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "verified.json"
        with suppress(OSError):
            os.utime(folder)  # the time of the last use, for pruning
        self._now = folder.stat().st_mtime_ns  # the time of the file system, which may be another machine's
        self._stamps: dict[str, storage.FileStamp] = {}
        self._kept = self._read()

    def covers(self, *names: str) -> bool:
        """Whether all these files are unchanged since they were verified. To be called before they are read."""
        for name in names:
            self._stamps[name] = storage.FileStamp.of((self._folder / name).stat())
        return all(self._kept.get(name) == list(self._stamps[name]) for name in names)

    def add(self, *names: str) -> None:
        """Record that these files, read since :meth:`covers` was called, are correct."""
        if all(self._stamps[name].is_settled(self._now) for name in names):
            # with a full disk they are verified again next time
            with suppress(OSError), storage.changing(self._path):
                files = self._read() | {name: self._stamps[name] for name in names}
                storage.replace_bytes(self._path, json.dumps({"format": FORMAT, "files": files}).encode())

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = storage.read_json(self._path)
            return dict(kept["files"]) if kept["format"] == FORMAT else {}
        return {}


def _map_ids(path: Path, vocabulary: Vocabulary, chars: int) -> npt.NDArray[Any]:
    """Map the ids in ``path`` read-only. Raises ValueError when there are not ``chars`` of them."""
    dtype = vocabulary.dtype.newbyteorder("<")
    with storage.open_file(path) as file:
        if os.fstat(file.fileno()).st_size != chars * dtype.itemsize:
            raise ValueError(f"{path} is not whole")
        ids: npt.NDArray[Any] = np.memmap(file, dtype, mode="r").view(np.ndarray)
    return ids


def _counts(ids: npt.NDArray[Any], size: int) -> npt.NDArray[np.int64]:
    """Count each id. Raises ValueError for one that is not below ``size``."""
    counts = np.zeros(size, np.int64)
    piece = 2**18  # bincount converts to int64; pieces that fit the processor's cache are twice as fast
    for start in range(0, len(ids), piece):
        counted = np.bincount(ids[start : start + piece], minlength=size)
        if len(counted) > size:
            raise ValueError("an id is not in the vocabulary")
        counts += counted
    return counts


def start_digest(vocabulary: Vocabulary, validation_chars: int = 0) -> Any:
    """A SHA-256 of the vocabulary, to be updated with the bytes of the ids; its hex digest is the fingerprint."""
    head = [1, vocabulary.to_dict(), *([validation_chars] if validation_chars else [])]
    return hashlib.sha256(json.dumps(head).encode())


def _digest(vocabulary: Vocabulary, ids: npt.NDArray[Any], validation_chars: int) -> str:
    digest = start_digest(vocabulary, validation_chars)
    for start in range(0, len(ids), _PIECE):
        digest.update(ids[start : start + _PIECE].data)
    return str(digest.hexdigest())


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder in the cache to prepare a text in; it is removed at the end."""
    with tempfile.TemporaryDirectory(prefix=".making-", dir=texts_dir(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def store_text(
    folder: Path, fingerprint: str, vocabulary: Vocabulary, counts: npt.NDArray[np.int64], validation_chars: int = 0
) -> None:
    """Move the finished ``ids.bin`` from the temporary ``folder`` into the cache as the text ``fingerprint``."""
    _remove_stale()
    about: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "chars": int(counts.sum()),
        "vocabulary": vocabulary.to_dict(),
        "counts": counts.tolist(),
    }
    if validation_chars:
        about["validation_chars"] = validation_chars
    ready = folder / "ready"
    ready.mkdir(mode=storage.PRIVATE_FOLDER)
    os.replace(folder / IDS, ready / IDS)
    storage.replace_bytes(ready / "corpus.json", json.dumps(about, ensure_ascii=True).encode())
    target = texts_dir() / fingerprint
    if target.exists() and load(fingerprint) is None:
        shutil.rmtree(target, ignore_errors=True)  # damaged
    try:
        ready.rename(target)
    except OSError:
        if load(fingerprint) is None:
            raise
        return  # another process has stored the same text
    storage.sync_folder(texts_dir())


def store_line_begins(fingerprint: str, begins: npt.NDArray[np.int64]) -> str:
    """Store where in a prepared text the lines of its files begin (:func:`~charlstm.text.corpus.line_numbers`), and
    return its name: texts of the same characters can come from files with other lines."""
    name = hashlib.sha256(begins.data).hexdigest()[:16]
    path = _line_begins(fingerprint, name)
    if not path.exists():
        storage.replace_bytes(path, begins.astype("<i8").tobytes())
    return name


def load_line_begins(fingerprint: str, name: str) -> npt.NDArray[np.int64] | None:
    """What :func:`store_line_begins` stored, memory-mapped; None when it is not in the cache."""
    try:
        return np.memmap(_line_begins(fingerprint, name), "<i8", mode="r").view(np.ndarray)
    except (OSError, ValueError):
        return None


def _line_begins(fingerprint: str, name: str) -> Path:
    return texts_dir() / fingerprint / f"lines-{name}.bin"


def encode_for(text: Stored, vocabulary: Vocabulary) -> tuple[npt.NDArray[Any], dict[str, int]]:
    """The ids of ``text`` in another ``vocabulary``, memory-mapped, and how often each unknown character occurs."""
    known = np.array([vocabulary.index(char) if char in vocabulary else -1 for char in text.vocabulary.symbols])
    unknown = {
        char: int(count)
        for char, count, number in zip(text.vocabulary.symbols, text.counts, known, strict=True)
        if number < 0
    }
    if unknown and vocabulary.replacement is not None:
        known[known < 0] = vocabulary.index(vocabulary.replacement)
    chars = int(text.counts[known >= 0].sum())
    if not chars:
        return np.zeros(0, vocabulary.dtype), unknown
    table = np.maximum(known, 0).astype(vocabulary.dtype.newbyteorder("<"))
    digest = hashlib.sha256(json.dumps(vocabulary.to_dict()).encode()).hexdigest()[:16]
    path = texts_dir() / text.fingerprint / f"ids-{digest}.bin"

    def pieces() -> Iterator[npt.NDArray[Any]]:
        for start in range(0, len(text.ids), _PIECE):
            ids = text.ids[start : start + _PIECE]
            yield table[ids[known[ids] >= 0]]

    def write(file: BinaryIO) -> None:
        for piece in pieces():
            file.write(piece.data)

    with suppress(OSError, ValueError):  # the file does not exist yet, or is damaged
        verified = _Verified(path.parent)
        if verified.covers(path.name):
            return _map_ids(path, vocabulary, chars), unknown
        if _equal(_map_ids(path, vocabulary, chars), pieces()):
            verified.add(path.name)
            return _map_ids(path, vocabulary, chars), unknown
    try:
        path.parent.mkdir(mode=storage.PRIVATE_FOLDER, exist_ok=True)
        storage.replace_file(path, write)
        return _map_ids(path, vocabulary, chars), unknown
    except OSError as error:
        raise disk_full_error(error) from None


def _equal(whole: npt.NDArray[Any], pieces: Iterator[npt.NDArray[Any]]) -> bool:
    """Whether ``pieces``, concatenated, equal ``whole``."""
    start = 0
    for piece in pieces:
        if not np.array_equal(whole[start : start + len(piece)], piece):
            return False
        start += len(piece)
    return start == len(whole)


def disk_full_error(error: OSError) -> TextError:
    """The error to raise when the cache cannot be written."""
    reason = error.strerror or str(error)
    return TextError(
        f"The text cannot be prepared in {cache_dir()} ({reason}): free some space there, or set CHARLSTM_CACHE to "
        "another folder"
    )


def find_figures(fingerprint: str, name: str) -> dict[str, Any] | None:
    """The figures that :func:`store_figures` stored for a prepared text under ``name``, or None."""
    try:
        kept = storage.read_json(_figures(fingerprint, name))
    except (OSError, ValueError):
        return None
    return dict(kept) if isinstance(kept, dict) and kept.get("format") == FORMAT else None


def store_figures(fingerprint: str, name: str, figures: dict[str, Any]) -> None:
    """Store ``figures`` (a JSON object) with the prepared text, if that is still in the cache."""
    path = _figures(fingerprint, name)
    if path.parent.is_dir():
        with suppress(OSError):  # with a full disk they are computed again next time
            storage.replace_bytes(path, json.dumps({"format": FORMAT, **figures}).encode())


def _figures(fingerprint: str, name: str) -> Path:
    return texts_dir() / fingerprint / f"figures-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def source_key(sources: Sequence[str], options: dict[str, Any], version: str) -> str:
    """A key for these sources, read with these options; ``version`` is that of the built-in texts."""
    return hashlib.sha256(json.dumps([FORMAT, list(sources), options, version]).encode()).hexdigest()[:32]


def find_record(key: str, stamps: Sequence[storage.FileStamp]) -> dict[str, Any] | None:
    """The record stored under ``key`` if the files of the source still have the same ``stamps``, else None.

    When ``max_chars`` ended the reading early, the files after that were not opened and their stamps do not count: they
    are null in the record. Until version 0.2 they were left out, also those between a text and its validation text, so
    that such a record is of no use.
    """
    try:
        kept = storage.read_json(_folder("sources") / f"{key}.json")
        read = kept["stamps"]
        same = kept["format"] == FORMAT and len(read) <= len(stamps)
        same = same and all(one in (None, list(stamp)) for one, stamp in zip(read, stamps, strict=False))
        return dict(kept["record"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store_record(key: str, stamps: Sequence[storage.FileStamp | None], record: dict[str, Any], read_ns: int) -> None:
    """Store the ``record`` of files that were read from ``read_ns`` on (Unix time), unless a change might not show.

    ``stamps`` has None for files that were not opened.
    """
    if not all(stamp is None or stamp.is_settled(read_ns) for stamp in stamps):
        return
    content = {"format": FORMAT, "stamps": stamps, "record": record}
    with suppress(OSError):  # with a full disk the text is read again next time
        storage.replace_bytes(_folder("sources") / f"{key}.json", json.dumps(content).encode())


@dataclass(frozen=True, slots=True)
class Entry:
    """A prepared text in the cache: its size in bytes and the time of its last use (Unix seconds)."""

    fingerprint: str
    bytes: int
    used: float


def entries() -> list[Entry]:
    """All prepared texts, least recently used first."""
    found = []
    for folder in texts_dir().iterdir():
        with suppress(OSError):  # another process may just have removed it, or it cannot be read
            # the user may have chosen a folder for the cache that has other things in it
            if _FINGERPRINT.fullmatch(folder.name):
                size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
                found.append(Entry(folder.name, size, folder.stat().st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def prune_cache(keep: Collection[str] = ()) -> int:
    """Remove all texts but those whose fingerprint is in ``keep``, and return the bytes freed.

    A run that is training on a removed text continues: a mapped file can
    still be read after it was deleted.
    """
    _remove_stale(now=True)
    freed = 0
    for entry in entries():
        if entry.fingerprint not in keep:
            shutil.rmtree(texts_dir() / entry.fingerprint, ignore_errors=True)
            freed += entry.bytes
    left = {entry.fingerprint for entry in entries()}
    for path in _folder("sources").iterdir():
        if not _RECORD.fullmatch(path.name):
            continue
        try:
            known = storage.read_json(path)["record"]["fingerprint"] in left
        except (OSError, ValueError, KeyError, TypeError):
            known = False
        if not known:
            with suppress(OSError):  # it cannot be removed, or is a folder, which this program did not make
                path.unlink()
    return freed


def _remove_stale(*, now: bool = False) -> None:
    """Remove the temporary folders of killed processes: those older than a day, or with ``now`` than an hour."""
    for folder in texts_dir().glob(".making-*"):
        try:
            # while standard input is copied only its file changes
            changed = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - changed > (3600 if now else _STALE_SECONDS):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # its own process has removed it, or this program did not make it

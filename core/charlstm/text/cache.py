"""The cache of prepared texts, by fingerprint, and of the fingerprints of sources.

``texts/FINGERPRINT/`` has ``ids.bin`` (the encoded text) and ``corpus.json`` (vocabulary and counts).
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm import storage
from charlstm.errors import CharLSTMError
from charlstm.paths import cache_dir
from charlstm.text.vocabulary import Vocabulary

FORMAT = 1
IDS = "ids.bin"
_PIECE = 4 * 1024 * 1024
_STALE_SECONDS = 3600
"""After so long without a change, the process that prepared a text was killed."""
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
    path: Path
    """The file that ``ids`` is mapped from."""
    validation_chars: int = 0
    """How many characters at the end come from a separate validation text."""


def texts_dir() -> Path:
    return _folder("texts")


def _folder(name: str) -> Path:
    folder = cache_dir() / name
    folder.mkdir(mode=storage.PRIVATE_FOLDER, exist_ok=True)
    return folder


def load(fingerprint: str, *, verify: bool = True) -> Stored | None:
    """The prepared text ``fingerprint``, or None when it is not in the cache or damaged. ``verify``: see
    :func:`open_ids`."""
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        return None
    folder = texts_dir() / fingerprint
    try:
        about = storage.read_json(folder / "corpus.json", most=_MAX_CORPUS_JSON)
        if about["format"] != FORMAT or about["fingerprint"] != fingerprint:
            return None
        return open_ids(folder / IDS, about, about.get("validation_chars", 0), verify=verify)
    except UNREADABLE:
        return None


UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, CharLSTMError)
"""What :func:`open_ids` raises for a file that is not there or not whole, and for a damaged record."""


def open_ids(path: Path, about: Mapping[str, Any], validation_chars: int, *, verify: bool = True) -> Stored:
    """Map the ids in the file ``path`` of the text with the fingerprint, vocabulary and counts in ``about``.

    With ``verify`` they are read and hashed, which takes 1 to 3 ms per megabyte. Raises one of :data:`UNREADABLE` when
    they are not the ids of that text.
    """
    vocabulary = Vocabulary.from_dict(about["vocabulary"])
    counts = np.array(about["counts"], np.int64)
    dtype = vocabulary.dtype.newbyteorder("<")
    with storage.open_file(path) as file:
        chars, rest = divmod(os.fstat(file.fileno()).st_size, dtype.itemsize)
        if rest or counts.shape != (len(vocabulary),) or (counts < 0).any() or counts.sum() != chars:
            raise ValueError(f"{path} is not whole")
        if type(validation_chars) is not int or not 0 <= validation_chars < chars:
            raise ValueError("the validation text is no part of the text")
        if verify:
            digest, piece = start_digest(vocabulary, validation_chars), bytearray(_PIECE)
            while size := file.readinto(piece):
                digest.update(memoryview(piece)[:size])
            if digest.hexdigest() != about["fingerprint"]:
                raise ValueError(f"{path} is damaged")
        ids: npt.NDArray[Any] = np.memmap(file, dtype, mode="r").view(np.ndarray)
    return Stored(about["fingerprint"], vocabulary, counts, ids, path, validation_chars)


def start_digest(vocabulary: Vocabulary, validation_chars: int = 0) -> Any:
    """A SHA-256 of the vocabulary, to be updated with the bytes of the ids; its hex digest is the fingerprint."""
    head = [1, vocabulary.to_dict(), *([validation_chars] if validation_chars else [])]
    return hashlib.sha256(json.dumps(head).encode())


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
    path = line_begins_path(texts_dir() / fingerprint / IDS, name)
    if not path.exists():
        storage.replace_bytes(path, begins.astype("<i8").tobytes())
    return name


def line_begins_path(ids: Path, name: str) -> Path:
    """The file beside the ``ids`` of a text with what :func:`store_line_begins` stored under ``name``."""
    return ids.with_name(f"lines-{name}.bin")


def figures_path(fingerprint: str, name: str) -> Path:
    """The file for figures of a prepared text, which are kept with it under this name."""
    return texts_dir() / fingerprint / f"figures-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def source_key(sources: Sequence[Sequence[str]], options: dict[str, Any], version: str) -> str:
    """A key for the files of each text, read with these options; ``version`` is that of the built-in texts."""
    return hashlib.sha256(json.dumps([3, sources, options, version]).encode()).hexdigest()[:32]


def find_record(key: str, stamps: Sequence[storage.FileStamp]) -> dict[str, Any] | None:
    """The record stored under ``key`` if the files of the source still have the same ``stamps``, else None.

    When ``max_chars`` ended the reading early, the files after that were not opened and their stamps do not count: they
    are null in the record.
    """
    try:
        kept = storage.read_json(_folder("sources") / f"{key}.json")
        read = kept["stamps"]
        same = kept["format"] == FORMAT
        same = same and all(one in (None, list(stamp)) for one, stamp in zip(read, stamps, strict=True))
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


def entries() -> dict[str, int]:
    """The sizes in bytes of all prepared texts, by fingerprint."""
    found = {}
    for folder in texts_dir().iterdir():
        with suppress(OSError):  # another process may just have removed it, or it cannot be read
            # the user may have chosen a folder for the cache that has other things in it
            if _FINGERPRINT.fullmatch(folder.name):
                found[folder.name] = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return found


def prune_cache() -> int:
    """Remove all texts, and return the bytes freed: those of a text that a run has in its folder are not.

    A process that reads a removed text continues: a mapped file can still be read after it was deleted.
    """
    _remove_stale()
    freed = 0
    for fingerprint in entries():
        folder = texts_dir() / fingerprint
        with suppress(OSError):
            found = [path.stat() for path in folder.iterdir()]
            freed += sum(each.st_size for each in found if each.st_nlink == 1)
        shutil.rmtree(folder, ignore_errors=True)
    for path in _folder("sources").iterdir():
        if _RECORD.fullmatch(path.name):
            with suppress(OSError):  # it cannot be removed, or is a folder, which this program did not make
                path.unlink()
    return freed


def _remove_stale() -> None:
    """Remove the temporary folders of killed processes."""
    for folder in texts_dir().glob(".making-*"):
        try:
            # while standard input is copied only its file changes
            changed = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - changed > _STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # removed by its own process, or not made by this program

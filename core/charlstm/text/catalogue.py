"""List the texts that a user may want: those in the current folder and ``data/``, and recently used ones.

Only names and sizes are read. Pipes, devices, hidden files and link loops are skipped.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charlstm import storage
from charlstm.display import visible
from charlstm.errors import TextError
from charlstm.fields import plain, read
from charlstm.paths import state_dir
from charlstm.text import builtin
from charlstm.text.sources import STDIN, matches

TEXT_PATTERN = (
    "*.txt,*.text,*.md,*.rst,*.abc,*.tex,*.org,*.csv,*.tsv,*.log,*.py,*.c,*.h,*.rs,*.js,*.xml,*.srt,"
    "*.epub,*.docx,*.odt,*.htm,*.html,*.gz,*.xz,*.zip"
)
"""Names of files that are listed as texts."""
MAX_LISTED = 1000
FORMAT = 1
"""The format of the list of recent texts."""
_MAX_RECENT = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file or folder that may be a text; ``group`` is ``data`` for a file in ``data/``. A folder has 0 ``bytes``."""

    path: Path
    name: str
    bytes: int
    group: Literal["data", "file", "folder"]


def find_texts(folder: str | Path = ".") -> tuple[Candidate, ...]:
    """``data/*.txt`` in ``folder``, then the texts in ``folder``, then its subfolders; at most :data:`MAX_LISTED`.

    Raises :class:`TextError` when ``folder`` itself cannot be listed.
    """
    folder = Path(os.path.expanduser(folder)).absolute()
    try:
        here = sorted(_listed(folder), key=lambda candidate: candidate.name.lower())
    except OSError as error:
        shown = visible(str(folder), keep="")
        raise TextError(f"The folder {shown} cannot be listed ({error.strerror}): choose another folder") from None
    try:
        data = [one for one in _listed(folder / "data") if one.group == "file" and matches(one.name.lower(), "*.txt")]
    except OSError:
        data = []
    found = [Candidate(one.path, one.name, one.bytes, "data") for one in sorted(data, key=lambda one: one.name.lower())]
    found += [one for one in here if one.group == "file" and matches(one.name.lower(), TEXT_PATTERN)]
    found += [one for one in here if one.group == "folder"]
    return tuple(found[:MAX_LISTED])


def _listed(folder: Path) -> Iterator[Candidate]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                info = entry.stat()
            except OSError:
                continue  # a broken link or a link loop
            if stat.S_ISREG(info.st_mode):
                yield Candidate(Path(entry.path), entry.name, info.st_size, "file")
            elif stat.S_ISDIR(info.st_mode):
                yield Candidate(Path(entry.path), entry.name, 0, "folder")


@dataclass(frozen=True, slots=True)
class Recent:
    """A recently used text: its sources, name and length, and the time of its last use (Unix seconds)."""

    sources: tuple[str, ...]
    name: str
    chars: int
    time: float


def recent_texts() -> tuple[Recent, ...]:
    """The recently used texts, latest first, without those whose files no longer exist.

    Raises :class:`TextError` when the list was written by a newer charlstm.
    """
    found = []
    for entry in _recorded():
        with suppress(TypeError, ValueError):  # edited by hand
            one = read(Recent, entry)
            if one.sources and all(builtin.is_builtin(source) or os.path.exists(source) for source in one.sources):
                found.append(one)
    return tuple(found)


def remember_text(sources: Sequence[str], name: str, chars: int) -> None:
    """Add a text (``sources``, ``name`` and ``chars`` of a corpus) to the recent ones.

    Standard input and strings are not added, because they cannot be opened again. A list that was written by a newer
    charlstm is not changed.
    """
    if STDIN in sources or not sources:
        return
    entry = plain(Recent(tuple(sources), name, chars, time.time()))
    # the list is not important enough to fail, and `recent_texts` reports one that is newer
    with suppress(OSError, TextError), storage.changing(_path()):
        others = [other for other in _recorded() if other.get("sources") != entry["sources"]]
        content = {"format": FORMAT, "texts": [entry, *others][:_MAX_RECENT]}
        storage.replace_bytes(_path(), json.dumps(content, indent=1).encode())


def _path() -> Path:
    return state_dir() / "recent-texts.json"


def _recorded() -> list[dict[str, Any]]:
    try:
        content = storage.read_json(_path())
    except (OSError, ValueError):
        return []
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is int and version > FORMAT:
        raise TextError(
            f"The list of recent texts was written by a newer charlstm (format {version}) and was not changed: update "
            f"charlstm, or delete {_path()}"
        )
    texts = content.get("texts") if version == FORMAT else None
    return [entry for entry in texts if isinstance(entry, dict)] if isinstance(texts, list) else []

"""Which texts a person may mean: those in ``data/`` and here, and those used lately. Looks at names, opens nothing.

Pipes, devices, hidden files and link loops are passed over, so listing never hangs.
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
from charlstm.paths import state_dir
from charlstm.text import builtin
from charlstm.text.sources import STDIN, matches

TEXT_PATTERN = "*.txt,*.text,*.md,*.rst,*.abc,*.tex,*.org,*.csv,*.tsv,*.log,*.py,*.c,*.h,*.rs,*.js,*.html,*.xml,*.srt"
"""File names that a list of texts shows."""


MOST_LISTED = 1000


FORMAT = 1
"""Of the list of recent texts."""


_MOST_RECENT = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that could be taken: ``group`` is ``data``, ``file`` or ``folder``; a folder has no size of its own."""

    path: Path
    name: str
    bytes: int
    group: Literal["data", "file", "folder"]


def find_texts(folder: str | Path = ".", pattern: str = TEXT_PATTERN) -> tuple[Candidate, ...]:
    """``data/*.txt`` below ``folder`` first, then the texts in it, then its folders; at most :data:`MOST_LISTED`.

    Raises :class:`TextError` when ``folder`` itself cannot be listed.
    """
    folder = Path(os.path.expanduser(folder)).absolute()
    try:
        here = sorted(_listed(folder), key=lambda candidate: candidate.name.lower())
    except OSError as error:
        shown = visible(str(folder), keep="")
        raise TextError(f"The folder {shown} cannot be listed ({error.strerror}): choose another") from None
    try:
        data = [one for one in _listed(folder / "data") if one.group == "file" and matches(one.name, "*.txt")]
    except OSError:
        data = []
    found = [Candidate(one.path, one.name, one.bytes, "data") for one in sorted(data, key=lambda one: one.name.lower())]
    found += [one for one in here if one.group == "file" and matches(one.name.lower(), pattern)]
    found += [one for one in here if one.group == "folder"]
    return tuple(found[:MOST_LISTED])


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
    """A text that was used: what to open again, what it is called, and when that was (Unix seconds)."""

    sources: tuple[str, ...]
    name: str
    chars: int
    time: float


def recent_texts() -> tuple[Recent, ...]:
    """The texts used last, the latest first; those whose files are gone are left out.

    Raises :class:`TextError` when the list is a newer charlstm's.
    """
    found = []
    for entry in _recorded():
        try:
            sources = tuple(map(os.fspath, entry["sources"]))
            one = Recent(sources, str(entry["name"]), int(entry["chars"]), float(entry["time"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            continue  # written by hand, or by another version
        if one.sources and all(builtin.is_builtin(source) or os.path.exists(source) for source in one.sources):
            found.append(one)
    return tuple(found)


def remember_text(sources: Sequence[str], name: str, chars: int) -> None:
    """Put a text (a corpus's ``sources``, ``name`` and ``chars``) first among the recent ones; not into a list that is
    a newer charlstm's."""
    if STDIN in sources:
        return
    entry = {"sources": list(sources), "name": name, "chars": chars, "time": time.time()}
    try:
        others = [other for other in _recorded() if other.get("sources") != entry["sources"]]
    except TextError:  # whoever lists the texts hears of it
        return
    content = {"format": FORMAT, "texts": [entry, *others][:_MOST_RECENT]}
    with suppress(OSError):  # a full disk is no reason to stop
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
            f"The list of recent texts was written by a newer charlstm (format {version}) and stays as it is; update "
            f"this one to use it, or delete {_path()}"
        )
    texts = content.get("texts") if version == FORMAT else None
    return [entry for entry in texts if isinstance(entry, dict)] if isinstance(texts, list) else []

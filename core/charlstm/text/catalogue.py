"""List the texts that a user may want: those in the current folder and ``data/``, and recently used ones."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm import storage
from charlstm.fields import read
from charlstm.paths import state_dir
from charlstm.text.sources import matches

TEXT_PATTERN = (
    "*.txt,*.text,*.md,*.rst,*.abc,*.tex,*.org,*.csv,*.tsv,*.log,*.py,*.c,*.h,*.rs,*.js,*.xml,*.srt,"
    "*.epub,*.docx,*.odt,*.htm,*.html,*.gz,*.xz,*.zip"
)
"""Names of files that are listed as texts."""
FORMAT = 1
"""The format of the list of recent texts."""
_MAX_RECENT = 12


def find_texts(folder: Path) -> list[tuple[str, int]]:
    """The names and sizes in bytes of the texts in ``data/`` of ``folder``, and of those in ``folder``."""
    return [(f"data/{name}", size) for name, size in _files(folder / "data", "*.txt")] + _files(folder, TEXT_PATTERN)


def _files(folder: Path, pattern: str) -> list[tuple[str, int]]:
    found = []
    with suppress(OSError):  # the folder is not there, or cannot be listed
        for name in sorted(os.listdir(folder), key=str.lower):
            path = folder / name
            if not name.startswith(".") and matches(name.lower(), pattern) and path.is_file():
                found.append((name, path.stat().st_size))
    return found


@dataclass(frozen=True, slots=True)
class Recent:
    """A recently used file or folder of texts, and the time of its last use (Unix seconds)."""

    source: str
    time: float


def recent_texts() -> tuple[Recent, ...]:
    """The recently used texts, latest first, without those whose files no longer exist."""
    found = []
    for entry in _recorded():
        with suppress(KeyError, TypeError, ValueError):  # edited by hand
            [source] = entry["sources"]
            recent = read(Recent, {"source": source, "time": entry["time"]})
            if os.path.exists(recent.source):
                found.append(recent)
    return tuple(found)


def remember_text(source: str) -> None:
    """Add a text to the recent ones."""
    with suppress(OSError), storage.changing(_path()):  # the list is not important enough to fail
        others = [other for other in _recorded() if other.get("sources") != [source]]
        texts = [{"sources": [source], "time": time.time()}, *others][:_MAX_RECENT]
        storage.replace_bytes(_path(), json.dumps({"format": FORMAT, "texts": texts}, indent=1).encode())


def _path() -> Path:
    return state_dir() / "recent-texts.json"


def _recorded() -> list[dict[str, Any]]:
    try:
        content = storage.read_json(_path())
    except (OSError, ValueError):
        return []
    texts = content.get("texts") if isinstance(content, dict) and content.get("format") == FORMAT else None
    return [entry for entry in texts if isinstance(entry, dict)] if isinstance(texts, list) else []

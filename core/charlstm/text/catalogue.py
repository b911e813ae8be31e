"""List the texts that a user may want: those in the current folder and in ``data/``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from charlstm.text.sources import matches

TEXT_PATTERN = (
    "*.txt,*.text,*.md,*.rst,*.abc,*.tex,*.org,*.csv,*.tsv,*.log,*.py,*.c,*.h,*.rs,*.js,*.xml,*.srt,"
    "*.epub,*.docx,*.odt,*.htm,*.html,*.gz,*.xz,*.zip"
)
"""Names of files that are listed as texts."""


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

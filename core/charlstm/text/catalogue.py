"""List the texts that a user may want: those in the current folder and in ``data/``.

Only names and sizes are read. Pipes, devices, hidden files and link loops are skipped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from charlstm.display import visible
from charlstm.errors import TextError
from charlstm.text.sources import matches

TEXT_PATTERN = (
    "*.txt,*.text,*.md,*.rst,*.abc,*.tex,*.org,*.csv,*.tsv,*.log,*.py,*.c,*.h,*.rs,*.js,*.xml,*.srt,"
    "*.epub,*.docx,*.odt,*.htm,*.html,*.gz,*.xz,*.zip"
)
"""Names of files that are listed as texts."""
MAX_LISTED = 1000


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

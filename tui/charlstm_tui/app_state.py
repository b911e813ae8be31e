"""What the app remembers from one start to the next: theme, order of the runs, smoothing, folder, how
models are played, and where the user's own files of texts are.

One small file in the user's state folder, beside which the configuration is the user's own and never written. Losing it
loses nothing that matters, so a file that cannot be read or written is no error; one of a newer charlstm is left alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from charlstm import paths, storage
from charlstm.errors import CharLSTMError

FORMAT = 1
Remembered = str | bool | list[str] | dict[str, object]
MOST_BYTES = 1_000_000
MOST_FILES = 100


@dataclass(frozen=True, slots=True)
class AppState:
    """What is remembered; an empty text where nothing is."""

    theme: str = ""
    """The theme that was chosen last."""
    runs_sort: str = ""
    """The title of the column that the runs are sorted by."""
    runs_sort_reverse: bool = False
    smoothing: str = ""
    """The smoothing of the loss chart, by its name."""
    folder: str = ""
    """The folder that Corpus listed last, and in :attr:`folder_from` the one that the app was started in."""
    folder_from: str = ""
    preferences: dict[str, object] = field(default_factory=dict)
    """How models are played, see :class:`charlstm_tui.player.preferences.Preferences`."""


def state_file() -> Path:
    """Where it is kept."""
    return paths.state_dir(make=False) / "app.json"


def load_state() -> AppState:
    """What was remembered, with the default for whatever cannot be read."""
    entries = _read() or {}
    default = AppState()
    known: dict[str, Any] = {each.name: entries.get(each.name) for each in fields(AppState)}
    return AppState(**{name: value for name, value in known.items() if type(value) is type(getattr(default, name))})


def save_state(changes: Mapping[str, Remembered]) -> None:
    """Change these fields of :class:`AppState` in the file, and leave the others as another app may have written them.
    Of two apps at the same moment the last one wins."""
    with contextlib.suppress(OSError, CharLSTMError):
        path = state_file()
        path.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        entries = _read()
        if entries is not None:
            storage.replace_bytes(path, json.dumps({**entries, **changes, "format": FORMAT}).encode())


def own_files() -> list[Path]:
    """The files of the user's that have a text and lie outside the app's folders, the one that was used last first."""
    found = (_read() or {}).get("own_files")
    return (
        [Path(each) for each in found if isinstance(each, str) and "\0" not in each] if isinstance(found, list) else []
    )


def remember_file(path: Path) -> None:
    """Let this be the first of :func:`own_files`."""
    others = [str(each) for each in own_files() if each != path]
    save_state({"own_files": [str(path), *others][:MOST_FILES]})


def _read() -> dict[str, Any] | None:
    """The entries of the file; ``None`` when a newer charlstm wrote it."""
    try:
        entries = storage.read_json(state_file(), most=MOST_BYTES)
    except (OSError, ValueError, CharLSTMError):
        return {}
    if not isinstance(entries, dict):
        return {}
    version = entries.get("format")
    return None if type(version) is int and version > FORMAT else entries

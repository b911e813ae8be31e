"""An index of the folders in which this user started runs, so that they are found from other folders.

One path per line, as JSON, in the user's state folder. Errors are ignored: without it runs are harder to find, and
``cache prune`` keeps the texts of those alone that are in the folder of runs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from charlstm import storage
from charlstm.paths import state_dir

MAX_RUNS = 1_000
"""So many of the latest runs are listed."""
_MAX_BYTES = 64 * 2**20


def index_path() -> Path:
    """The path of the index."""
    return state_dir(make=False) / "runs.jsonl"


def located(path: Path) -> Path:
    """The path that the run in ``path`` is known by: its folder's own one, without links and ``..``. A link to a run is
    not followed, since it is renamed by its own name."""
    return Path(os.path.realpath(path.parent), path.name)


def remembered_paths(*, every: bool = False) -> list[Path]:
    """The folders of the latest :data:`MAX_RUNS` runs in the index, or of every one, oldest first; some may not exist
    any more."""
    found: dict[Path, None] = {}
    with contextlib.suppress(OSError):
        with storage.open_file(index_path()) as file:
            lines = file.read(_MAX_BYTES).splitlines()
        for line in lines if every else lines[-MAX_RUNS:]:
            with contextlib.suppress(ValueError, RecursionError):
                text = json.loads(line)
                if isinstance(text, str) and os.path.isabs(text) and "\0" not in text:
                    found[Path(text)] = None
    return list(found)


def remember_run(path: Path) -> None:
    """Add the run in ``path``."""
    with contextlib.suppress(OSError):
        path, before = located(path), remembered_paths(every=True)
        known = _each_located(before)
        crowded = before and len(before) % MAX_RUNS == 0
        if crowded or known != before:  # versions until 0.2 kept paths as they were spelled
            rewrite_index(lambda paths: [each for each in paths if not (crowded and _is_gone(each))])
        if path not in known:
            index = index_path()
            index.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
            with storage.changing(index):  # else a rewriting that has begun would lose the line
                storage.append_line(index, json.dumps(str(path)).encode())


def rewrite_index(change: Callable[[list[Path]], Iterable[Path]]) -> None:
    """Replace the paths in the index, of every run and :func:`located`, by ``change(paths)``."""
    with contextlib.suppress(OSError), storage.changing(index_path()):
        paths = change(_each_located(remembered_paths(every=True)))
        lines = [json.dumps(str(path)) + "\n" for path in paths]
        storage.replace_bytes(index_path(), "".join(lines).encode())


def _each_located(paths: Iterable[Path]) -> list[Path]:
    """:func:`located` of each, once; it is asked once for each folder, of which there are few."""
    folders: dict[str, str] = {}
    found: dict[Path, None] = {}
    for path in paths:
        parent, name = os.path.split(path)
        if parent not in folders:
            folders[parent] = os.path.realpath(parent)
        found[Path(folders[parent], name)] = None
    return list(found)


def _is_gone(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # such as no permission, or a server that does not answer
        return False
    return False

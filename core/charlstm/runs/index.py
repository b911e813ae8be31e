"""An index of the folders of the runs that this user started, so that they are found from other folders.

One path per line, as JSON, in the user's state folder. Errors are ignored: without it runs are harder to find.
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
"""So many of the latest runs are kept."""
_MAX_BYTES = 64 * 2**20


def index_path() -> Path:
    return state_dir(make=False) / "runs.jsonl"


def located(path: Path) -> Path:
    """The path that the run in ``path`` is known by: its folder's own one, without links and ``..``. A link to a run is
    not followed, since it is renamed by its own name."""
    return Path(os.path.realpath(path.parent), path.name)


def remembered_paths() -> list[Path]:
    """The folders of the runs in the index, oldest first; some may not exist any more."""
    found: dict[Path, None] = {}
    with contextlib.suppress(OSError):
        with storage.open_file(index_path()) as file:
            lines = file.read(_MAX_BYTES).splitlines()
        for line in lines[-MAX_RUNS:]:
            with contextlib.suppress(ValueError, RecursionError):
                text = json.loads(line)
                if isinstance(text, str) and os.path.isabs(text) and "\0" not in text:
                    found[Path(text)] = None
    return list(found)


def remember_run(path: Path) -> None:
    """Add the run in ``path``."""
    rewrite_index(lambda paths: [*paths, located(path)])


def rewrite_index(change: Callable[[list[Path]], Iterable[Path]]) -> None:
    """Replace the paths in the index by the last :data:`MAX_RUNS` of ``change(paths)``."""
    index = index_path()
    with contextlib.suppress(OSError):
        index.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        with storage.changing(index):
            paths = dict.fromkeys(change(remembered_paths()))
            lines = [json.dumps(str(path)) + "\n" for path in paths]
            storage.replace_bytes(index, "".join(lines[-MAX_RUNS:]).encode())

"""An index of the folders in which this user started runs, so that they are found from other folders.

One path per line, as JSON, in the user's state folder. Errors are ignored: without it runs are only harder to find.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from charlstm import storage
from charlstm.paths import state_dir

MAX_RUNS = 1_000


def index_path() -> Path:
    """The path of the index."""
    return state_dir(make=False) / "runs.jsonl"


def remembered_paths() -> list[Path]:
    """The folders of all runs in the index, oldest first; some may not exist any more."""
    found: dict[Path, None] = {}
    with contextlib.suppress(OSError):
        with storage.open_file(index_path()) as file:
            content = file.read(4 * MAX_RUNS * 1024)
        for line in content.splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                text = json.loads(line)
                if isinstance(text, str) and os.path.isabs(text) and "\0" not in text:
                    found[Path(text)] = None
    return list(found)[-MAX_RUNS:]


def remember_run(path: Path) -> None:
    """Add the run in ``path``."""
    with contextlib.suppress(OSError):
        before = remembered_paths()
        if len(before) == MAX_RUNS:
            rewrite_index(lambda found: [each for each in found if each.is_dir()][-MAX_RUNS // 2 :])
        if path not in before:
            index = index_path()
            index.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
            with storage.changing(index):  # else a rewriting that has begun would lose the line
                storage.append_line(index, json.dumps(str(path)).encode())


def rewrite_index(change: Callable[[list[Path]], list[Path]]) -> None:
    """Replace the paths in the index by ``change(paths)``."""
    with contextlib.suppress(OSError), storage.changing(index_path()):
        lines = [json.dumps(str(path)) + "\n" for path in change(remembered_paths())]
        storage.replace_bytes(index_path(), "".join(lines).encode())

"""The order of the queue: which runs wait to be trained, and which of them is the next.

``queue.json`` in the user's state folder has the folders of these runs and nothing else: the state of a run is in its
own files. A run is in the queue until its worker has begun.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path

from charlstm import storage
from charlstm.errors import RunError
from charlstm.paths import state_dir
from charlstm.runs.index import located

FORMAT = 1


def queue_path() -> Path:
    """The path of the file."""
    return state_dir(make=False) / "queue.json"


def waiting_paths() -> tuple[Path, ...]:
    """The folders of the runs that wait, the next one first; none when the file cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return tuple(path for path in _read() if _is_run(path))
    return ()


def check_queue() -> None:
    """Raises :class:`RunError` when the file is damaged, in which case the others take the queue for empty."""
    try:
        _read()
    except ValueError:
        raise _damaged() from None


def place_in_queue(path: Path) -> int | None:
    """The place of the run in folder ``path``, 1 for the next one; ``None`` if it does not wait."""
    with contextlib.suppress(OSError, ValueError):
        if (paths := _read()) and (here := located(path)) in paths:
            return 1 + sum(map(_is_run, paths[: paths.index(here)]))
    return None


@contextlib.contextmanager
def changing_queue() -> Iterator[list[Path]]:
    """Inside the block nobody else changes the queue; at its end the list is written if it was changed. It may have
    folders that are gone.

    Raises :class:`RunError` when the file cannot be read or written, or another process keeps it for seconds.
    """
    file = queue_path()
    try:
        file.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        with storage.changing(file):
            before = list(_read())
            yield (paths := list(before))
            if paths != before:
                values = {"format": FORMAT, "runs": [str(path) for path in paths]}
                storage.replace_bytes(file, json.dumps(values).encode())
    except OSError as error:
        raise RunError(f"The queue cannot be changed: {error.strerror} ({file})") from None
    except ValueError:
        raise _damaged() from None


def rename_in_queue(before: Path, after: Path) -> None:
    """Let the run that was in folder ``before`` and is in ``after`` now keep its place. Raises as
    :func:`changing_queue` does."""
    with contextlib.suppress(OSError, ValueError):
        if located(before) in _read():
            with changing_queue() as paths:
                paths[:] = [located(after) if path == located(before) else path for path in paths]


def remove_from_queue(run: Path) -> None:
    """Take the run in folder ``run`` out of the queue, if it is there. Raises as :func:`changing_queue` does."""
    if place_in_queue(run) is not None:
        with changing_queue() as paths:
            paths[:] = [path for path in paths if path != located(run)]


def _damaged() -> RunError:
    return RunError(f"The queue cannot be read: {queue_path()} is damaged or from a newer charlstm; remove it")


def _is_run(path: Path) -> bool:
    return os.path.exists(path / "run.json")


def _read() -> tuple[Path, ...]:
    """Raises :class:`OSError`, or :class:`ValueError` for a file that is no queue."""
    path = queue_path()
    try:
        return _parse(path, storage.FileStamp.of(path.stat()))
    except FileNotFoundError:
        return ()


@functools.lru_cache(1)
def _parse(path: Path, _: storage.FileStamp) -> tuple[Path, ...]:
    """Cached for as long as the file is unchanged, since the app asks for each run several times a second."""
    values = storage.read_json(path)
    runs = values.get("runs") if isinstance(values, dict) and values.get("format") == FORMAT else None
    if not isinstance(runs, list) or not all(isinstance(each, str) and Path(each).is_absolute() for each in runs):
        raise ValueError(f"{path} is no queue")
    return tuple(map(Path, runs))

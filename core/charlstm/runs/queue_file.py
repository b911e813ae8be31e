"""The order of the queue: which runs wait to be trained, and which of them is the next.

``queue.json`` in the user's state folder has the folders of these runs, and why a run could not be started when it was
its turn. The state of a run is in its own files. A run is in the queue until its worker has begun or a person takes it
out; one that could not be started keeps its place.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from charlstm import storage
from charlstm.errors import RunError
from charlstm.paths import state_dir
from charlstm.runs.index import located

FORMAT = 1

NOT_BEGUN = "its worker ended before it began"
"""What the entry of a run says from when its worker is started, which takes the run out of the queue when it begins."""


def queue_path() -> Path:
    return state_dir(make=False) / "queue.json"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits in the queue: its folder ``path``, which may be gone.

    ``problem``: why it could not be started when it was its turn, in a sentence; else empty.
    """

    path: Path
    problem: str = ""


def waiting_runs() -> tuple[Waiting, ...]:
    """The waiting runs, the next run first. Raises :class:`RunError` when the file cannot be read."""
    path = queue_path()
    try:
        return _parse(path, storage.FileStamp.of(path.stat()))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RunError(f"The queue cannot be read: {error.strerror} ({path})") from None
    except ValueError:
        raise RunError(f"The queue cannot be read: {path} is damaged or from a newer charlstm; remove it") from None


def place_in_queue(path: Path) -> tuple[int, Waiting] | None:
    """The place of the run in folder ``path``, 1 for the next one, and its entry; ``None`` if it does not wait, or the
    file cannot be read."""
    with contextlib.suppress(RunError):
        if waiting := waiting_runs():
            here = located(path)
            return next(((place, each) for place, each in enumerate(waiting, 1) if each.path == here), None)
    return None


@contextlib.contextmanager
def changing_queue() -> Iterator[list[Waiting]]:
    """Inside the block nobody else changes the queue; at its end the list is written if it was changed.

    Raises :class:`RunError` when the file cannot be read or written, or another process keeps it for seconds.
    """
    file = queue_path()
    try:
        file.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        with storage.changing(file):
            before = list(waiting_runs())
            yield (waiting := list(before))
            if waiting != before:
                runs = [asdict(each) | {"path": str(each.path)} for each in waiting]
                storage.replace_bytes(file, json.dumps({"format": FORMAT, "runs": runs}).encode())
    except OSError as error:
        raise RunError(f"The queue cannot be changed: {error.strerror} ({file})") from None


def rename_in_queue(before: Path, after: Path) -> None:
    """Let the run that was in folder ``before`` and is in ``after`` now keep its place. Raises as
    :func:`changing_queue` does."""
    if place_in_queue(before) is not None:
        with changing_queue() as waiting:
            here = located(before)
            waiting[:] = [replace(each, path=located(after)) if each.path == here else each for each in waiting]


def remove_from_queue(run: Path) -> None:
    """Take the run in folder ``run`` out of the queue, if it is there. Raises as :func:`changing_queue` does."""
    if place_in_queue(run) is not None:
        with changing_queue() as waiting:
            waiting[:] = [each for each in waiting if each.path != located(run)]


@functools.lru_cache(1)
def _parse(path: Path, _: storage.FileStamp) -> tuple[Waiting, ...]:
    """Cached for as long as the file is unchanged, since the app asks for each run several times a second."""
    values = storage.read_json(path)
    try:
        if values["format"] != FORMAT:
            raise ValueError(f"{path} has another format")
        found: dict[Path, Waiting] = {}
        for each in values["runs"]:
            run, problem = Path(each["path"]), each["problem"]
            if not run.is_absolute() or not isinstance(problem, str):
                raise ValueError(f"{path} has an entry that is none")
            run = located(run)  # a folder of runs that was moved may have left a link in its place
            found.setdefault(run, Waiting(run, problem))
        return tuple(found.values())
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no queue") from error

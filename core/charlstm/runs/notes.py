"""Tags and a note that a person gives a run, kept in the file ``notes.json`` of its folder.

The worker neither reads nor writes the file, so that it can be changed while the run trains.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from charlstm import storage
from charlstm.display import visible
from charlstm.errors import OtherFormatError, RunError
from charlstm.fields import plain, read
from charlstm.runs.folder import RunFolder, list_runs

FORMAT = 1
MAX_NOTE = 10_000
"""Most characters of a note."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a person noted about a run. ``tags`` are words without spaces and commas, in the order they were given."""

    tags: tuple[str, ...] = ()
    note: str = ""


def parse_tags(text: str) -> tuple[str, ...]:
    """The tags in a line that a person typed, divided by spaces or commas, each once."""
    typed = (visible(tag.lstrip("#"), keep="") for tag in re.split(r"[\s,]+", text))
    return tuple(dict.fromkeys(tag for tag in typed if tag))


def read_notes(run: RunFolder) -> Notes:
    """Read the notes of ``run``; none when it has no such file. Raises :class:`RunError` when it cannot be read."""
    try:
        values = storage.read_json(run.notes_path)
        if values["format"] > FORMAT:
            raise OtherFormatError(
                f"The notes of the run {run.name} are from a newer charlstm; update charlstm to read them"
            )
        found = read(Notes, values)
    except FileNotFoundError:
        return Notes()
    except OSError as error:
        raise RunError(f"The notes of the run {run.name} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise RunError(f"The notes of the run {run.name} are damaged: correct or remove {run.notes_path}") from None
    return Notes(parse_tags(" ".join(found.tags)), found.note[:MAX_NOTE])


def notes_if_readable(run: RunFolder) -> Notes:
    """The notes of ``run``; none when they cannot be read, which whoever edits them is told."""
    try:
        return read_notes(run)
    except RunError:
        return Notes()


def sweep_tag(name: str) -> str:
    """The tag of the runs of the sweep ``name``, which is one word."""
    return "sweep:" + re.sub(r"[\s,]+", "-", name)


def sweep_runs(name: str, runs_dir: Path | None) -> list[RunFolder]:
    """The runs of the sweep ``name`` in ``runs_dir``, by name."""
    return [run for run in list_runs(runs_dir) if sweep_tag(name) in notes_if_readable(run).tags]


def change_notes(run: RunFolder, change: Callable[[Notes], Notes]) -> Notes:
    """Replace the notes of ``run`` by ``change(notes)``, and return them; no other process changes them meanwhile.

    Raises :class:`RunError` when the notes that are there cannot be read, or the file cannot be written.
    """
    try:
        with storage.changing(run.notes_path):
            wanted = change(read_notes(run))
            notes = Notes(parse_tags(" ".join(wanted.tags)), wanted.note[:MAX_NOTE])
            words = json.dumps({"format": FORMAT, **plain(notes)}, ensure_ascii=False, indent=1)
            # a file that came from elsewhere may hold lone surrogates, for which JSON and Python have the same escape
            storage.replace_bytes(run.notes_path, words.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise RunError(f"The notes of the run {run.name} cannot be written: {error.strerror}") from None
    return notes


def edit_tags(run: RunFolder, shown: Sequence[str], typed: Sequence[str]) -> Notes:
    """Change the tags of ``run`` as a person changed those that were ``shown`` to those that were ``typed``; what other
    processes added or removed since then stays. Raises as :func:`change_notes` does."""

    def edited(now: Notes) -> Notes:
        kept = [tag for tag in typed if tag in now.tags or tag not in shown]
        added = [tag for tag in now.tags if tag not in shown and tag not in typed]
        return Notes((*kept, *added), now.note)

    return change_notes(run, edited)

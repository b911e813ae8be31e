"""A file that several processes change keeps all changes: each reads, changes and replaces it under one lock."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from charlstm import storage
from charlstm.errors import RunError
from charlstm.runs.folder import Run, delete_run
from charlstm.runs.index import remember_run, remembered_paths, rewrite_index
from charlstm.runs.notes import Notes, change_notes, edit_tags, read_notes
from faulty_disk import have_no_locks
from recorded_run import record

PROCESSES, EACH = 4, 25

DEADLINE = 60.0


def change_tags(place: Path, name: str) -> None:
    change_notes(Run(place / "one"), lambda now: Notes((*now.tags, name), now.note))


def change_index(place: Path, name: str) -> None:
    remember_run(place / name)
    rewrite_index(lambda paths: [place / "new" / path.name if path == place / name else path for path in paths])


def change_often(change: Callable[[Path, str], None], place: Path, process: str) -> None:
    for number in range(EACH):
        change(place, f"{process}-{number}")


FILES: dict[str, tuple[Callable[[Path, str], None], Callable[[Path], object]]] = {
    "notes": (change_tags, lambda place: read_notes(Run(place / "one")).tags),
    "index of runs": (change_index, lambda place: [path.name for path in remembered_paths()]),
}
"""What makes one change, by a name that only it has, and the names in the file."""


@pytest.mark.parametrize("file", FILES)
def test_changes_of_several_processes_are_all_kept(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock, 56 of 200 were lost, with 50 by each process."""
    record(tmp_path, "finished", name="one", steps=5)
    for folder in ("STATE", "CACHE"):
        monkeypatch.setenv(f"CHARLSTM_{folder}", str(tmp_path / folder.lower()))
    change, kept = FILES[file]
    context = multiprocessing.get_context("fork")
    names = [f"p{number}" for number in range(PROCESSES)]
    processes = [context.Process(target=change_often, args=(change, tmp_path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(DEADLINE)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    expected = {f"{name}-{number}" for name in names for number in range(EACH)}
    assert set(kept(tmp_path)) == expected


def test_changing_takes_no_lock_on_a_file_system_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the place of a lock would stay when its program is killed, and keep all others away."""
    have_no_locks(monkeypatch)
    monkeypatch.setattr(storage, "LOCK_SECONDS", 0.05)
    path = tmp_path / "file.json"
    with storage.changing(path), storage.changing(path):
        pass


def test_edited_tags_keep_what_others_changed_meanwhile(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", name="one", steps=5).run
    change_notes(run, lambda now: Notes(("a", "b", "c"), "mine"))
    change_notes(run, lambda now: Notes(("b", "c", "new"), now.note))  # another process removes a and adds new
    assert edit_tags(run, ("a", "b", "c"), ("c", "a", "d")) == Notes(("c", "d", "new"), "mine")


def test_notes_of_a_deleted_run_do_not_bring_its_folder_back(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", name="one", steps=5).run
    change_notes(run, lambda now: Notes(note="mine"))
    assert delete_run(run) == []
    with pytest.raises(RunError, match="cannot be written"):
        change_notes(run, lambda now: Notes(note="again"))
    assert not run.path.exists()

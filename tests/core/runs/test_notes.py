"""Tags and notes of a run: kept in its folder, read safely, deleted with it, changed by several programs at once."""

import json
import multiprocessing
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from charlstm import storage
from charlstm.errors import OtherFormatError, RunError
from charlstm.runs import queue
from charlstm.runs.folder import RunFolder, RunSpec, create_run, delete_run, rename_run
from charlstm.runs.index import remember_run, remembered_paths, rewrite_index
from charlstm.runs.notes import Notes, change_notes, edit_tags, parse_tags, read_notes
from charlstm.training.settings import Settings
from faulty_disk import have_no_locks
from queued_runs import waiting
from recorded_run import record


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return record(tmp_path, name="one", steps=5).run


def test_notes_stay_with_a_renamed_run_and_go_with_a_deleted_one(run: RunFolder) -> None:
    assert read_notes(run) == Notes()
    change_notes(run, lambda now: Notes(("good", "paper", "good"), "less dropout"))
    run = rename_run(run, "two")
    assert read_notes(run) == Notes(("good", "paper"), "less dropout")
    assert delete_run(run) == []


def test_tags_are_words() -> None:
    assert parse_tags(" #good, paper\tgood,, #  ") == ("good", "paper")


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"format": 1, "tags": 3}', b'{"format": 1, "note": []}', b'{"tags": []}', b"[" * 100_000]
)
def test_a_damaged_file_is_said_and_never_replaced(run: RunFolder, content: bytes) -> None:
    run.notes_path.write_bytes(content)
    with pytest.raises(RunError, match=r"notes of the run one are damaged"):
        change_notes(run, lambda now: Notes(now.tags, "new"))
    assert run.notes_path.read_bytes() == content


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.notes_path.write_text(json.dumps({"format": 2}))
    with pytest.raises(OtherFormatError, match="update charlstm"):
        read_notes(run)


# ---- changes by several processes


SPEC = RunSpec(corpus={}, settings=Settings(epochs=1))
PROCESSES, EACH = ("left", "middle", "right"), 12


def change_index(place: Path, name: str) -> None:
    remember_run(place / name)
    rewrite_index(lambda paths: [place / "new" / path.name if path == place / name else path for path in paths])


FILES: dict[str, tuple[Callable[[Path, str], object], Callable[[Path], Iterable[str]]]] = {
    "notes": (
        lambda place, name: change_notes(RunFolder(place), lambda now: Notes((*now.tags, name))),
        lambda place: read_notes(RunFolder(place)).tags,
    ),
    "index of runs": (change_index, lambda place: [path.name for path in remembered_paths()]),
    "queue": (lambda place, name: queue.add_run(create_run(SPEC, name=name, folder=place)), lambda place: waiting()),
}
"""What makes one change, by a name that only it has, and the names in the file."""


@pytest.mark.parametrize("file", FILES)
def test_changes_of_several_processes_are_all_kept(file: str, tmp_path: Path) -> None:
    """Without the lock, 56 of 200 were lost, with 50 by each process."""
    change, kept = FILES[file]

    def change_often(process: str) -> None:
        for number in range(EACH):
            change(tmp_path, f"{process}-{number}")

    processes = [multiprocessing.get_context("fork").Process(target=change_often, args=(name,)) for name in PROCESSES]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60.0)
    assert [process.exitcode for process in processes] == [0] * len(PROCESSES)
    assert sorted(kept(tmp_path)) == sorted(f"{name}-{number}" for name in PROCESSES for number in range(EACH))


def test_changing_takes_no_lock_on_a_file_system_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the place of a lock would stay when its program is killed, and keep all others away."""
    have_no_locks(monkeypatch)
    monkeypatch.setattr(storage, "LOCK_SECONDS", 0.05)
    path = tmp_path / "file.json"
    with storage.changing(path), storage.changing(path):
        pass


def test_edited_tags_keep_what_others_changed_meanwhile(run: RunFolder) -> None:
    change_notes(run, lambda now: Notes(("a", "b", "c"), "mine"))
    change_notes(run, lambda now: Notes(("b", "c", "new"), now.note))  # another process removes a and adds new
    assert edit_tags(run, ("a", "b", "c"), ("c", "a", "d")) == Notes(("c", "d", "new"), "mine")


def test_notes_of_a_deleted_run_do_not_bring_its_folder_back(run: RunFolder) -> None:
    change_notes(run, lambda now: Notes(note="mine"))
    assert delete_run(run) == []
    with pytest.raises(RunError, match="cannot be written"):
        change_notes(run, lambda now: Notes(note="again"))
    assert not run.path.exists()

"""Tags and notes of a run: kept in its folder, read safely, and deleted with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.errors import OtherFormatError, RunError
from charlstm.runs.folder import Run, delete_run, rename_run
from charlstm.runs.notes import Notes, change_notes, parse_tags, read_notes
from recorded_run import record


def test_notes_stay_with_a_renamed_run_and_go_with_a_deleted_one(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", name="one", steps=50).run
    assert read_notes(run) == Notes()
    change_notes(run, lambda now: Notes(("good", "paper", "good"), "less dropout"))
    run = rename_run(run, "two")
    assert read_notes(run) == Notes(("good", "paper"), "less dropout")
    assert delete_run(run) == []


def test_tags_are_words(tmp_path: Path) -> None:
    assert parse_tags(" #good, paper\tgood,, #  ") == ("good", "paper")


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"format": 1, "tags": 3}', b'{"format": 1, "note": []}', b'{"tags": []}', b"[" * 100_000]
)
def test_a_damaged_file_is_said_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    run = record(tmp_path, "finished", name="one", steps=50).run
    run.notes_path.write_bytes(content)
    with pytest.raises(RunError, match=r"notes of the run one are damaged"):
        change_notes(run, lambda now: Notes(now.tags, "new"))
    assert run.notes_path.read_bytes() == content


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.notes_path.write_text(json.dumps({"format": 2}))
    with pytest.raises(OtherFormatError, match="update charlstm"):
        read_notes(run)

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from charlstm import storage
from charlstm.errors import RunError
from charlstm.runs import index, liveness
from charlstm.runs.folder import Run, RunSpec, create_run, runs_dir
from charlstm.runs.launch import check_resume
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.needed_texts import fingerprints_of_texts
from charlstm.training.settings import Settings


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path / "runs"))
    corpus = {"name": "stdin", "sources": ["-"], "fingerprint": "a" * 64}
    return create_run(RunSpec(corpus=corpus, settings=Settings(epochs=1)))


def change(run: Run, **values: Any) -> None:
    run.spec_path.write_text(json.dumps(json.loads(run.spec_path.read_text()) | values))


@pytest.mark.parametrize("values", [{"format": 99}, {"settings": {"epochs": -1, "new": 1}}, {"created": "never"}])
def test_text_of_a_run_that_this_version_cannot_read_is_needed(run: Run, values: dict[str, Any]) -> None:
    assert fingerprints_of_texts() == {"a" * 64}
    change(run, **values)
    with pytest.raises(RunError):
        run.spec()
    assert fingerprints_of_texts() == {"a" * 64}


def test_texts_of_runs_elsewhere_and_of_moved_ones_are_needed(run: Run, tmp_path: Path) -> None:
    for number, folder in enumerate((tmp_path / "other", runs_dir() / "unknown")):
        corpus = {"name": "text", "sources": ["-"], "fingerprint": f"{number}" * 64}
        create_run(RunSpec(corpus=corpus, settings=Settings(epochs=1)), folder=folder)
    moved = runs_dir() / "moved"
    os.rename(runs_dir() / "unknown" / "text-custom-1", moved)
    assert fingerprints_of_texts() == {"a" * 64, "0" * 64, "1" * 64}


def test_texts_of_more_runs_than_are_listed_are_needed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MAX_RUNS", 2)
    for number in range(6):
        corpus = {"name": "text", "sources": ["-"], "fingerprint": f"{number}" * 64}
        create_run(RunSpec(corpus=corpus, settings=Settings(epochs=1)), folder=tmp_path / "other")
    assert fingerprints_of_texts() == {"a" * 64, *(f"{number}" * 64 for number in range(6))}


def test_text_of_a_moved_run_that_was_resumed_is_needed(run: Run, tmp_path: Path) -> None:
    runs_dir().rename(tmp_path / "moved")
    assert fingerprints_of_texts() == set()
    check_resume(Run(tmp_path / "moved" / run.name), {})
    assert fingerprints_of_texts() == {"a" * 64}


def test_run_that_has_not_read_its_text_and_what_is_no_run_need_none(run: Run) -> None:
    change(run, corpus={"name": "novel.txt", "sources": ["/texts/novel.txt"]})
    for name, content in (("other", "{}"), ("third", "not JSON")):
        (runs_dir() / name).mkdir()
        (runs_dir() / name / "run.json").write_text(content)
    (runs_dir() / "folder" / "run.json").mkdir(parents=True)
    (runs_dir() / "notes.txt").write_text("")
    assert fingerprints_of_texts() == set()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "has a damaged run.json.*restore the file, or delete"),
        ("[]", "has a damaged run.json"),
        ('{"format": null, "corpus": {"fingerprint": "x"}}', "has a damaged run.json"),
        ('{"format": 1, "corpus": null, "created": 1, "settings": {}}', "has a damaged run.json"),
        ('{"format": 1, "corpus": {"fingerprint": 1}, "created": 1, "settings": {}}', "has a damaged run.json"),
        ('{"format": 2, "corpus": {}, "created": 1, "settings": {}}', "was written by a newer charlstm.*update"),
    ],
)
def test_run_that_does_not_say_which_text_it_needs_is_named(run: Run, content: str, sentence: str) -> None:
    liveness.write_heartbeat(run.heartbeat_path, HeartbeatRecord(state="finished", step=1))
    run.spec_path.write_text(content)
    with pytest.raises(RunError, match=f"The run {run.name} {sentence}"):
        fingerprints_of_texts()


def test_run_that_cannot_be_read_at_the_moment_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, **named: Any) -> Any:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(storage, "read_json", broken)
    with pytest.raises(RunError, match=r"cannot be read \(Input/output error\).*no text was removed"):
        fingerprints_of_texts()

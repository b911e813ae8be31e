"""What the app shows and keeps of a run's text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from charlstm_tui.run_watcher import RunView
from charlstm_tui.runs.details import run_lines
from charlstm_tui.runs.run_details import read_details
from charlstm_tui.train.screen import _choice
from recorded_run import record


def test_separate_validation_text_of_a_run(tmp_path: Path) -> None:
    """Its details name it, and a new run of the same text is validated on it again."""
    run = record(tmp_path, "finished").run
    spec = run.spec()
    view = RunView(run, run.status(), spec.corpus_name, spec.preset, spec.created)
    assert "validated on" not in run_lines(view, read_details(run), 80, bits=False).plain
    choice = _choice(spec)
    assert choice is not None
    assert choice.validation == ()

    validation = {"name": "sequel.txt", "sources": ["/texts/sequel.txt"], "chars": 9}
    run.write_spec(replace(spec, corpus=spec.corpus | {"validation": validation}))
    assert "validated on sequel.txt" in run_lines(view, read_details(run), 80, bits=False).plain
    choice = _choice(run.spec())
    assert choice is not None
    assert choice.validation == ("/texts/sequel.txt",)

    run.write_spec(replace(spec, corpus=spec.corpus | {"validation": validation | {"sources": ["-"]}}))
    assert _choice(run.spec()) is None
    run.write_spec(replace(spec, corpus=spec.corpus | {"validation": 3}))
    assert "validated on" not in run_lines(view, read_details(run), 80, bits=False).plain

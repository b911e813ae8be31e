"""What the app shows and keeps of a run's text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.runs.status import RunStatus
from charlstm_tui.runs.details import run_lines
from charlstm_tui.runs.run_details import read_details
from charlstm_tui.train.screen import _choice
from driven_app import seen
from recorded_run import record


def test_separate_validation_text_of_a_run(tmp_path: Path) -> None:
    """Its details name it, and a new run of the same text is validated on it again."""
    run = record(tmp_path, "finished").run
    spec = run.spec()
    assert "validated on" not in run_lines(seen(run), read_details(run), 80, bits=False).plain
    choice = _choice(spec)
    assert choice.validation == ()

    validation = {"name": "sequel.txt", "sources": ["/texts/sequel.txt"], "chars": 9}
    run.write_spec(replace(spec, corpus=spec.corpus | {"validation": validation}))
    assert "validated on sequel.txt" in run_lines(seen(run), read_details(run), 80, bits=False).plain
    choice = _choice(run.spec())
    assert choice.validation == ("/texts/sequel.txt",)

    run.write_spec(replace(spec, corpus=spec.corpus | {"validation": validation | {"sources": ["-"]}}))
    assert _choice(run.spec()) is None
    run.write_spec(replace(spec, corpus=spec.corpus | {"validation": 3}))
    assert "validated on" not in run_lines(seen(run), read_details(run), 80, bits=False).plain


@pytest.mark.parametrize(
    ("best_step", "says"),
    [
        (None, "best 1.50 nats per character ·"),  # as of a copy without the events
        (0, "1.50 nats per character, the model from before training"),
        (50, "best 1.50 nats per character at step 50"),
    ],
)
def test_step_of_the_best_model_that_is_not_known_is_not_said(tmp_path: Path, best_step: int | None, says: str) -> None:
    run = record(tmp_path, "finished").run
    status = RunStatus(state="finished", alive=False, best_val=1.5, best_whole=True, best_step=best_step)
    shown = run_lines(replace(seen(run), status=status), read_details(run), 120, bits=False).plain
    assert says in shown
    assert ("before training" in shown) == (best_step == 0)

"""Saving and loading states when the disk fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import RunError, UnreadableFileError
from charlstm.runs.store import RunStore, load_state
from charlstm.training import state as exact
from charlstm.training.state import TrainingState
from recorded_run import record


def test_load_state_skips_only_a_damaged_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(tmp_path).run
    store = RunStore(run, run.spec(), lambda: None)
    for step in (7, 8):
        store.save_state(TrainingState(step, {}, {}))
    whole = run.state_path.read_bytes()

    def fail(*_: Any) -> None:
        raise UnreadableFileError("The state cannot be read now", "disk")

    for name, value, says in (("FORMAT", 0, "newer charlstm"), ("read_tensors", fail, "move the file away")):
        with monkeypatch.context() as patch:
            patch.setattr(exact, name, value)
            with pytest.raises(RunError, match=says):
                load_state(run)
    run.state_path.write_bytes(whole[:-1])
    state, warning = load_state(run)
    assert state is not None
    assert state.step == 7
    assert warning is not None
    assert "damaged" in warning
    run.previous_state_path.write_bytes(b"junk")
    with pytest.raises(RunError, match="No checkpoint"):
        load_state(run)

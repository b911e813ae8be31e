"""What a run's files cost when the disk is in trouble, beyond what ``test_worker`` lets fail."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import ModelError, RunError
from charlstm.runs.store import RunStore, load_state
from charlstm.training import state as exact
from charlstm.training.state import TrainingState
from recorded_run import record


def test_only_a_damaged_checkpoint_is_stepped_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(tmp_path).run
    store = RunStore(run, run.spec(), lambda: None)
    for step in (7, 8):
        store.save_state(TrainingState(step, 0, {}, {}))
    whole = run.state_path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(exact, "FORMAT", 0)
        with pytest.raises(RunError, match="newer charlstm"):
            load_state(run)

    def fail(*_: Any) -> None:
        raise ModelError("The state cannot be read now") from OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(exact, "read_tensors", fail)
        with pytest.raises(RunError, match="move the file away"):
            load_state(run)
    run.state_path.write_bytes(whole[:-1])
    state, warning = load_state(run)
    assert state is not None
    assert state.step == 7
    assert warning is not None
    assert "damaged" in warning


def test_a_model_that_cannot_be_read_back_is_the_disks_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(tmp_path).run
    store, state = RunStore(run, run.spec(), lambda: None), TrainingState(7, 0, {}, {})

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", fail)
        with pytest.raises(OSError, match="Input/output error"):
            store.save_state(state)
    store.save_state(state)
    kept, _ = load_state(run)
    assert kept is not None
    assert kept.model_digest == hashlib.sha256(run.model_path.read_bytes()).hexdigest()

"""What a run's files cost when the disk is in trouble, beyond what ``test_worker`` lets fail."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from charlstm.runs.store import RunStore, load_state
from charlstm.training.state import TrainingState
from recorded_run import record


def test_a_model_that_cannot_be_read_back_is_the_disks_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(tmp_path).run
    store, state = RunStore(run, lambda: None), TrainingState(7, 0, {}, {})

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

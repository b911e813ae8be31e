from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charlstm.errors import ModelError
from charlstm.model.tensors import write_tensors
from charlstm.training.state import TrainingState, load_record, load_state, save_state


def state(step: int = 3) -> TrainingState:
    tensors = {
        "network.a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "optimizer.step.a": np.array(3.0, np.float32),
        "empty": np.zeros((0, 2), np.float32),
    }
    return TrainingState(step, {"rate": 0.1, "text": "naïve\x00", "none": None}, tensors)


def test_state_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    save_state(tmp_path / "state", state())
    again = load_state(tmp_path / "state")
    assert again.step == 3
    assert again.record == state().record
    assert again.tensors.keys() == state().tensors.keys()
    for name, array in state().tensors.items():
        assert again.tensors[name].tobytes() == array.tobytes()
        assert again.tensors[name].shape == array.shape


def test_load_record_reads_the_start_of_the_file_only(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(path, state())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)  # a damage among the tensors, which it does not look at
    assert load_record(path) == state().record
    path.write_bytes(content[:-1])
    with pytest.raises(ModelError, match="damaged"):
        load_record(path)


def test_load_state_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no training state file"):
        load_state(tmp_path / "missing")
    write_tensors(tmp_path / "other", {"a": np.zeros(3, np.float32)}, {"format": "1"})
    with pytest.raises(ModelError, match="is no training state"):
        load_state(tmp_path / "other")

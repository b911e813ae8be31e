"""Events as lines of JSON, and states as files: written, read again, and refused if they are not valid."""

import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import charlstm
from charlstm.errors import ModelError, OtherFormatError, RunError
from charlstm.model.tensors import write_tensors
from charlstm.training import events
from charlstm.training.events import AnyEvent, Event, Finished, Stepped, Validated, from_line, to_line
from charlstm.training.state import TrainingState, load_record, load_state, save_state

STEP = Stepped(
    step=5, time=1.5, epoch=0.1, train_loss=1.25, lr=1e-3, grad_norm=0.5, chars_per_second=100.0, train_seconds=2.0
)


def changed(**values: Any) -> str:
    return json.dumps(json.loads(to_line(STEP)) | values)


def test_event_line_is_read_again() -> None:
    assert from_line(to_line(STEP)) == STEP
    over = Finished(step=5, time=2.0, reason="done", loss=None, best_step=0, train_seconds=1.0)
    assert from_line(to_line(over)) == over


def test_every_event_is_in_the_union_and_public() -> None:
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert set(get_args(AnyEvent)) == declared - {Event}
    assert {kind.__name__ for kind in get_args(AnyEvent)} <= set(charlstm.__all__)


def test_numbers_that_are_not_finite_are_null_in_a_line() -> None:
    line = to_line(Validated(step=1, loss=math.inf, chars=9, best=False, train_seconds=1.0))
    assert '"loss":null' in line
    assert math.isnan(from_line(line).loss)


def test_from_line_accepts_integers_for_floats_and_unknown_fields() -> None:
    assert from_line(changed(train_loss=2, from_the_future=[1])).train_loss == 2.0


@pytest.mark.parametrize(
    "values",
    [
        {"step": True}, {"step": 1.5}, {"step": -1}, {"step": 10**400}, {"time": None}, {"time": "now"},
        {"train_seconds": math.inf}, {"train_seconds": 10**400}, {"epoch": []}, {"train_loss": "1"},
        {"event": ["step"]}, {"event": "stepped"},
    ],
)  # fmt: skip
def test_from_line_refuses_values_of_the_wrong_type(values: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="cannot be read") as caught:
        from_line(changed(**values))
    assert not isinstance(caught.value, OtherFormatError)


# ---- states


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
    assert (again.step, again.record, again.tensors.keys()) == (3, state().record, state().tensors.keys())
    for name, array in state().tensors.items():
        assert (again.tensors[name].tobytes(), again.tensors[name].shape) == (array.tobytes(), array.shape)


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

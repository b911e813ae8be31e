"""What ``doctor --try`` tries."""

import threading
from pathlib import Path
from typing import Any

import pytest

from charlstm.cli import trial
from charlstm.engine import trial as kernel_trial
from charlstm.engine.fused import FusedKernel
from charlstm.errors import CharLSTMError
from command_line import Cli
from faulty_disk import have_no_locks

pytestmark = pytest.mark.numeric


def test_try_names_what_each_part_came_to(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_trial, "STEPS", 3)
    small = trial.TRAIN.replace("size 64", "size 8").replace("kernel=fused", "kernel=nn")
    monkeypatch.setattr(trial, "TRAIN", small)  # other kernels are compiled in each of three processes
    monkeypatch.setattr("charlstm.cli.doctor._terminal", lambda problems: {})  # which may be too small here
    monkeypatch.setattr("charlstm.cli.doctor.check_import_of_torch", lambda: None)
    monkeypatch.setattr("charlstm.cli.doctor.LOW_SPACE", 0)
    result = cli.json("doctor", "--try", "--device", "cpu")
    assert result["problems"] == []
    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    assert all(each.finished.is_set() for each in timers), "the command would end two minutes later"
    tried = result["sections"]["tried"]
    assert tried["rewound text"] == "the same bit for bit"
    assert tried["folder of the runs"].startswith("locks")
    assert tried["kernels"].startswith("3 steps of")
    assert tried["stop and resume"].endswith("the same bit for bit")


def test_try_says_where_locks_fail_and_needs_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_no_locks(monkeypatch)
    problems: list[str] = []
    assert list(trial.try_all(tmp_path, None, problems)) == ["rewound text", "terminal", "folder of the runs"]
    assert [problem.partition(":")[0] for problem in problems] == ["Folder of the runs"]


def test_training_that_hangs_is_ended_and_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LONGEST", 0.0)
    with pytest.raises(CharLSTMError, match="ended after 0 seconds"):
        trial._resume(tmp_path, "cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factor", [2, float("nan")])
def test_try_kernels_sees_a_wrong_gradient(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_trial, "STEPS", 2)
    step = FusedKernel.step

    def wrong(kernel: Any, *batch: Any) -> object:
        result = step(kernel, *batch)
        kernel._network.fc.bias.grad *= factor
        return result

    monkeypatch.setattr(FusedKernel, "step", wrong)
    with pytest.raises(CharLSTMError, match="wrong gradients"):
        kernel_trial.try_kernels("cpu")

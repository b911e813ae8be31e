"""No kill, power cut or accident to its folder changes what a run becomes."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

import kill_worker
import pytest
from kill_worker import Training

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has torch loaded, and reads /proc"),
]


@pytest.mark.parametrize(
    ("training", "kills", "cuts", "folders"),
    [
        pytest.param(Training(), 4, 2, 1, id="one thread"),
        pytest.param(Training("fused", threads=2, hidden_size=256), 1, 1, 0, id="two threads"),
        pytest.param(Training("fused", hidden_size=256, thread_changes=True), 1, 0, 0, id="thread changes"),
        *(pytest.param(Training(command=name), 2, 1, 0, id=name) for name in ("set-lr", "more", "finish")),
    ],
)
def test_worker_that_has_an_accident_becomes_the_run_that_it_would_have_been(
    process: ProcessPoolExecutor, times: int, training: Training, kills: int, cuts: int, folders: int
) -> None:
    asked = process.submit(kill_worker.try_accidents, training, kills * times, cuts * times, folders * times)
    assert asked.result() == []

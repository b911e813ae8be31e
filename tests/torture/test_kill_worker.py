"""No kill, power cut or accident to its folder changes what a run becomes."""

import sys
from concurrent.futures import ProcessPoolExecutor

import kill_worker
import pytest
from kill_worker import Training

import random_examples

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has torch loaded, and reads /proc"),
]


CASES = [
    pytest.param(Training(), 4, 2, 1, id="one thread"),
    pytest.param(Training("fused", threads=2, hidden_size=48), 1, 1, 0, id="two threads"),
    pytest.param(Training(command="set-lr"), 2, 1, 0, id="set-lr"),
    pytest.param(Training(command="finish"), 1, 0, 0, id="finish"),
]
MORE_CASES = [
    pytest.param(Training("fused", hidden_size=48, thread_changes=True), 1, 0, 0, id="thread changes"),
    pytest.param(Training(command="more"), 1, 0, 0, id="more"),
]
"""Tried with ``--times``: in tests/core/engine/test_resume.py the trainer alone goes on exactly after both."""


@pytest.mark.parametrize(
    ("training", "kills", "cuts", "folders"), CASES if random_examples.times == 1 else CASES + MORE_CASES
)
def test_worker_that_has_an_accident_becomes_the_run_that_it_would_have_been(
    process: ProcessPoolExecutor, times: int, training: Training, kills: int, cuts: int, folders: int
) -> None:
    asked = process.submit(kill_worker.try_accidents, training, kills * times, cuts * times, folders * times)
    assert asked.result() == []

"""The clock of a run does not count the time in which its process was suspended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from charlstm.training import clock as clock_module
from charlstm.training.clock import Clock
from charlstm.training.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "active", "counts"),
    [
        (1.0, 0.0, 1.0),  # late, but no more than on a busy machine
        (100.0, 0.3, 0.0),  # suspended; several threads computed until then
        (100.0, 100.0, 100.0),  # a long computation without a heartbeat, or a processor that others took
        (100.0, 180.0, 100.0),
    ],
)
def test_clock_counts_a_gap_in_which_the_process_neither_computed_nor_waited_as_suspension(
    monkeypatch: pytest.MonkeyPatch, seconds: float, active: float, counts: float
) -> None:
    now = {"wall": 0.0, "active": 0.0}
    monkeypatch.setattr(clock_module, "time", SimpleNamespace(perf_counter=lambda: now["wall"]))
    monkeypatch.setattr(clock_module, "active_seconds", lambda: now["active"])
    progress = Progress(work_seconds=7.0)
    clock = Clock(progress)
    now["wall"] += 0.5
    now["active"] += 0.5
    assert clock.count_work() == 7.5
    now["wall"] += seconds
    now["active"] += active
    assert clock.count_work() == progress.work_seconds == 7.5 + counts
    now["wall"] += 0.5
    assert clock.count_work() == 8.0 + counts


WORKS = """
import sys, time
from charlstm.training import clock, progress
clock.SUSPENDED_AFTER = 0.3
work = clock.Clock(progress.Progress())
work.start()
begin = time.perf_counter()
print("begun", flush=True)
while sys.stdin.read(1) != "e":  # only the thread gives heartbeats
    pass
print(time.perf_counter() - begin, work.count_work(), flush=True)
work.close()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no such signal here")
def test_clock_does_not_count_the_time_after_sigstop() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        os.kill(child.pid, signal.SIGSTOP)
        until = time.monotonic() + 1.0
        os.waitpid(child.pid, os.WUNTRACED)
        while time.monotonic() < until:
            time.sleep(0.05)
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write("e")
        child.stdin.close()
        passed, worked = map(float, child.stdout.readline().split())
    assert child.returncode == 0
    assert passed > 1.0
    assert worked < passed - 0.9

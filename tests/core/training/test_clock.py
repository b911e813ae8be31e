"""What counts as work: not the time in which a process was stopped, which no clock tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from charlstm.training import progress as room
from charlstm.training.progress import Clock, Progress


@pytest.mark.parametrize(
    ("seconds", "used", "counts"),
    [
        (1.0, 0.0, 1.0),  # late, but no more than on a busy machine
        (100.0, 0.3, 0.0),  # stopped; several threads computed until then
        (100.0, 100.0, 100.0),  # a long computation without a sign of life
        (100.0, 180.0, 100.0),
    ],
)
def test_gap_without_computing_is_a_stop(
    monkeypatch: pytest.MonkeyPatch, seconds: float, used: float, counts: float
) -> None:
    now = {"wall": 0.0, "cpu": 0.0}
    clocks = SimpleNamespace(perf_counter=lambda: now["wall"], process_time=lambda: now["cpu"])
    monkeypatch.setattr(room, "time", clocks)
    progress = Progress(work_seconds=7.0)
    clock = Clock(progress)
    now["wall"] += 0.5
    now["cpu"] += 0.5
    assert clock.worked() == 7.5
    now["wall"] += seconds
    now["cpu"] += used
    assert clock.worked() == progress.work_seconds == 7.5 + counts
    now["wall"] += 0.5
    assert clock.worked() == 8.0 + counts


WORKS = """
import sys, time
from charlstm.training import progress
progress.LONGEST_GAP = 0.3
work = progress.Clock(progress.Progress())
work.start()
begin = time.perf_counter()
print("begun", flush=True)
while sys.stdin.read(1) != "e":  # no sign of life but the thread's
    pass
print(time.perf_counter() - begin, work.worked(), flush=True)
work.close()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no such signal here")
def test_process_that_was_really_stopped_did_not_work() -> None:
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

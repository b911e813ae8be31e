"""The short form of ``kill_worker.py``: kills, power cuts and moved folders, each run compared bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ACCIDENTS = ["--kills", "1", "--cuts", "1", "--folders", "1", "--again", "0.2"]
THREADS = ["--kernel", "fused", "--thread-changes", "--kills", "1", "--cuts", "0", "--folders", "0"]

ASKED = ["--ask", "set-lr", "--kills", "2", "--cuts", "0", "--folders", "0"]


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has torch loaded, and reads /proc")
@pytest.mark.parametrize(
    ("options", "kinds"),
    [(ACCIDENTS, 8), (THREADS, 3), (ASKED, 3)],
    ids=["accidents", "thread changes", "a command"],
)
def test_no_accident_changes_what_a_run_becomes(options: list[str], kinds: int) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill_worker.py")), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0\n") == kinds, done.stdout

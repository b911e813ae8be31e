"""The short form of ``kill_worker.py``: kills, power cuts and moved folders, each run compared bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has torch loaded, and reads /proc")
def test_no_accident_changes_what_a_run_becomes() -> None:
    script = Path(__file__).with_name("kill_worker.py")
    command = [sys.executable, str(script), "--kills", "2", "--cuts", "1", "--folders", "1", "--again", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0\n") == 8, done.stdout

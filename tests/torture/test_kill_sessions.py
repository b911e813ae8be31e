"""The short form of ``kill_sessions.py``: kills, quits, power cuts and two programs at once, each text compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_no_accident_loses_what_was_typed() -> None:
    script = Path(__file__).with_name("kill_sessions.py")
    command = [sys.executable, str(script), "--kills", "2", "--cuts", "2", "--together", "2", "--megabytes", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0\n") == 9, done.stdout

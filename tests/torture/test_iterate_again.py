"""The short form of ``iterate_again.py``: a trainer closed at some of its events and iterated again, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_trainer_iterated_again_is_the_same_trainer() -> None:
    script = Path(__file__).with_name("iterate_again.py")
    command = [sys.executable, str(script), "--random", "1", "--every", "140"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0\n") == 6, done.stdout

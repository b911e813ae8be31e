"""The short forms of ``mutate_files.py``, ``special_files.py``, ``bad_corpora.py`` and ``outputs.py``: some damaged
files of each kind, pipes and devices in their place, bad corpora, and odd places for results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, reads /proc and makes devices and pipes")


@pytest.mark.parametrize(
    "script",
    [
        ("mutate_files.py", "--each", "2"),
        ("special_files.py", "--short"),
        ("bad_corpora.py", "--short"),
        ("outputs.py", "--short"),
    ],
)
def test_nothing_is_lost(script: tuple[str, ...]) -> None:
    command = [sys.executable, str(Path(__file__).with_name(script[0])), *script[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(" 0 lost"), done.stdout

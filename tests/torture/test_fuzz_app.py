"""The short form of ``fuzz_app.py``: random keys, mouse events, pastes and resizes while a run trains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyte", reason="draws the screen of a failure")
sys.path.insert(0, str(Path(__file__).parent))

from fuzz_app import REMAPPED, THEMES, Setup

from charlstm.config import load_config


def test_keys_and_themes_of_the_random_keys_can_be_configured(tmp_path: Path) -> None:
    for theme in THEMES:
        Setup(theme, REMAPPED).write(tmp_path / "config.toml")  # else a key that clashes would stay as it was
    assert load_config(tmp_path / "config.toml")[1] == ()


@pytest.mark.terminal
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and the terminal at its other end")
def test_the_app_outlives_random_keys() -> None:
    command = [sys.executable, str(Path(__file__).with_name("fuzz_app.py")), "--events", "80", "--seeds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

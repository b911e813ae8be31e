"""The tests leave the user's own folders alone: conftest.py gives each test, and what runs before it, another home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent

WRITERS = """
import subprocess, sys
import pytest
from charlstm import config, paths

def write():
    for folder in (paths.state_dir(), paths.cache_dir(), paths.data_dir(), config.config_path().parent):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "written").write_text("by a test")

@pytest.fixture(scope="session", autouse=True)
def session():
    write()

@pytest.fixture(scope="module", autouse=True)
def module():
    write()

def test_written():
    write()
    program = "from charlstm import paths; paths.state_dir().joinpath('process').write_text('')"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert sorted(path.name for path in paths.state_dir().iterdir()) == ["process", "written"]

def test_next_test_has_another_home():
    assert not list(paths.state_dir().iterdir())
"""


def test_tests_and_their_fixtures_and_processes_write_nothing_into_the_users_own_folders(tmp_path: Path) -> None:
    user, own, writers = tmp_path / "user", tmp_path / "own", tmp_path / "test_writers.py"
    user.mkdir()
    writers.write_text(WRITERS, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment |= {"HOME": str(user), "PYTHONPATH": str(TESTS)}
    environment |= {
        f"CHARLSTM_{name}": str(own / name.lower()) for name in ("CACHE", "CONFIG", "DATA", "STATE", "RUNS")
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "conftest", "-n", "2", str(writers)]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path for path in (*user.rglob("*"), *own.rglob("*")) if path.is_file()] == []

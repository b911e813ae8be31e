from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from charlstm.errors import RunError
from charlstm.runs import lock, system

HOLDER = """
import pathlib, sys
from charlstm.runs import lock
held = lock.take(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_one_writer_and_the_lock_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "novel-quick-1" / "lock"
    path.parent.mkdir()
    assert system.is_locked(path) is False
    child = holder(path)
    try:
        assert system.is_locked(path) is True
        with pytest.raises(RunError, match="Another worker is already on the run novel-quick-1"):
            lock.take(path, patience=0.05)
    finally:
        child.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        child.communicate()
    assert system.is_locked(path) is False
    lock.take(path, patience=0).release()


def test_probing_does_not_make_a_starting_worker_fail(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    over = threading.Event()

    def probe() -> None:
        while not over.is_set():
            system.is_locked(path)

    probes = [threading.Thread(target=probe) for _ in range(2)]
    for each in probes:
        each.start()
    try:
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            lock.take(path).release()
    finally:
        over.set()
        for each in probes:
            each.join()


def test_probes_do_not_see_each_other(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "lock"
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert system.is_locked(path) is False


def test_a_started_program_does_not_inherit_the_lock(tmp_path: Path) -> None:
    held = lock.take(tmp_path / "lock")
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        held.release()
        assert system.is_locked(tmp_path / "lock") is False
    finally:
        child.communicate()


def test_a_file_system_without_locks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    def refuse(self: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    with pytest.raises(RunError, match="has no locks"):
        lock.take(tmp_path / "lock")

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from charlstm import system
from charlstm.errors import RunError
from charlstm.runs import liveness
from faulty_disk import have_no_locks

HOLDER = """
import pathlib, sys
from charlstm.runs import liveness
held = liveness.acquire_lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_lock_has_one_holder_and_is_freed_when_its_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "novel-quick-1" / "lock"
    path.parent.mkdir()
    assert system.is_locked(path) is False
    child = holder(path)
    try:
        assert system.is_locked(path) is True
        with pytest.raises(RunError, match="Another worker is already training the run novel-quick-1"):
            liveness.acquire_lock(path, patience=0.05)
    finally:
        child.kill()
        child.communicate()
    assert system.is_locked(path) is False
    liveness.acquire_lock(path, patience=0).release()


def test_testing_the_lock_does_not_make_a_starting_worker_fail(tmp_path: Path) -> None:
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
            liveness.acquire_lock(path).release()
    finally:
        over.set()
        for each in probes:
            each.join()


def test_processes_that_test_the_lock_do_not_see_each_other(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "lock"
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert system.is_locked(path) is False


def test_started_program_does_not_inherit_the_lock(tmp_path: Path) -> None:
    held = liveness.acquire_lock(tmp_path / "lock")
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        held.release()
        assert system.is_locked(tmp_path / "lock") is False
    finally:
        child.communicate()


def test_problem_of_a_lock_tells_what_was_done(tmp_path: Path) -> None:
    place = tmp_path / "disk" / "runs"
    folder, other = place / "run", place / "other"
    folder.mkdir(parents=True)
    (folder / "run.json").touch()
    held = liveness.acquire_lock(folder / "lock")
    assert held.problem() == ""
    lock, aside = folder / "lock", folder / "aside"
    lock.rename(aside)
    assert "`lock` was removed" in held.problem()
    lock.touch()
    assert "`lock` was removed" in held.problem()
    aside.replace(lock)
    assert held.problem() == ""
    folder.rename(other)
    assert "moved" in held.problem()
    folder.mkdir()
    assert "moved" in held.problem()
    folder.rmdir()
    place.rename(tmp_path / "disk" / "old")  # and a folder above it
    assert "moved" in held.problem()
    shutil.rmtree(tmp_path / "disk" / "old")
    assert "deleted" in held.problem()
    held.release()


def test_lock_has_no_problem_while_the_disk_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").touch()
    held = liveness.acquire_lock(folder / "lock")
    look = os.stat

    def unmounted(path: Any, **options: Any) -> os.stat_result:
        found = look(path, **options)
        if isinstance(path, Path) and path == folder:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:10])) if path == tmp_path else found

    def unreachable(path: Any, **options: Any) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    for what in (unmounted, unreachable):
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", what)
            assert held.problem() == ""
    held.release()


def test_acquire_lock_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(RunError, match="link to another file"):
        liveness.acquire_lock(tmp_path / "lock")
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_acquire_lock_creates_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="any more"):
        liveness.acquire_lock(tmp_path / "gone" / "lock")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_acquire_lock_on_a_file_system_without_locks_is_one_sentence(
    answer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_no_locks(monkeypatch, answer)
    with pytest.raises(RunError, match="has no locks"):
        liveness.acquire_lock(tmp_path / "lock")

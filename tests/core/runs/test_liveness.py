from __future__ import annotations

import errno
import shutil
import threading
from pathlib import Path

import pytest

from charlstm import system
from charlstm.errors import RunError
from charlstm.runs import liveness
from faulty_disk import have_no_locks


def test_lock_has_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "novel-quick-1" / "lock"
    path.parent.mkdir()
    assert system.is_locked(path) is False
    held = liveness.acquire_lock(path)
    assert system.is_locked(path) is True
    with pytest.raises(RunError, match="Another worker is already training the run novel-quick-1"):
        liveness.acquire_lock(path, patience=0.05)
    held.release()
    assert system.is_locked(path) is False


def test_processes_that_test_the_lock_neither_see_each_other_nor_make_a_starting_worker_fail(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "lock"
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert system.is_locked(path) is False
        looked = threading.Timer(0.1, file.close)
        looked.start()
        liveness.acquire_lock(path).release()  # a worker that starts waits until it has been looked at
        looked.join()


def test_problem_of_a_lock_tells_what_was_done(tmp_path: Path) -> None:
    place = tmp_path / "disk" / "runs"
    folder, other = place / "run", place / "other"
    folder.mkdir(parents=True)
    (folder / "run.json").touch()
    held = liveness.acquire_lock(folder / "lock")
    assert held.problem() == ""
    lock, aside = folder / "lock", folder / "aside"
    lock.rename(aside)
    lock.touch()  # another one
    assert "`lock` was removed" in held.problem()
    aside.replace(lock)
    folder.rename(other)
    folder.mkdir()  # another one
    assert "moved" in held.problem()
    folder.rmdir()
    place.rename(tmp_path / "disk" / "old")  # and a folder above it
    assert "moved" in held.problem()
    shutil.rmtree(tmp_path / "disk" / "old")
    assert "deleted" in held.problem()
    held.release()


def test_lock_and_heartbeat_follow_no_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("precious")
    for name in ("lock", "heartbeat"):
        (tmp_path / name).symlink_to(mine)
    with pytest.raises(RunError, match="symbolic link"):
        liveness.acquire_lock(tmp_path / "lock")
    liveness.write_heartbeat(tmp_path / "heartbeat", liveness.HeartbeatRecord(state="starting", read_by="é" * 900))
    assert mine.read_text() == "precious"


def test_acquire_lock_creates_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="any more"):
        liveness.acquire_lock(tmp_path / "gone" / "lock")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, 45])
def test_acquire_lock_on_a_file_system_without_locks_is_one_sentence(
    answer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errno, "ENOTSUP", 45)  # as on macOS, where EOPNOTSUPP is another number
    have_no_locks(monkeypatch, answer)
    with pytest.raises(RunError, match="has no locks"):
        liveness.acquire_lock(tmp_path / "lock")

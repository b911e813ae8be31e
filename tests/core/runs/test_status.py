"""What is known of a run: by its heartbeat, its lock, its log and the load of the machine."""

import errno
import math
import os
import shutil
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charlstm import system
from charlstm.errors import RunError
from charlstm.runs import liveness
from charlstm.runs.contention import ContentionMeter, probe_slowdown, slowdown_words
from charlstm.runs.liveness import FRESH_SECONDS, HEARTBEAT_BYTES, Heartbeat, HeartbeatRecord
from charlstm.runs.status import STATES, WORKER_LINE, ago, last_words, read_status
from charlstm.system import MachineTimes, ProcessorTimes
from faulty_disk import FaultyDisk, have_no_locks, use_disk
from recorded_run import LIVE, record
from waiting import wait_until

STARTING = HeartbeatRecord(state="starting")


def say(folder: Path, **changes: object) -> HeartbeatRecord:
    beat = replace(HeartbeatRecord(state="running", step=7, planned_steps=10), **changes)
    liveness.write_heartbeat(folder / "heartbeat", beat)
    return beat


def heard(folder: Path) -> HeartbeatRecord:
    beat = liveness.read_heartbeat(folder / "heartbeat")
    assert beat is not None
    return beat


@pytest.mark.parametrize("message", ["", "reading 60% of caf\udce9.txt", "x" * 3000, "é\n" * 3000, '"' * 3000])
def test_heartbeat_has_one_size_and_is_read_back(tmp_path: Path, message: str) -> None:
    beat = say(tmp_path, message=message, host="here")
    assert (tmp_path / "heartbeat").stat().st_size == HEARTBEAT_BYTES
    assert message.startswith(heard(tmp_path).message.removesuffix("…"))
    assert replace(heard(tmp_path), message=message) == beat


def test_heartbeat_is_rewritten_in_place_and_state_changes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    (tmp_path / "run.json").touch()
    with Heartbeat(path, STARTING, interval=0.01) as heart:
        inode = path.stat().st_ino
        heart.update(state="running", step=3)
        now = heard(tmp_path)
        assert (now.state, now.step, now.pid, now.memory is not None) == ("running", 3, os.getpid(), True)
        wait_until(lambda: heard(tmp_path).time > now.time)
        assert (path.stat().st_ino, path.stat().st_size) == (inode, HEARTBEAT_BYTES)
        heart.update(state="finished")
    assert heard(tmp_path).state == "finished"
    with Heartbeat(path, STARTING) as again:  # a worker that goes on starts from the figures of the one before
        assert (again.record.state, again.record.step) == ("starting", 3)


def test_heartbeat_returns_after_its_folder_was_gone_and_after_disk_errors(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with Heartbeat(folder / "heartbeat", STARTING, interval=30) as heart:
        shutil.rmtree(folder)
        heart.update(state="waiting")
        folder.mkdir()
        heart.update(state="running")
        assert not (folder / "heartbeat").exists()  # it is no run's folder, and may be under way to be deleted
        (folder / "run.json").touch()
        with use_disk(FaultyDisk(0, again=True)):
            heart.update(state="paused")
        assert liveness.read_heartbeat(folder / "heartbeat") is None
        heart.update(state="waiting")
        assert heard(folder).state == "waiting"
        heart.update(message="loading torch")  # *Measuring* was shown a second late
        assert heard(folder).message == "loading torch"


@pytest.mark.parametrize("written", ["5.0", "[]", "null", '"running"', "{}", '{"state": 3}', "{"])
def test_heartbeat_that_is_damaged_is_none(tmp_path: Path, written: str) -> None:
    (tmp_path / "heartbeat").write_text(written)
    assert liveness.read_heartbeat(tmp_path / "heartbeat") is None


@pytest.mark.parametrize("state", STATES)
def test_read_status_of_every_state(tmp_path: Path, state: str) -> None:
    with record(tmp_path, state) as recorded:
        status = recorded.run.status()
        assert (status.state, status.alive, status.elsewhere) == (state, state in LIVE, False)
        if state != "starting":
            assert status.step > 0
            assert status.loss is not None
    if state in LIVE:  # and when its worker vanishes; a new one is given a little time to take the lock
        assert read_status(recorded.run.path, now=time.time() + 180).state == "crashed"


@pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
def test_read_status_without_a_heartbeat_uses_the_log(tmp_path: Path, state: str) -> None:
    """Only some steps have an event of their own; 2,040 was shown of 2,052."""
    run = record(tmp_path, state, steps=403).run
    before = run.status()
    run.heartbeat_path.unlink()
    status = run.status()
    assert (status.state, status.step, status.loss) == (state, 403, pytest.approx(before.loss))
    assert status.train_seconds == pytest.approx((400 if state == "failed" else 403) * 0.05)  # a failure logs no time


@pytest.mark.parametrize(("folder", "says"), [("gone", "its folder was deleted or moved"), (".", "cannot be read")])
def test_status_of_a_run_that_is_gone_or_has_an_unreadable_log_says_so(tmp_path: Path, folder: str, says: str) -> None:
    (tmp_path / "events.jsonl").mkdir()
    status = read_status(tmp_path / folder)
    assert (status.state, status.alive) == ("stopped", False)
    assert says in status.message


ELSEWHERE = {"host": "far away", "boot": "another boot"}


@pytest.mark.parametrize(
    ("changes", "lock", "later", "state", "alive", "words"),
    [
        (ELSEWHERE, "none", 0, "running", True, "on far away"),
        (ELSEWHERE, "none", 3 * 86_400, "running", False, "on far away, no heartbeat for 3 days"),
        ({"host": "its former name"}, "held", 60, "running", True, ""),  # the boot id tells that it is this machine
        ({"host": "its former name"}, "free", 0, "crashed", False, ""),
        ({"boot": "another boot"}, "free", 0, "crashed", False, "restarted"),  # the name still tells after a restart
        ({}, "held", FRESH_SECONDS + 5, "running", True, "has not answered for 15 s"),
        ({}, "free", FRESH_SECONDS + 5, "crashed", False, ""),
        ({}, "none", 0, "running", True, ""),  # its lock was removed, but the process lives
        ({}, "none", FRESH_SECONDS + 1, "crashed", False, ""),
        ({"start": "another start"}, "none", 0, "crashed", False, ""),
        ({"state": "starting"}, "none", 0, "starting", True, ""),  # a new worker gets some time for its first heartbeat
        ({"state": "starting"}, "free", 0, "starting", True, ""),
        ({"state": "starting"}, "none", 60, "starting", True, ""),  # also beside other programs
        ({"state": "starting"}, "none", 180, "crashed", False, ""),
        ({"state": "starting", "pid": 2**31 - 2, "start": "1"}, "none", 0, "crashed", False, ""),
    ],
)
def test_status_by_heartbeat_lock_and_process(
    tmp_path: Path, changes: dict[str, Any], lock: str, later: float, state: str, alive: bool, words: str
) -> None:
    beat = say(tmp_path, **changes)
    if lock == "free":
        (tmp_path / "lock").touch()
    with ExitStack() as stack:
        if lock == "held":
            stack.callback(liveness.acquire_lock(tmp_path / "lock").release)
        status = read_status(tmp_path, now=beat.time + later)
    assert (status.state, status.alive, status.elsewhere) == (state, alive, changes == ELSEWHERE)
    assert words in status.message


def test_crash_message_has_the_last_output(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    (tmp_path / "lock").touch()
    say(tmp_path)
    assert "memory ran out" in read_status(tmp_path).message
    log.write_text(f"{WORKER_LINE}1 —\nan old story\n{WORKER_LINE}2 —\n")
    assert last_words(log) == ""
    log.write_text(f"{WORKER_LINE}1 —\nTraceback\n  File x\nValueError: \x1b[2Jit broke\n\n")
    assert read_status(tmp_path).message == "ValueError: [2Jit broke"
    log.write_text(f"{WORKER_LINE}1 —\nFatal Python error: Aborted\n\nThread 0x0:\n  File x\nExtension modules: y\n")
    assert last_words(log) == "Fatal Python error: Aborted"
    log.write_bytes(b"\xff" * 100_000)
    assert len(last_words(log)) == 300
    log.write_text(f"{WORKER_LINE}1 —\nUserWarning: this is slow\n")
    assert read_status(tmp_path).message.startswith("its worker was killed; ")
    assert read_status(tmp_path).message.endswith("Its last output: UserWarning: this is slow")


def test_worker_that_ends_while_status_is_read_has_not_crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").touch()
    say(tmp_path)

    def end(_: Path) -> bool:
        say(tmp_path, state="finished")
        return False

    monkeypatch.setattr("charlstm.system.is_locked", end)
    assert read_status(tmp_path).state == "finished"


def test_ago_words() -> None:
    assert [ago(seconds) for seconds in (0, 12, 300, 7200, 300_000)] == ["0 s", "12 s", "5 min", "2 h", "3 days"]


# ---- locks


def test_lock_has_one_holder_and_is_in_no_folder_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "novel-quick-1" / "lock"
    with pytest.raises(RunError, match="any more"):
        liveness.acquire_lock(path)
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


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, 45])
def test_lock_where_there_are_none_is_a_sentence(answer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errno, "ENOTSUP", 45)  # as on macOS, where EOPNOTSUPP is another number
    have_no_locks(monkeypatch, answer)
    with pytest.raises(RunError, match="has no locks"):
        liveness.acquire_lock(tmp_path / "lock")


# ---- how much slower training is beside other programs


class Times:
    """Processor times and a clock that a test sets, and a meter that reads them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.running, self.waiting = 0.0, 0.0, 0.0
        patch.setattr(system, "processor_times", lambda: ProcessorTimes(self.running, self.waiting))
        patch.setattr("charlstm.runs.contention.time", SimpleNamespace(monotonic=lambda: self.now))
        self.meter = ContentionMeter()

    def advance(self, seconds: float, running: float, waiting: float) -> float | None:
        """Let time pass; what the meter reads then."""
        self.now += seconds
        self.running += running
        self.waiting += waiting
        return self.meter.read()


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    return Times(monkeypatch)


def test_meter_gives_time_on_and_off_the_processor_as_a_factor(times: Times) -> None:
    assert times.meter.read() is None  # nothing to compare with yet
    assert times.advance(1, 0.001, 0.02) is None  # a pause
    assert times.advance(1, 1.999, 1.98) == pytest.approx(2.0)
    assert times.advance(1, -5.0, -1.0) is None  # a thread has ended
    assert times.meter.read() is None
    assert times.advance(1, 1.0, 0.0) == 1.0


def test_meter_forgets_what_was_before_its_window(times: Times) -> None:
    times.meter.read()
    for _ in range(10):
        times.advance(1, 0.5, 1.5)
    assert [times.advance(1, 2.0, 0.0) for _ in range(12)][-1] == 1.0


def test_meter_knows_the_slowdown_since_its_first_reading(times: Times) -> None:
    assert times.meter.overall() is None
    times.meter.read()
    for _ in range(60):  # half of the work that it would have done alone
        times.advance(1, 0.5, 0.5)
    for _ in range(30):
        times.advance(1, 1.0, 0.0)
    assert times.meter.overall() == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(
    ("niceness", "busy", "nice", "runnable", "expected"),
    [
        (0, 0, 0, 1, 1.0),  # nothing else computes
        (0, 100, 0, 3, 4 / 3),  # half of the cores are busy
        (10, 100, 0, 3, 1.82),  # and their programs go first
        (0, 200, 0, 5, 3.0),  # two threads for each core
        (10, 200, 200, 3, 2.0),  # another run in the background
        (10, 200, 0, 3, 10.3),
    ],
)
def test_probe_estimates_from_two_looks_at_the_machine(
    niceness: int, busy: int, nice: int, runnable: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [MachineTimes(1000, 500, 50, runnable), MachineTimes(1200, 500 + busy, 50 + nice, runnable)]
    monkeypatch.setattr(system, "machine_times", lambda: looks.pop(0))
    monkeypatch.setattr("charlstm.runs.contention.PROBE_SECONDS", 0.0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert probe_slowdown(niceness) == pytest.approx(expected, rel=0.01)


def test_heartbeat_and_status_have_the_slowdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContentionMeter, "read", lambda self: 2.344)
    (tmp_path / "run.json").touch()
    with Heartbeat(tmp_path / "heartbeat", HeartbeatRecord(state="starting"), interval=30) as heartbeat:
        heartbeat.update(state="running")
        status = read_status(tmp_path)
        assert (status.slowdown, status.message) == (2.34, "")
        assert "training is about 2.5 times slower" in status.remark
        heartbeat.update(state="stopped")
    assert read_status(tmp_path).slowdown is None  # a run without a worker has none


def test_slowdown_is_told_in_one_sentence() -> None:
    assert [slowdown_words(each) for each in (None, 1.2, math.nan)] == ["", "", ""]
    assert slowdown_words(2.1) == "The processor has other work too: training is about 2 times slower."
    assert slowdown_words(30.0, "was") == "The processor had other work too: training was many times slower."


@pytest.mark.parametrize(("load", "read", "probed"), [(None, None, 1.0), (0.5, 1.0, 4 / 3), (2.0, 2.0, 3.0)])
def test_load_average_is_taken_where_the_system_tells_no_more(
    load: float | None, read: float | None, probed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("processor_times", None), ("machine_times", None), ("load", load)):
        monkeypatch.setattr(system, name, lambda value=value: value)
    monkeypatch.setattr("charlstm.runs.contention.PROBE_SECONDS", 0.0)
    assert (ContentionMeter().read(), probe_slowdown(0)) == (read, pytest.approx(probed))

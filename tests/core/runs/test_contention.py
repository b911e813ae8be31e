"""How much slower training is while other programs use the processor."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from charlstm import system
from charlstm.runs.contention import ContentionMeter, probe_slowdown, slowdown_words
from charlstm.runs.liveness import Heartbeat, HeartbeatRecord
from charlstm.runs.status import read_status
from charlstm.system import MachineTimes, ProcessorTimes


class Times:
    """Processor times and a clock that a test sets."""

    def __init__(self) -> None:
        self.now, self.running, self.waiting = 0.0, 0.0, 0.0

    def meter(self) -> ContentionMeter:
        return ContentionMeter(lambda: ProcessorTimes(self.running, self.waiting), lambda: self.now)

    def advance(self, seconds: float, running: float, waiting: float) -> None:
        self.now += seconds
        self.running += running
        self.waiting += waiting


def test_meter_gives_time_on_and_off_the_processor_as_a_factor() -> None:
    times = Times()
    meter = times.meter()
    assert meter.read() is None  # nothing to compare with yet
    times.advance(1, 1.0, 1.0)
    assert meter.read() == pytest.approx(2.0)


def test_meter_forgets_what_was_before_its_window() -> None:
    times = Times()
    meter = times.meter()
    meter.read()
    for _ in range(10):
        times.advance(1, 0.5, 1.5)
        meter.read()
    for _ in range(12):
        times.advance(1, 2.0, 0.0)
        found = meter.read()
    assert found == 1.0


def test_meter_says_nothing_during_a_pause() -> None:
    times = Times()
    meter = times.meter()
    meter.read()
    times.advance(1, 0.001, 0.02)
    assert meter.read() is None


def test_meter_starts_again_when_a_thread_has_ended() -> None:
    times = Times()
    meter = times.meter()
    meter.read()
    times.advance(1, -5.0, -1.0)
    assert meter.read() is None
    assert meter.read() is None
    times.advance(1, 1.0, 0.0)
    assert meter.read() == 1.0


def test_meter_knows_the_slowdown_since_its_first_reading() -> None:
    times = Times()
    meter = times.meter()
    assert meter.overall() is None
    meter.read()
    for _ in range(60):  # half of the work that it would have done alone
        times.advance(1, 0.5, 0.5)
        meter.read()
    for _ in range(30):
        times.advance(1, 1.0, 0.0)
        meter.read()
    assert meter.overall() == pytest.approx(1.5, abs=0.1)


def test_meter_takes_the_load_average_where_the_system_does_not_tell_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for load, expected in ((3.0, 3.0), (0.5, 1.0), (None, None)):
        monkeypatch.setattr(system, "load", lambda load=load: load)
        assert ContentionMeter(lambda: None).read() == expected


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


def test_probe_takes_the_load_average_where_there_is_no_proc_stat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "machine_times", lambda: None)
    monkeypatch.setattr("charlstm.runs.contention.PROBE_SECONDS", 0.0)
    for load, expected in ((None, 1.0), (0.5, 4 / 3), (2.0, 3.0)):
        monkeypatch.setattr(system, "load", lambda load=load: load)
        assert probe_slowdown(0) == pytest.approx(expected)


def test_heartbeat_and_status_have_the_slowdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContentionMeter, "read", lambda self: 2.344)
    with Heartbeat(tmp_path / "heartbeat", HeartbeatRecord(state="starting"), interval=30) as heartbeat:
        heartbeat.update(state="running")
        status = read_status(tmp_path)
        assert status.slowdown == 2.34
        assert "training is about 2.5 times slower" in status.remark
        assert status.message == ""
        heartbeat.update(state="stopped")
    assert read_status(tmp_path).slowdown is None  # a run without a worker has none


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/stat")
def test_machine_times_add_up() -> None:
    times = system.machine_times()
    assert times is not None
    assert 0 <= times.nice <= times.busy <= times.total
    assert times.runnable >= 1


def test_slowdown_is_told_in_one_sentence() -> None:
    assert [slowdown_words(each) for each in (None, 1.2, math.nan)] == ["", "", ""]
    assert slowdown_words(2.1) == "The processor has other work too: training is about 2 times slower."
    assert slowdown_words(30.0, "was") == "The processor had other work too: training was many times slower."

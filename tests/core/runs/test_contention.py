"""How much slower training is while other programs use the processor."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from charlstm import system
from charlstm.runs.contention import ContentionMeter, probe_slowdown, slowdown_words
from charlstm.runs.liveness import Heartbeat, HeartbeatRecord
from charlstm.runs.status import read_status
from charlstm.system import MachineTimes, ProcessorTimes


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
        assert status.slowdown == 2.34
        assert "training is about 2.5 times slower" in status.remark
        assert status.message == ""
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
    assert ContentionMeter().read() == read
    assert probe_slowdown(0) == pytest.approx(probed)

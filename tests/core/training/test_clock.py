"""The clock of a run does not count the time in which its process stood still."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from charlstm.training import clock as clock_module
from charlstm.training.clock import Clock
from charlstm.training.progress import Progress


@pytest.mark.parametrize(("seconds", "counts"), [(1.0, 1.0), (29.0, 29.0), (3600.0, 30.0)])
def test_clock_limits_what_a_gap_counts(monkeypatch: pytest.MonkeyPatch, seconds: float, counts: float) -> None:
    """All of a piece of a validation, and of a suspension 10 s and 20 steps of a second."""
    now = [0.0]
    monkeypatch.setattr(clock_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    progress = Progress(work_seconds=7.0, step=50, train_seconds=50.0)
    clock = Clock(progress)
    now[0] += 0.5
    assert clock.count_work() == 7.5
    now[0] += seconds
    assert clock.count_work() == progress.work_seconds == 7.5 + counts
    now[0] += 1000.0
    clock.skip()
    assert clock.count_work() == 7.5 + counts

"""Parts of a job in several threads: their order, what each computes with, and how they end."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from charlstm.generation.stepper import Stepper
from charlstm.insight import side_by_side
from charlstm.insight.context import context
from charlstm.insight.influence import influence
from charlstm.insight.side_by_side import Report, compute
from charlstm.model.file import Model

pytestmark = pytest.mark.numeric


def test_a_part_that_fails_ends_the_others(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cpu_count", lambda: 2)
    ended, begun, end = threading.Event(), threading.Event(), time.monotonic() + 60

    def waits(stepper: Stepper, report: Report) -> None:
        begun.set()
        try:
            while time.monotonic() < end:
                report(0)
            raise AssertionError("it was not ended")
        finally:
            ended.set()

    def fails(stepper: Stepper, report: Report) -> None:
        assert begun.wait(60)
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        compute(Stepper(model), [waits, fails, waits])
    assert ended.is_set()


def test_influence_and_context_are_the_same_in_any_number_of_threads(
    model: Model, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in (1, 2, 3, 4):
        monkeypatch.setattr(side_by_side, "cpu_count", lambda threads=threads: threads)
        told: list[tuple[int, int]] = []
        hidden = influence(model, text, 90, back=70, progress=lambda *done, told=told: told.append(done))
        assert told[-1] == (70, 70)
        assert len(hidden.changes) == 70
        kept = context(model, text, lengths=(1, 5, 20), places=60)
        found.append((hidden.changes, np.array([kept.losses, kept.shuffled]), hidden.loss))
    for changes, losses, nats in found[1:]:
        assert np.allclose(changes, found[0][0], atol=2e-6)
        assert np.allclose(losses, found[0][1], atol=1e-6)
        assert nats == pytest.approx(found[0][2], abs=1e-6)

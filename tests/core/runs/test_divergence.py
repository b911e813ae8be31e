"""The verdict on two recorded runs that diverged: their losses are in ``tests/data/diverging_runs.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charlstm.runs.series import RunSeries
from charlstm.runs.verdict import judge
from charlstm.training.events import Controlled, Finished, Resumed
from recorded_run import started, stepped, validated

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "diverging_runs.json").read_text())
ORDER0 = {"order 0": 3.28}
"""Entropy of the letter frequencies of the text of both runs."""


def series_at_start(name: str) -> RunSeries:
    recorded = RECORDED[name]
    return RunSeries.of([started(planned_steps=recorded["planned_steps"], symbols=recorded["symbols"])])


def test_recorded_run_that_never_learnt_is_diverging_within_ten_seconds_of_its_start() -> None:
    recorded = RECORDED["diverging_from_the_start"]
    series = series_at_start("diverging_from_the_start")
    before = [validated(at, loss, best=best) for at, loss, best, whole, _ in recorded["validations"] if not whole]
    said = []
    for step, loss, _, _, worked in recorded["steps"]:
        while before and before[0].step < step:
            series.feed([before.pop(0)])
        series.feed([stepped(step, loss)])
        said.append((worked, judge(series, references=ORDER0)))
    assert next(worked for worked, verdict in said if verdict.kind == "diverging") < 10
    assert not any(verdict.kind in ("learning", "flattening") for _, verdict in said)
    assert "worse than guessing all characters alike (4.63)" in said[-1][1].text


def test_rising_loss_is_never_called_learning() -> None:
    series = RunSeries.of([started(), validated(0, 4.5)])
    for number in range(1, 40):
        series.feed([stepped(number, 4.0 + number * 0.01)])
        assert judge(series).kind != "learning" or number == 1
    assert judge(series).text == "Not learning: the training loss went from 4.01 to 4.39 nats."
    series.feed([validated(40, 4.6)])
    assert judge(series).kind == "worsening"


def test_loss_that_falls_from_above_guessing_is_learning() -> None:
    """A run from another model may begin above the loss of guessing, because of characters that the model lacks."""
    series = RunSeries.of([started(symbols=98), validated(0, 9.0), *(stepped(n, 9.0 - n * 0.5) for n in range(1, 5))])
    assert judge(series).text == "Learning: training loss 8.50 → 7.00 nats, still above guessing (4.58)."


FALLING = [stepped(step, 4.5 - 0.027 * step) for step in range(1, 101)]


def extended(train: list[float]) -> RunSeries:
    """A run of 100 steps that ended at 1.8 nats and was extended by 100, with these training losses then."""
    series = RunSeries.of([started(symbols=98), validated(0, 4.5), *FALLING, validated(100, 1.8)])
    series.feed([
        validated(100, 1.8, whole=True, best=False),
        Finished(step=100, reason="done", best_val=1.8, best_step=100, train_seconds=50.0, best_whole=True),
        Resumed(step=100, planned_steps=200, changes="max_steps 100 → 200", changed=("max_steps",)),
    ])  # fmt: skip
    for step, loss in enumerate(train, 101):
        series.feed([stepped(step, loss), *[validated(step, loss, best=loss < 1.8)] * (step % 10 == 0)])
    return series


def test_verdict_does_not_blame_the_climb_of_an_extended_run() -> None:
    """The rate climbs in the first tenth of the added steps, so that the loss rises first."""
    climb = [1.8 + 0.05 * number for number in range(10)]
    assert judge(extended(climb[:5])).text == (
        "The learning rate climbs again until step 110, because the run was extended: the loss may rise until then."
    )
    assert judge(extended([*climb, *(2.2 - 0.003 * number for number in range(60))])).kind == "learning"
    assert judge(extended([*climb, *(2.2 + 0.1 * number for number in range(60))])).kind == "diverging"
    assert judge(extended([9.0, 30.0, 70.0])).kind == "diverging"  # worse than guessing is always said


def test_verdict_does_not_blame_the_climb_of_a_run_that_more_lengthened_at_its_last_step() -> None:
    series = RunSeries.of([started(planned_steps=100), *FALLING])
    more = Controlled(step=100, id="a", command="more", value=100.0, minutes=1.0)
    series.feed([more, *(stepped(step, 1.8 + 0.05 * (step - 100)) for step in range(101, 107))])
    assert judge(series).kind == "climbing"


def test_extension_in_vain_is_said_at_the_end_and_is_not_overfitting() -> None:
    series = extended([2.0] * 10 + [2.2 - 0.004 * number for number in range(90)])
    series.feed([Finished(step=200, reason="done", best_val=1.8, best_step=100, train_seconds=100.0, best_whole=True)])
    found = judge(series)
    assert found.overfitted == ""
    assert found.text.endswith("The steps that were added did not improve it.")


@pytest.mark.parametrize("name", list(RECORDED))
def test_end_of_a_recorded_run_says_that_it_diverged(name: str) -> None:
    recorded = RECORDED[name]
    series = series_at_start(name)
    for at, val_loss, best, whole, _ in recorded["validations"][:-1]:
        series.feed([validated(at, val_loss, best=best, whole=whole)])
    series.feed([stepped(step, loss) for step, loss, *_ in recorded["steps"]])
    series.feed([Finished(**recorded["finished"])])
    found = judge(series, references=ORDER0)
    assert found.kind == "finished"
    assert "It diverged: the training loss rose from" in found.text
    assert ("no better than guessing" in found.text) == (name == "diverging_from_the_start")

"""What a run will come to: when it is said, and for which runs."""

from __future__ import annotations

import dataclasses

import pytest

from charlstm.model.file import ModelConfig
from charlstm.runs.folder import RunSpec
from charlstm.runs.prediction import predict
from charlstm.runs.series import RunSeries
from charlstm.training.events import Controlled, Event, Finished, Resumed
from charlstm.training.presets import preset
from recorded_run import started, validated

NOTHING = RunSpec(corpus={"name": "novel"}, settings=preset("quick"), preset="quick")
MODEL = RunSpec(
    corpus={"name": "novel"},
    settings=preset("quick", start_from=ModelConfig(80, 512, 2)),
    preset="quick",
    lineage={"run": "demo"},
)
BEGIN = started(planned_steps=1600, steps_per_epoch=1000)


def log(*more: Event, last: float = 1.8) -> RunSeries:
    return RunSeries.of([BEGIN, validated(0, 4.4), validated(100, 2.1), validated(200, last), *more])


def test_nothing_is_said_in_the_first_tenth_nor_after_the_end_nor_of_a_much_shorter_run() -> None:
    early = RunSeries.of([BEGIN, validated(0, 4.4), validated(100, 2.1)])
    assert predict(early, NOTHING) is None
    assert predict(RunSeries(), NOTHING) is None
    assert predict(log(), NOTHING) is not None
    ended = Finished(step=1600, reason="done", loss=1.4, best_step=1600, train_seconds=50.0)
    assert predict(log(ended), NOTHING) is None
    short = started(planned_steps=400, steps_per_epoch=1000)
    assert predict(RunSeries.of([short, validated(0, 4.4), validated(200, 1.8)]), NOTHING) is None


def test_loss_will_fall_and_the_range_gets_narrower() -> None:
    early = predict(log(), NOTHING)
    late = predict(log(*(validated(step, 1.9 - step / 3200) for step in range(300, 1500, 100))), NOTHING)
    assert early.low < early.loss < early.high < 1.8
    assert 1.2 < late.low < late.high < 1.5
    assert late.high / late.low < early.high / early.low


def test_from_a_model_little_will_change_unless_it_knew_little() -> None:
    found = predict(RunSeries.of([BEGIN, validated(0, 1.25), validated(200, 1.16)]), MODEL)
    assert 1.0 < found.low < found.loss < found.high < 1.25
    assert predict(RunSeries.of([BEGIN, validated(0, 1.7), validated(200, 1.47)]), MODEL) is None


@pytest.mark.parametrize(
    "spec",
    [
        dataclasses.replace(NOTHING, preset="standard"),
        dataclasses.replace(NOTHING, settings=NOTHING.settings.with_changes(hidden_size=64)),
        dataclasses.replace(NOTHING, lineage={"run": "demo"}),
        dataclasses.replace(MODEL, lineage={"run": "novel-quick-1"}),
    ],
)
def test_nothing_is_said_of_runs_unlike_those_that_the_rule_was_fitted_to(spec: RunSpec) -> None:
    assert predict(log(), spec) is None


@pytest.mark.parametrize(
    "event",
    [
        Controlled(step=150, id="1", command="set-lr", value=1e-3),
        Controlled(step=150, id="1", command="finish", value=100.0),
        Controlled(step=150, id="1", command="more", value=2000.0, minutes=1.0),
        Resumed(step=200, changes="dropout: 0 → 0.5", changed=("dropout",)),
    ],
)
def test_nothing_is_said_of_a_run_that_was_changed_on_its_way(event: Event) -> None:
    assert predict(log(event), NOTHING) is None


def test_setting_that_does_not_matter_for_the_loss_is_free() -> None:
    own = dataclasses.replace(NOTHING, settings=NOTHING.settings.with_changes(seed=5, threads=1, max_minutes=2.0))
    assert predict(log(), own) is not None


def test_loss_that_is_not_a_number_is_left_out() -> None:
    assert predict(log(validated(300, float("nan"))), NOTHING) == predict(log(), NOTHING)

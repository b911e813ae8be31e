"""Runs side by side: what differs, the chart and the table of losses."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.fields import plain
from charlstm.runs.comparison import (
    AXES,
    Axis,
    ComparedRun,
    SettingAxis,
    compared_facts,
    comparison_chart,
    comparison_csv,
    differences,
    read_run,
    run_curves,
)
from charlstm.runs.folder import Run
from charlstm.runs.log import EventLog
from charlstm.svg import ChartCurve, line_chart, ticks
from charlstm.training.events import Controlled, Event, Resumed
from charlstm.training.settings import Settings
from recorded_run import record, stepped
from small_training import make_plan


def test_only_what_differs_is_listed(tmp_path: Path) -> None:
    first, second = (record(tmp_path, "finished", name=name, steps=400).run for name in ("one", "two"))
    assert differences([read_run(first), read_run(second)]) == []
    changed = Settings(hidden_size=256, epochs=5, lr=0.5)
    third = record(tmp_path, "finished", name="three", steps=400, settings=changed).run
    found = differences([read_run(first), read_run(third)])
    assert [(each.name, each.values[1]) for each in found] == [("lr", 0.5)]


def test_texts_of_one_name_that_are_not_the_same_differ(tmp_path: Path) -> None:
    runs = [read_run(record(tmp_path, "finished", name=name, steps=10).run) for name in ("one", "two")]
    texts = ({"fingerprint": "a", "validation": {"name": "other.txt"}}, {"fingerprint": "b"})
    compared = [
        replace(each, spec=replace(each.spec, corpus=dict(each.spec.corpus) | text))
        for each, text in zip(runs, texts, strict=True)
    ]
    found = {each.name: each.values for each in differences(compared)}
    assert found == {"fingerprint of the text": ("a", "b"), "validated on": ("other.txt", None)}


def test_epochs_of_a_run_that_has_gone_back_are_those_of_its_steps(tmp_path: Path) -> None:
    recorded = record(tmp_path, "stopped", name="one", steps=30)
    log = EventLog(recorded.run.events_path)
    log.append(Resumed(step=25))
    log.close()
    assert run_curves(read_run(recorded.run), "epochs").raw.x[-1] > 0


def compared_with(folder: Path, *events: Event) -> tuple[list[str], list[float]]:
    """What a run of 30 steps with these events was changed to on the way, and the steps at which its rate was."""
    recorded = record(folder, "stopped", name="one", steps=30)
    log = EventLog(recorded.run.events_path)
    for event in events:
        log.append(event)
    log.close()
    compared = read_run(recorded.run)
    (words,) = (each.values[0] for each in compared_facts([compared]) if each.name == "changed on the way")
    rates = [mark.x for mark in run_curves(compared, "step").marks if mark.kind == "rate"]
    return (str(words).split("; ") if words else []), rates


def rate(step: int, value: float = 0.1) -> Controlled:
    return Controlled(step=step, id=f"rate {value}", command="set-lr", value=value)


def changed_rate(step: int) -> Resumed:
    return Resumed(step=step, changes="lr 0.1 → 0.2", changed=("lr",))


def test_command_that_was_in_effect_until_a_resume_changed_the_rate_is_compared(tmp_path: Path) -> None:
    words, rates = compared_with(tmp_path, rate(10), changed_rate(25))
    assert (words, rates) == (["step 10: set-lr 0.1", "step 25: lr 0.1 → 0.2"], [10.0, 25.0])


def test_what_a_resume_from_an_earlier_step_has_undone_is_not_compared(tmp_path: Path) -> None:
    assert compared_with(tmp_path, rate(25), changed_rate(28), Resumed(step=20)) == ([], [])
    words, rates = compared_with(tmp_path / "again", changed_rate(20), changed_rate(20))
    assert (words, rates) == (["step 20: lr 0.1 → 0.2"], [20.0])


def rows_of(runs: list[ComparedRun]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(comparison_csv(runs))))


@pytest.mark.parametrize("axis", list(AXES))
def test_curves_go_over_every_axis(tmp_path: Path, axis: Axis) -> None:
    run = read_run(record(tmp_path, "finished", name="one", steps=400).run)
    found = run_curves(run, axis)
    assert len(found.validation.x) == len(found.validation.y) > 1
    assert (np.diff(found.train.x) > 0).all()


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "plain"])
def test_names_that_a_spreadsheet_would_compute_are_marked_as_text(tmp_path: Path, name: str) -> None:
    run = record(tmp_path, "finished", name="one", steps=100).run
    named = Run(run.path.rename(run.path.with_name(name)))
    assert {row["run"] for row in rows_of([read_run(named)])} == {name if name == "plain" else f"'{name}"}


def test_the_chart_is_svg_with_a_legend_and_the_table_has_every_loss(tmp_path: Path) -> None:
    runs = [read_run(record(tmp_path, "finished", name=name, steps=400).run) for name in ("one", "two & b")]
    root = ET.fromstring(comparison_chart(runs, "epochs"))
    texts = [element.text for element in root.iter() if element.text]
    assert "one" in texts
    assert "two & b" in texts
    rows = rows_of(runs)
    assert {row["run"] for row in rows} == {"one", "two & b"}
    logged = [float(row["loss"]) for row in rows if (row["run"], row["curve"]) == ("one", "validation")]
    assert logged == runs[0].series.points("validation").y.tolist()
    [last] = [row for row in rows if (row["run"], row["curve"]) == ("one", "final")]
    finished = runs[0].series.finished
    assert finished is not None
    assert (int(last["step"]), float(last["loss"])) == (finished.best_step, finished.best_val)


def test_gaps_break_a_line_and_too_few_points_draw_nothing() -> None:
    x = np.arange(6.0)
    chart = line_chart([ChartCurve("a", x, np.array([1, 2, np.nan, 3, 4, 5.0]))], "x", "y")
    assert chart.count("<polyline") == 2
    heights = [float(y) for y in re.findall(r"[\d.]+,([\d.]+)", " ".join(re.findall(r'points="([^"]+)"', chart)))]
    assert heights == sorted(heights, reverse=True), "larger values stand higher"
    assert 10 <= heights[-1] < heights[0] < 1000
    assert line_chart([ChartCurve("a", x[:1], x[:1])], "x", "y") == ""
    lengths = np.array([2.0, 30, 300])
    dots = ChartCurve("b", x[:1], x[:1], dots=True)
    assert line_chart([dots], "x", "y") == ""
    assert line_chart([ChartCurve("a", x, x), dots], "x", "y").count("<circle") == 2
    assert ">y, by x</text>" in line_chart([ChartCurve("a", x, x)], "x", "y"), "one sentence, not two halves"
    chart = line_chart([ChartCurve("a", lengths, lengths)], "x", "y", log_x=True)
    assert [name for name in ("1", "3", "10", "30", "100", "300") if f">{name}</text>" in chart] == [
        "3", "10", "30", "100", "300",
    ]  # fmt: skip


def test_ticks_are_round_numbers_within_the_range() -> None:
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(1.03, 1.28, 5) == [1.05, 1.1, 1.15, 1.2, 1.25]
    assert ticks(2, 2, 5) == [2]


def test_values_of_a_setting_that_are_not_all_numbers_are_all_labelled() -> None:
    axis = SettingAxis.of("clip", [None, *range(1, 8)])
    assert [label for _, label in axis.ticks()] == ["1", "2", "3", "4", "5", "6", "7", "none"]
    assert len(SettingAxis.of("clip", range(1, 8)).ticks()) == 4


def test_characters_are_those_of_the_batch_that_was_planned(tmp_path: Path) -> None:
    """A small text gets fewer rows, then shorter ones, than the settings say: 6,750 characters were 28,800."""
    run = record(tmp_path, "finished", name="one", steps=400).run
    spec = run.spec()
    settings = spec.settings
    assert spec.batch == (settings.batch_size, settings.seq_length)
    run.write_spec(replace(spec, plan=plain(make_plan(batch_size=3, seq_length=10))))
    compared = read_run(run)
    assert compared.spec.batch == (3, 10)
    steps = run_curves(compared, "step").train.x
    assert run_curves(compared, "characters").train.x.tolist() == (30 * steps).tolist()
    assert {int(row["characters"]) / int(row["step"]) for row in rows_of([compared]) if int(row["step"])} == {30}


def test_commands_are_compared_by_what_they_were_given(tmp_path: Path) -> None:
    more = Controlled(step=10, id="x", command="more", value=964, minutes=2.5)
    finish = Controlled(step=20, id="y", command="finish", value=138)
    assert compared_with(tmp_path, more, finish)[0] == ["step 10: more 2.5", "step 20: finish"]


def test_command_that_a_resume_repeats_is_compared_once(tmp_path: Path) -> None:
    for step in (20, 25):
        found = compared_with(tmp_path / str(step), rate(25), Resumed(step=step), rate(25), stepped(30))
        assert found == (["step 25: set-lr 0.1"], [25.0])

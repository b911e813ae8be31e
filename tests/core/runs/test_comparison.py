"""Runs side by side: what differs, the chart and the table of losses."""

import csv
import io
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.fields import plain
from charlstm.runs import comparison
from charlstm.runs.comparison import SettingAxis, differences, read_run, run_curves, setting_chart
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
    assert [(each.name, each.values[1]) for each in differences([read_run(first), read_run(third)])] == [("lr", 0.5)]


def test_texts_of_one_name_that_are_not_the_same_differ(tmp_path: Path) -> None:
    runs = [record(tmp_path, name=name, steps=10).run for name in ("one", "two")]
    texts = ({"fingerprint": "a", "validation": {"name": "other.txt"}}, {"fingerprint": "b"})
    for run, text in zip(runs, texts, strict=True):
        run.write_spec(replace(run.spec(), corpus={**run.spec().corpus, **text}))
    found = {each.name: each.values for each in differences([*map(read_run, runs)])}
    assert found == {"fingerprint of the text": ("a", "b"), "validated on": ("other.txt", None)}


def test_epochs_of_a_run_that_has_gone_back_are_those_of_its_steps(tmp_path: Path) -> None:
    recorded = record(tmp_path, "stopped", name="one", steps=30)
    recorded.append(Resumed(step=25))
    assert run_curves(read_run(recorded.run), "epochs").raw.x[-1] > 0


def rate(step: int, value: float = 0.1) -> Controlled:
    return Controlled(step=step, id=f"rate {value}", command="set-lr", value=value)


def changed_rate(step: int) -> Resumed:
    return Resumed(step=step, changes="lr 0.1 → 0.2", changed=("lr",))


MORE = Controlled(step=10, id="x", command="more", value=964, minutes=2.5)
FINISH = Controlled(step=20, id="y", command="finish", value=138)


@pytest.mark.parametrize(
    ("events", "words", "rates"),
    [
        ((rate(10), changed_rate(25)), "step 10: set-lr 0.1; step 25: lr 0.1 → 0.2", [10, 25]),
        ((rate(25), changed_rate(28), Resumed(step=20)), "", []),
        ((changed_rate(20), changed_rate(20)), "step 20: lr 0.1 → 0.2", [20]),
        ((rate(25), Resumed(step=20), rate(25), stepped(30)), "step 25: set-lr 0.1", [25]),
        ((rate(25), Resumed(step=25), rate(25), stepped(30)), "step 25: set-lr 0.1", [25]),
        ((MORE, FINISH), "step 10: more 2.5; step 20: finish", []),
    ],
)
def test_changes_on_the_way_are_compared_once_unless_a_resume_has_undone_them(
    tmp_path: Path, events: tuple[Event, ...], words: str, rates: list[float]
) -> None:
    recorded = record(tmp_path, "stopped", name="one", steps=30)
    recorded.append(*events)
    compared = read_run(recorded.run)
    [said] = [each.values for each in comparison.compared_facts([compared]) if each.name == "changed on the way"]
    assert said == (words,)
    assert [mark.x for mark in run_curves(compared, "step").marks if mark.kind == "rate"] == rates


def rows_of(runs: list[comparison.ComparedRun]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(comparison.comparison_csv(runs))))


def test_the_chart_is_svg_with_a_legend_and_the_table_has_every_loss(tmp_path: Path) -> None:
    """A spreadsheet would compute a name that begins with a sign."""
    names = ["one", "=two & b", "+three", "@four"]
    runs = [read_run(record(tmp_path, "finished", name=name, steps=400).run) for name in names]
    assert {*names} <= {element.text for element in ET.fromstring(comparison.comparison_chart(runs, "epochs")).iter()}
    rows = rows_of(runs)
    assert {row["run"] for row in rows} == {"one", "'=two & b", "'+three", "'@four"}
    [end] = [row for row in rows if (row["run"], row["curve"], row["step"]) == ("one", "train", "400")]
    assert (end["epochs"], end["characters"], end["seconds"]) == ("2", str(400 * 32 * 64), "20.000")
    logged = [float(row["loss"]) for row in rows if (row["run"], row["curve"]) == ("one", "validation")]
    assert logged == runs[0].series.points("validation").y.tolist()
    [last] = [row for row in rows if (row["run"], row["curve"]) == ("one", "final")]
    finished = runs[0].series.finished
    assert (int(last["step"]), float(last["loss"])) == (finished.best_step, finished.loss)


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
    assert [f">{name}</text>" in chart for name in (1, 3, 10, 30, 100, 300)] == [False, *[True] * 5]


def test_ticks_are_round_numbers_within_the_range() -> None:
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(1.03, 1.28, 5) == [1.05, 1.1, 1.15, 1.2, 1.25]
    assert ticks(2, 2, 5) == [2]


def test_chart_over_a_setting_has_a_dot_for_each_run_and_a_line_through_the_lowest() -> None:
    rates, words = (1e-3, 1e-3, 3e-3, 1e-2, 1e-2), ("linear", "cosine", "linear", "cosine", "linear")
    settings = [{"lr": rate, "schedule": word} for rate, word in zip(rates, words, strict=True)]
    runs = list(zip(settings, (2.0, 2.1, 1.8, 1.9, math.inf), strict=True))
    for name, labels in (("lr", {"0.001", "0.003", "0.01"}), ("schedule", {"linear", "cosine"})):
        root = ET.fromstring(setting_chart(name, runs))
        assert labels <= {element.text for element in root.iter()}
        assert sum(element.tag.endswith("circle") for element in root.iter()) == 4 + 1  # and one in the legend
    assert setting_chart("lr", runs[:2]) == ""
    assert setting_chart("lr", [({"lr": 1e-4 * 1.3**number}, 2.0) for number in range(20)]).count("<circle") == 21


def test_values_of_a_setting_that_are_not_all_numbers_are_all_labelled() -> None:
    axis = SettingAxis.of("clip", [None, *range(1, 8)])
    assert [label for _, label in axis.ticks()] == ["1", "2", "3", "4", "5", "6", "7", "none"]
    assert len(SettingAxis.of("clip", range(1, 8)).ticks()) == 4


def test_characters_are_those_of_the_batch_that_was_planned(tmp_path: Path) -> None:
    """A small text gets fewer rows, then shorter ones, than the settings say: 6,750 characters were 28,800."""
    run = record(tmp_path, "finished", name="one", steps=400).run
    spec = run.spec()
    assert spec.batch == (spec.settings.batch_size, spec.settings.seq_length)
    run.write_spec(replace(spec, plan=plain(make_plan(batch_size=3, seq_length=10))))
    compared = read_run(run)
    assert compared.spec.batch == (3, 10)
    assert run_curves(compared, "characters").train.x.tolist() == (30 * run_curves(compared, "step").train.x).tolist()
    assert {int(row["characters"]) / int(row["step"]) for row in rows_of([compared]) if int(row["step"])} == {30}

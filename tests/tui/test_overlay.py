"""The curves of several runs on one chart: what is drawn, what keys and mouse do, and what is saved."""

import csv
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from charlstm.runs.comparison import SMOOTHING
from charlstm.runs.folder import RunFolder
from charlstm.runs.series import Curve
from charlstm.training.events import Controlled
from charlstm.training.settings import Settings
from charlstm_tui.background import in_thread
from charlstm_tui.chart_file import write_chart_of
from charlstm_tui.runs import run_details
from charlstm_tui.runs.overlay import OverlayPane
from charlstm_tui.runs.run_details import RunDetails, read_details
from charlstm_tui.runs.table_view import TableView
from charlstm_tui.widgets.chart_painting import RUN_COLOURS, ChartData, ChartRun, ChartView, paint
from driven_app import Driven, driven
from recorded_run import Recorded, record, val_loss


@pytest.fixture
def runs(places: Path) -> list[Recorded]:
    """Two finished runs; the rate of the first was changed."""
    one = record(places, "finished", name="one", text="novel.txt", steps=400)
    one.append(Controlled(step=200, id="rate", command="set-lr", value=1e-3))
    return [one, record(places, "finished", name="two", text="anna.txt", overfits=True)]


def falling(number: int, points: int = 200) -> ChartRun:
    x = np.arange(1.0, points + 1)
    y = 1.2 + 0.2 * number + 3 * np.exp(-x / 40)
    validation = Curve(x[9::10], y[9::10] + 0.1)
    return ChartRun("abcdefghijkl"[number], number, validation, Curve(x, y), Curve(x, y + 0.1 * np.sin(3 * x)))


def test_runs_are_told_apart_by_letter_and_colour() -> None:
    painted = paint(ChartData(runs=tuple(falling(number) for number in range(12))), ChartView(), 120, 36)
    text = painted.text()
    assert all(letter in text for letter in "abcdefghijkl")
    roles = {role for row in range(36) for _, role in painted.runs(row)}
    assert {f"run-{number}" for number in range(RUN_COLOURS)} <= roles
    assert {f"run-train-{number}" for number in range(RUN_COLOURS)} & roles


def test_marks_are_on_the_line_of_the_run() -> None:
    """A mark stood a row below a line that is near the border of two rows."""
    x = np.arange(1.0, 101.0)
    for loss in np.linspace(1.1, 3.9, 40):
        flat = Curve(x, np.full(100, loss))
        run = ChartRun("a", 0, flat, best=(50.0, float(loss)))
        scale = ChartRun("b", 1, Curve(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
        rows = paint(ChartData(runs=(scale, run)), ChartView(), 61, 33).text().splitlines()
        assert sum("a" in row.partition("│")[2] or "◆" in row for row in rows) == 1, loss


def test_curves_that_run_together_each_keep_a_letter() -> None:
    same = falling(0)
    runs = tuple(ChartRun(letter, number, same.validation) for number, letter in enumerate("abcd"))
    assert all(letter in paint(ChartData(runs=runs), ChartView(), 80, 20).text() for letter in "abcd")


def test_a_cursor_is_behind_the_curves_and_its_column_can_be_found_again() -> None:
    painted = paint(ChartData(runs=(falling(0),)), ChartView(), 80, 20)
    column = painted.column_of(100.0)
    place = painted.x_at(column)
    assert abs(place - 100) < 3
    pointed = painted.with_cursor(100.0)
    assert (pointed.roles != painted.roles).sum() > 5
    letters = painted.roles == painted.roles.max()
    assert (pointed.codes[letters] == painted.codes[letters]).all()


async def overlaid(app: Driven, *names: str) -> OverlayPane:
    """Mark all runs and show their curves."""
    names = names or ("one", "two")
    await app.go("runs")
    await app.shows(*names)
    await app.press("a", "v", shows=(f"{len(names)} runs over steps", "last values"))
    return app.mode.query_one(OverlayPane)


async def test_v_draws_marked_runs_and_d_compares_what_is_drawn(runs: list[Recorded], places: Path) -> None:
    """After ``o`` in Train it compared what was marked in the table, or asked for marks."""
    third = record(places, "finished", name="three")
    async with driven(places) as app:
        pane = await overlaid(app, "one", "three", "two")
        assert [run.letter for run in pane.chart.data.runs] == ["a", "b", "c"]
        values = pane.query_one("#overlay-list")
        assert values.region.y >= pane.chart.region.bottom
        await app.resize(200, 60)
        await app.until(lambda: values.region.x >= pane.chart.region.right)
        await app.enter("ctrl+s", "runs.csv", shows="Saved")
        await app.press("escape", until=lambda: not pane.display and app.mode.query_one("#runs-list").display)
        await app.mode.show_curves((runs[0].run.path, runs[1].run.path))
        await app.press("d", shows="2 MARKED: what differs")
        assert third.run.path not in app.mode.table.marked
    assert {row["run"] for row in csv.DictReader(Path("runs.csv").read_text().splitlines())} == {"one", "two", "three"}


async def test_keys_and_mouse_change_what_the_curves_are_drawn_over(runs: list[Recorded], places: Path) -> None:
    async with driven(places, (120, 36)) as app:
        pane = await overlaid(app)
        await app.until(lambda: re.search(r"\bone +[\d~]", app.text()) is not None)
        [line] = [line for line in app.text().splitlines() if re.search(r"\bone +[\d~]", line)]
        _, validation, best = line.split()[-3:]
        assert (validation, best) == (f"~{val_loss(400):.3f}", f"{val_loss(400):.3f}")  # the best loss is exact
        bold = [pane.chart.part_style(name).bold for name in ("run-0", "run-train-0", "run-raw-0")]
        assert bold == [True, None, None]
        assert not pane.chart.render_line(pane.chart.size.height).text.strip()  # as it grows, before it is told so

        await app.press("left", "shift+left", shows="at step")
        first = pane.chart.cursor
        await app.press("left", until=lambda: pane.chart.cursor != first)
        assert await app.pilot.hover("#overlay-chart", offset=(20, 5))
        await app.until(lambda: pane.chart.cursor is not None and first is not None and pane.chart.cursor < first / 2)
        await app.press("escape", shows="last values")
        await app.press("down", until=lambda: pane.selected == 0)
        assert pane.chart.data.runs[-1].letter == "a"
        assert not len(pane.chart.data.runs[0].train)
        await app.press("escape", until=lambda: pane.selected is None)

        for key, words in (
            ("o", "over epochs"), ("o", "over characters"), ("o", "over time"), ("o", "over steps"),
            ("b", "with raw losses"), ("S", "smoothing: strong"), ("g", "log scale: loss"), ("plus", "last 1/2"),
        ):  # fmt: skip
            await app.press(key, shows=words)
        assert all(run.raw is not None for run in pane.chart.data.runs)
        assert any(mark[2] == "↕" for run in pane.chart.data.runs for mark in run.marks)
        await app.shows("rate changed")
        await app.press("escape")
        await app.until(lambda: app.mode.view.id == "runs-list" and app.mode.focused is app.mode.query_one("#runs"))


def test_a_chart_is_saved_with_the_smoothing_asked_for_or_the_usual_one(runs: list[Recorded], places: Path) -> None:
    for name, weight in (("usual", None), ("same", SMOOTHING), ("none", 0.0)):
        write_chart_of(places / f"{name}.svg", [runs[0].run.path], smoothing=weight)
    usual, same, none = ((places / f"{name}.svg").read_text("utf-8") for name in ("usual", "same", "none"))
    assert usual == same != none


async def test_runs_are_drawn_over_a_setting_in_which_they_differ(places: Path, tmp_path: Path) -> None:
    for name, rate, kind in (("a", 1e-3, "linear"), ("b", 4e-3, "cosine"), ("c", 3e-2, "linear")):
        settings = Settings(lr=rate, schedule=kind, max_steps=200, seed=3)
        record(places, "stopped" if name == "c" else "finished", name=f"s-{name}", steps=200, settings=settings)
    async with driven(places, (120, 36)) as app:
        pane = await overlaid(app, "s-a", "s-b", "s-c")
        for _ in range(4):
            await app.press("o")
        await app.shows("over lr", "log scale: x", "0.004 · s-b")
        assert [run.validation.x.tolist() for run in pane.chart.data.runs] == [[0.03], [0.004], [0.001]]
        assert pane.chart.data.train.x.tolist() == [0.001, 0.004]  # the third is not finished
        await app.press("left")
        assert pane.chart.cursor is None
        await in_thread(lambda check: pane.write(tmp_path / "lr.svg"))
        assert "0.004" in (tmp_path / "lr.svg").read_text(encoding="utf-8")
        await app.press("o", shows="schedule: 0 cosine, 1 linear")
        await app.press("o", shows="over steps")
        assert not pane.chart.view.log_x


async def test_legend_has_the_only_setting_that_differs_and_marks_the_best_run(places: Path) -> None:
    for name, size, steps in (("small", 64, 200), ("large", 256, 400)):
        record(places, name=name, steps=steps, settings=Settings(hidden_size=size, max_steps=500))
    async with driven(places, (120, 36)) as app:
        await overlaid(app, "small", "large")
        text = await app.shows("hidden_size · last values", "64 · small", "◂ the lowest best loss")
        assert re.search(r"256 · large .* [.\d]+ ◂", text)


async def test_curves_appear_once_read(runs: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of more marked runs than there are letters no log is read."""
    gates, read = (threading.Event(), threading.Event()), []

    def waiting(run: RunFolder, known: RunDetails | None = None) -> RunDetails:
        gates[len(read)].wait(30)
        read.append(run.name)
        return read_details(run, known)

    monkeypatch.setattr(run_details, "read_details", waiting)
    monkeypatch.setattr(OverlayPane, "MOST_RUNS", 2)
    monkeypatch.setattr(TableView, "READ_AFTER", 3600.0)
    monkeypatch.setattr(OverlayPane, "SHOW_READ_EVERY", 0.0)
    record(places, name="three")
    async with driven(places, (120, 36)) as app:
        await app.go("runs")
        await app.shows("one", "two", "three")
        await app.press("a", "v", shows="Reading the logs …")
        gates[0].set()
        await app.shows("the first 1 run of 3 over steps", "reading 1 more")
        gates[1].set()
        await app.shows("the first 2 runs of 3 over steps")
        await app.lacks("reading")
        assert len(read) == 2


async def test_a_run_that_cannot_be_read_has_no_curves_which_is_said(places: Path) -> None:
    record(places, name="one").run.spec_path.write_text("{")
    async with driven(places) as app:
        await app.go("runs")
        await app.shows("cannot be read")
        await app.press("v", shows=("0 runs over steps", "no step was taken yet"))

"""The curves of several runs on one chart, with the losses of all of them at a cursor."""

from __future__ import annotations

import math
import string
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from charlstm.display import count, plural, visible
from charlstm.runs.comparison import (
    AXES,
    Axis,
    ComparedRun,
    RunCurves,
    SettingAxis,
    differing_settings,
    loss_at,
    lowest_losses,
    run_curves,
)
from charlstm.runs.series import Curve
from charlstm.training.events import ESTIMATE
from charlstm.training.settings import write_setting
from charlstm_tui.background import in_thread
from charlstm_tui.chart_file import CHART_FORMATS, write_chart
from charlstm_tui.formatting import clock, loss, shorten
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.runs.run_details import DetailsCache
from charlstm_tui.save_dialog import Format
from charlstm_tui.view import View
from charlstm_tui.widgets.chart_painting import RUN_COLOURS, ChartData, ChartRun
from charlstm_tui.widgets.loss_chart import SMOOTHING, LossChart

LETTERS = string.ascii_lowercase
"""Each run has a letter, so that runs are told apart without colours too."""
AXIS_NAMES: dict[Axis, str] = {"step": "steps", "epochs": "epochs", "characters": "characters", "seconds": "time"}
MARKS = {"rate": ("↕", "rate changed"), "paused": ("‖", "paused"), "resumed": ("▶", "resumed")}
NUMBER = 7


class OverlayPane(View):
    """A chart of the runs at ``paths``, and a list of their losses at the cursor, or of their last ones without one."""

    MAIN_PANE = "#overlay-chart"
    MOST_RUNS = len(LETTERS)
    SHOW_READ_EVERY = 0.5
    """Seconds between two charts while logs are read: that of a run of 10,000 steps takes 0.13 s."""

    paths: reactive[tuple[Path, ...]] = reactive((), init=False)
    """The runs to show, at most :attr:`MOST_RUNS` of them."""

    runs: reactive[tuple[ComparedRun, ...]] = reactive((), init=False)
    """The runs whose folder has been read, in the order of their letters."""
    axis: reactive[str] = reactive("step", init=False)
    """What the chart is drawn over: one of :data:`AXES`, or a setting in which the runs differ."""
    smoothing: reactive[int] = reactive(2, init=False)
    raw: reactive[bool] = reactive(False, init=False)
    """Whether every logged loss stands behind the smoothed training curves."""
    selected: reactive[int | None] = reactive(None, init=False)
    """The run on top. Of the others the training curves are left out then."""
    unread: reactive[int] = reactive(0, init=False)

    def __init__(self, details: DetailsCache, *, id: str) -> None:
        super().__init__(id=id)
        self.chart = LossChart(id="overlay-chart")
        self._head_line = Static(id="overlay-head")
        self._value_lines = Static(id="overlay-values")
        self._list = VerticalScroll(self._value_lines, id="overlay-list", can_focus=False)
        self._details = details
        self._curves: list[RunCurves] = []
        self._drawn: tuple[ComparedRun, ...] = ()  # the runs of the curves
        self._left_out = 0

    def compose(self) -> ComposeResult:
        yield self._head_line
        with Horizontal(id="overlay-panes"):
            yield self.chart
            yield self._list

    @property
    def name_shown(self) -> str:
        return "Curves"

    def handle_escape(self) -> bool:
        """Remove the cursor or the selection; whether there was one."""
        if self.selected is not None:
            self.selected = None
        elif self.chart.cursor is not None:
            self._point(None)
        else:
            return False
        return True

    # ---- what is shown
    def watch_paths(self) -> None:
        self.selected, self.runs = None, ()
        self._read()

    def watch_runs_state(self, before: RunsState, state: RunsState) -> None:
        if [before.find(path) for path in self.paths] != [state.find(path) for path in self.paths]:
            self._read()

    @work(exclusive=True, group="details")
    async def _read(self) -> None:
        """Show the curves; where a log takes long to read, those before it meanwhile."""
        asked = [run for path in self.paths if (run := self.runs_state.find(path)) is not None]
        shown = asked[: self.MOST_RUNS]
        read: list[ComparedRun] = []
        last = time.monotonic()
        self._left_out = len(asked) - len(shown)
        self.unread = sum(self._details.known(run.path) is None for run in shown)
        for number, view in enumerate(shown, 1):
            details = await self._details.read(view)
            if view.spec is not None:
                read.append(ComparedRun(view.run, view.spec, view.status, details.series))
            if self.unread and time.monotonic() - last > self.SHOW_READ_EVERY:
                self.unread, self.runs = len(shown) - number, tuple(read)
                last = time.monotonic()
        self.unread, self.runs = 0, tuple(read)

    def watch_runs(self) -> None:
        if self.selected is not None and self.selected >= len(self.runs):
            self.selected = None
        self._read_curves()

    def watch_axis(self) -> None:
        self.chart.point(None)
        is_log = (setting := self._setting) is not None and setting.is_log
        self.chart.set_view(seconds=self.axis == "seconds", x_name=self._axis_name, zoom=0, log_x=is_log)
        self._read_curves()

    def watch_bits(self) -> None:
        self.chart.set_view(bits=self.bits)
        self._show_words()

    def on_mount(self) -> None:
        self.chart.set_view(x_name=self._axis_name, bits=self.bits)
        self._read_curves()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_words)  # when the list has its size, which follows from the screen's

    def _read_curves(self) -> None:
        self.run_worker(self._compute(), group="curves", exclusive=True)

    watch_smoothing = _read_curves

    async def _compute(self) -> None:
        """Smooth on another thread: twenty long runs take a tenth of a second."""
        runs, weight = self.runs, SMOOTHING[self.smoothing][1]
        axis: Axis = self.axis if self.axis in AXES else "step"
        self._curves = await in_thread(lambda check: [run_curves(each, axis, smoothing=weight) for each in runs])
        self._drawn = runs
        self._show_curves()

    @property
    def _setting(self) -> SettingAxis | None:
        """The setting on the x axis, if the axis is a setting."""
        if self.axis in AXES or not self.runs:
            return None
        values = [self._value(run) for run in self.runs if run.status.loss is not None]
        return SettingAxis.of(self.axis, values) if values else None

    def _value(self, run: ComparedRun) -> Any:
        """The value that a run has of the setting."""
        return getattr(run.spec.settings, self.axis)

    @property
    def _axis_name(self) -> str:
        """What stands below the chart."""
        setting = self._setting
        if setting is None or not setting.has_words:
            return AXIS_NAMES.get(cast(Axis, self.axis), self.axis)
        return f"{self.axis}: {', '.join(f'{x:g} {label}' for x, label in setting.ticks())}"

    def _show_setting(self, setting: SettingAxis) -> None:
        """Draw the best loss of each run, as its letter, at its value of a setting, and a line through the lowest of
        those that are finished: others have learnt less."""
        self.chart.set_view(x_name=self._axis_name)  # of the values of these runs
        points, drawn = [], []
        for number, run in enumerate(self._drawn):
            if (best := run.status.loss) is None:
                continue
            value = self._value(run)
            points += [(value, best)] * (run.status.state == "finished")
            here = Curve(np.array([setting.x_of(value)]), np.array([best]))
            drawn.append(ChartRun(LETTERS[number], number, here))
        drawn.sort(key=lambda each: each.colour == self.selected)
        self.chart.show(ChartData(train=lowest_losses(setting, points), runs=tuple(drawn)))
        self._show_words()

    def _show_curves(self) -> None:
        if (setting := self._setting) is not None and self._drawn == self.runs:
            self._show_setting(setting)
            return
        drawn = []
        for number, curves in enumerate(self._curves):
            only_validation = self.selected not in (None, number)
            whole = ChartRun(
                LETTERS[number],
                number,
                curves.validation,
                curves.train,
                curves.raw if self.raw else None,
                curves.best,
                tuple((mark.x, mark.loss, MARKS[mark.kind][0]) for mark in curves.marks),
            )
            drawn.append(ChartRun(whole.letter, number, whole.validation) if only_validation else whole)
        if self.selected is not None and self.selected < len(drawn):
            drawn.append(drawn.pop(self.selected))
        words = "Reading the logs …" if self.unread else "no step was taken yet"
        self.chart.show(ChartData(runs=tuple(drawn), words=words))
        self._show_words()

    watch_raw = watch_selected = watch_unread = _show_curves

    # ---- the words around the chart
    def _show_words(self) -> None:
        if self.size:  # it is laid out
            self._head_line.update(self._head())
            self._value_lines.update(self._values())

    def _head(self) -> Content:
        view = self.chart.view
        zoom = f"last 1/{2**view.zoom}" if view.zoom > 0 else ""
        logarithmic = " and ".join(name for name, log in (("loss", view.log_y), ("x", view.log_x)) if log)
        first = "the first " if self._left_out else ""
        left = f" of {len(self._drawn) + self._left_out + self.unread}" if self._left_out else ""
        state = [
            f" {first}{plural(len(self._drawn), 'run')}{left} over {AXIS_NAMES.get(cast(Axis, self.axis), self.axis)}",
            f"reading {self.unread} more" if self.unread else "",
            zoom,
            f"log scale: {logarithmic}" if logarithmic else "",
            f"smoothing: {SMOOTHING[self.smoothing][0]}" if self._setting is None else "",
            "with raw losses" if self.raw else "",
        ]
        line = Content(" · ".join(filter(None, state)))
        kinds = {mark.kind for curves in self._curves for mark in curves.marks}
        marks = ["◆ best", *(f"{sign} {words}" for kind, (sign, words) in MARKS.items() if kind in kinds)]
        marks += ["bold: validation", "faint: training"]
        if self._setting is not None:
            marks = ["letters: best losses", "line: lowest of finished runs"]
        while marks:
            words = "  ".join(marks) + " "
            if line.cell_length + len(words) + 2 <= self.size.width:
                gap = " " * (self.size.width - line.cell_length - len(words))
                return Content.assemble(line, gap, (words, "$quiet"))
            marks.pop()
        return line

    def _values(self) -> Content:
        """A row for each run: its letter, its name and its losses."""
        cursor, name_width = self.chart.cursor, max(8, min(40, self._list.size.width - 3 * NUMBER - 7))
        differing = differing_settings([run.spec for run in self._drawn])
        compared = self.axis if self._setting else differing[0] if len(differing) == 1 else ""
        words = f"{compared} · {self._cursor_words(cursor)}" if compared else self._cursor_words(cursor)
        words = shorten(words, name_width).ljust(name_width)
        lines = [Content.styled(f"   {words}{_columns('train', 'valid', 'best')}", "$quiet")]
        found = [run.status.loss for run in self._drawn if run.status.loss is not None]
        lowest = min(found) if len(found) > 1 and len({run.spec.corpus_name for run in self._drawn}) == 1 else None
        explained = False
        for number, (run, curves) in enumerate(zip(self._drawn, self._curves, strict=True)):
            train, validation = (
                _last(curve.y.tolist()) if cursor is None else loss_at(curve, cursor)
                for curve in (curves.train, curves.validation)
            )
            status, chosen = run.status, number == self.selected
            best = (math.nan if curves.best is None else curves.best[1]) if status.loss is None else status.loss
            losses = _columns(
                _figure(train, self.bits),
                _figure(validation, self.bits, mark=ESTIMATE),  # its points are estimates from slices
                _figure(best, self.bits, mark=status.mark),
            )
            letter = (LETTERS[number], f"bold $run-{number % RUN_COLOURS}")
            value = f"{write_setting(compared, getattr(run.spec.settings, compared))} · " if compared else ""
            name = shorten(visible(f"{value}{run.run.name}", keep=""), name_width).ljust(name_width)
            named = (f" {name}", "bold" if chosen else "")
            mark = (" ◂", "bold $success") if status.loss is not None and status.loss == lowest else ""
            lines.append(Content.assemble("›" if chosen else " ", letter, named, losses, mark))
            explained = explained or (cursor is None and best > validation)
        if lowest is not None:
            lines.append(Content.styled("   ◂ the lowest best loss", "$quiet"))
        if explained:
            lines.append(Content.styled("   best: on more held-out text than valid", "$quiet"))
        return Content("\n").join(lines)

    def _cursor_words(self, x: float | None) -> str:
        if x is None:
            return "last values"
        match self.axis:
            case "step":
                return f"at step {x:,.0f}"
            case "epochs":
                return f"at epoch {x:.2f}"
            case "characters":
                return f"at {count(x)} characters"
            case _:
                return f"at {clock(x)}"

    # ---- what keys and mouse do
    @on(LossChart.Pointed)
    def _pointed(self, event: LossChart.Pointed) -> None:
        self._point(event.x)

    def _point(self, x: float | None) -> None:
        self.chart.point(None if self._setting else x)
        self._show_words()

    def do_cursor(self, columns: int) -> None:
        """Move the cursor; the first key brings it to the end of the curves."""
        chart = self.chart
        painted = chart.painted()
        here = None if chart.cursor is None else painted.column_of(chart.cursor)
        target = painted.left + painted.columns - 1 if here is None else here + columns
        self._point(painted.x_at(target))

    def do_select(self, by: int) -> None:
        """Bring the next or the previous run to the top; past either end all are alike."""
        choices = [None, *range(len(self._drawn))]
        here = choices.index(self.selected) if self.selected in choices else 0
        self.selected = choices[(here + by) % len(choices)]
        if self.selected is not None:
            self._list.scroll_to(y=self.selected, animate=False)

    def do_overlay_axis(self) -> None:
        """Draw over the next of steps, epochs, characters and time, and of the settings in which the runs differ."""
        axes = [*AXES, *differing_settings([run.spec for run in self.runs])]
        self.axis = axes[(axes.index(self.axis) + 1) % len(axes)] if self.axis in axes else axes[0]

    def do_overlay_smoothing(self) -> None:
        """Smooth the training curves more, and after the strongest not at all."""
        self.smoothing = (self.smoothing + 1) % len(SMOOTHING)

    def do_overlay_behind(self) -> None:
        """Draw the raw losses behind the training curves, or no longer."""
        self.raw = not self.raw

    def do_overlay_log(self) -> None:
        """To the next logarithmic axes."""
        self.chart.next_log_axes()
        self._show_words()

    def do_overlay_zoom(self, by: int) -> None:
        """Zoom into the latest part, or out again."""
        self.chart.set_view(zoom=max(0, self.chart.view.zoom + by))
        self._show_words()

    # ---- files
    def do_save_chart(self) -> None:
        """Save the chart that is shown, or its losses."""
        over_setting = (Format(".svg", f"the best losses in nats, over {self.axis}"), *CHART_FORMATS[1:])
        formats = CHART_FORMATS if self._setting is None else over_setting
        self.charlstm.save_file("Save the chart", "runs.svg", formats, self.write)

    def write(self, path: Path) -> None:
        """Write the chart as SVG, or the losses as CSV, by the ending of ``path``. Not on the message loop.

        Raises :class:`CharLSTMError` or :class:`OSError`.
        """
        write_chart(path, self._drawn, self.axis, SMOOTHING[self.smoothing][1])


def _last(values: Sequence[float]) -> float:
    return values[-1] if values else math.nan


def _figure(value: float, bits: bool, mark: str = "") -> str:
    return "–" if not math.isfinite(value) else f"{mark}{loss(value, bits)}"


def _columns(*values: str) -> str:
    return "".join(value.rjust(NUMBER) for value in values)

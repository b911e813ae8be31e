"""The pane of Train that shows a run: progress, chart, figures, samples, verdict, and the card of its result.

Commands to the worker are sent by ``watch_view``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.reactive import var

from charlstm.display import visible
from charlstm.runs.contention import slowdown_words
from charlstm.runs.folder import RunSpec
from charlstm.runs.series import RunSeries, XAxis
from charlstm.runs.status import NO_WORKER
from charlstm_tui.actions import key_of
from charlstm_tui.formatting import baseline_name
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train import run_summary
from charlstm_tui.train.figures import Figures
from charlstm_tui.train.progress_line import RunProgressLine
from charlstm_tui.train.result_card import ResultCard
from charlstm_tui.train.samples import Samples
from charlstm_tui.view import is_detached
from charlstm_tui.widgets.changing_text import ChangingText
from charlstm_tui.widgets.chart_painting import ChartData
from charlstm_tui.widgets.loss_chart import SMOOTHING, LossChart

NARROW, WIDE, LOW = 72, 150, 18
AGE_INTERVAL = 1.0
"""Seconds between two figures of how long a run has been starting."""


class RunPane(Vertical):
    """A run that trains or has ended, drawn when a reactive attribute changes."""

    shown: var[run_summary.ShownRun] = var(run_summary.ShownRun(), init=False)
    smoothing: var[int] = var(1, init=False)
    """The strength of the smoothing, an index into ``SMOOTHING``."""
    card_closed: var[bool] = var(False, init=False)
    """Whether the user has closed the card with the result."""

    def __init__(self, smoothing: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        names = [name for name, _ in SMOOTHING]
        if smoothing in names:
            self.set_reactive(RunPane.smoothing, names.index(smoothing))
        self.chart = LossChart(id="chart")
        self.samples = Samples(id="samples")
        self._headline = ChangingText(id="headline", markup=False)
        self._progress = RunProgressLine(id="progress")
        self._figures = Figures(id="figures")
        self._upper = Horizontal(self.chart, self._figures, id="upper")
        self._card = ResultCard(id="card")
        self._verdict_line = ChangingText(id="verdict", markup=False)

    def compose(self) -> ComposeResult:
        yield self._headline
        yield self._progress
        with Horizontal(id="panes"):
            yield self._upper
            with Vertical(id="lower"):
                yield self._card
                yield self.samples
        yield self._verdict_line

    def on_mount(self) -> None:
        if is_detached(self):
            return
        self.samples.border_title = Content("SAMPLES, same prime and seed")
        self.samples.border_subtitle = Content(f"{key_of('app.next_pane')} ↑↓")
        self.set_interval(AGE_INTERVAL, self._tell_age)

    def _tell_age(self) -> None:
        """Bring the time since the start of a run up to date, while its first steps are still to come."""
        view = self.shown.state.attached_run
        if view is not None and view.status.state == "starting":
            self.draw()

    def on_resize(self, event: Resize) -> None:
        width, height = event.size
        self.set_class(width < NARROW, "-narrow")
        self.set_class(width >= WIDE and height >= 30, "-wide")
        self.set_class(height < LOW, "-low")
        self._card.make_small(height < 30, height < 20 or width < NARROW)
        self.call_after_refresh(self.draw)  # headline and figures depend on the size

    def clear(self) -> None:
        """Prepare for another run."""
        self.card_closed = False
        self.chart.set_view(zoom=0)

    def smooth_more(self) -> str:
        """Choose the next stronger smoothing, and return its name; after the strongest comes none."""
        self.smoothing = (self.smoothing + 1) % len(SMOOTHING)
        return SMOOTHING[self.smoothing][0]

    def set_view(self, **changes: Any) -> None:
        """Change how the chart is drawn: see :meth:`LossChart.set_view`."""
        self.chart.set_view(**changes)
        self._draw_chart()

    def next_log_axes(self) -> None:
        """Draw by the next logarithmic axes: see :meth:`LossChart.next_log_axes`."""
        self.chart.next_log_axes()
        self._draw_chart()

    def draw(self) -> None:
        """Bring the pane up to date."""
        shown = self.shown
        view, series = shown.view, shown.series
        self.chart.set_view(bits=shown.bits)
        self._draw_chart()
        self._show_headline(view, shown.spec, series)
        done, style = run_summary.progress(view)
        self._progress.set_classes(style.split())
        self._progress.progress = done
        self._figures.show(run_summary.figures(series, shown.bits))
        samples = self.samples
        samples.empty, samples.samples = self._empty(view), tuple(series.samples)
        ended = view is not None and view.status.state in NO_WORKER and not self.card_closed
        self._card.result = run_summary.run_result(shown) if ended else None
        self.set_class(ended, "-ended")
        wrong = shown.state.error or (view is not None and view.problem)
        self.set_class(bool(wrong), "-wrong")  # what is wrong is said below the card of a run that has ended, too
        self._verdict_line.update(self._verdict(shown))

    watch_shown = watch_card_closed = draw

    def _draw_chart(self) -> None:
        upper, how = self._upper, self._chart_words()
        smoothed = SMOOTHING[self.smoothing][1] > 0
        note = run_summary.train_curve_words(self.shown.series, self.shown.spec, smoothed)
        if note and len(note) + len(how) + 7 <= upper.size.width:
            how = f"{note} · {how}"
        if how != upper.border_title:  # a new title redraws the whole pane
            upper.border_title = how
        self.chart.show(self._chart_data(self.shown.series, self.shown.references, run_summary.beginning(self.shown)))

    watch_smoothing = _draw_chart

    def _show_headline(self, view: RunView | None, spec: RunSpec | None, series: RunSeries) -> None:
        parts, line = run_summary.headline(view, spec, series), Content("")
        for number, part in enumerate(parts):
            piece = Content.assemble(
                (" · " if number else "", "$foreground 40%"), (part, "bold" if number == 0 else "")
            )
            if line.cell_length + piece.cell_length > self.size.width - 2 and number:
                break
            line = line + piece
        self._headline.update(line)

    def _chart_words(self) -> str:
        """How the chart is drawn, where that is not the usual way, and the smoothing."""
        view = self.chart.view
        zoom = {0: "", -1: "whole plan"}.get(view.zoom, f"last 1/{2 ** max(view.zoom, 0)}")
        across = "time" if view.seconds else "steps"
        logarithmic = [name for name, log in (("loss", view.log_y), (across, view.log_x)) if log]
        axes = f"log scale: {' and '.join(logarithmic)}" if logarithmic else ""
        return " · ".join([*filter(None, (zoom, axes)), f"smoothing: {SMOOTHING[self.smoothing][0]}"])

    def _chart_data(self, series: RunSeries, references: Sequence[tuple[str, float]], words: str) -> ChartData:
        seconds = self.chart.view.seconds
        axis: XAxis = "seconds" if seconds else "step"
        weight = SMOOTHING[self.smoothing][1]
        planned = float(series.planned_steps or 0) or None
        if planned and seconds:
            planned = series.train_seconds * planned / series.step if series.step else None
        return ChartData(
            train=series.curve("train", axis, smoothing=weight),
            validation=series.curve("validation", axis),
            raw=series.points("train", axis) if weight else None,
            best=series.best_point(axis),
            references=tuple((baseline_name(label, short=True), nats) for label, nats in references),
            planned=planned,
            words=words,
        )

    @staticmethod
    def _empty(view: RunView | None) -> str:
        """Why there is no sample yet. What the worker does meanwhile stands in the line of the progress."""
        if view is not None and view.status.state in NO_WORKER:
            return "This run has written no samples."
        return "No sample yet. The first one comes with the first validation."

    def _verdict(self, shown: run_summary.ShownRun) -> Content:
        view, said = shown.view, shown.verdict
        keys = ", ".join(run_summary.keys_for(shown))
        if shown.remark:
            return Content(visible(shown.remark))
        if shown.state.error:
            return Content.styled(visible(shown.state.error), "$error")
        if view is not None and view.problem:
            return Content.styled(visible(view.problem), "$error")
        style = "bold $error" if said.is_trouble else "bold $accent"
        line = Content.assemble((f"{said.mark} ", style), visible(said.text))
        # The keys stand in the key bar too: here where they cost no second line, or are the way out of trouble.
        if said.is_trouble or line.cell_length + len(keys) + 5 <= self.size.width:
            line = Content.assemble(line, (f"   {keys}", "$quiet"))
        notes = run_summary.remarks(shown.series)
        if view is not None and view.live and view.status.state in ("starting", "running"):
            busy = slowdown_words(view.status.slowdown)
            notes = [busy, *notes] if busy else notes
        told = (Content.styled(f"  {visible(remark)}", "$quiet") for remark in notes)
        return Content("\n").join([line, *told])

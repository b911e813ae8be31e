"""The pane of Train that shows a run: progress, chart, figures, samples, verdict, and the card of its result.

It only shows what it is given. The screen sends commands to the worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static

from charlstm.display import visible
from charlstm.runs.contention import NOTABLE_SLOWDOWN
from charlstm.runs.folder import RunSpec
from charlstm.runs.series import RunSeries, XAxis
from charlstm.runs.verdict import verdict
from charlstm_tui.base import leaving
from charlstm_tui.formatting import baseline_name
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.train.figures import Figures
from charlstm_tui.train.progress_line import ProgressLine
from charlstm_tui.train.result_card import ResultCard
from charlstm_tui.train.run_plan import slower_words
from charlstm_tui.train.run_summary import ENDED, figures, headline, keys_for, progress, remarks, run_result
from charlstm_tui.train.samples import Samples
from charlstm_tui.widgets.chart_painting import ChartData
from charlstm_tui.widgets.loss_chart import LossChart

SMOOTHING = (("off", 0.0), ("light", 0.6), ("medium", 0.85), ("strong", 0.96))
NARROW, WIDE, LOW = 72, 150, 18
HEIGHT_FOR_CURVES = 14
MARKS = {
    "starting": "▹", "learning": "↘", "flattening": "→", "climbing": "↗", "overfitting": "↗", "stuck": "=",
    "rising": "↗", "validating": "▶", "paused": "‖",
    "waiting": "…", "stopped": "□", "finished": "■", "diverging": "✗", "diverged": "✗", "failed": "✗", "crashed": "✗",
}  # fmt: skip


TROUBLE = ("diverging", "rising", "stuck")
"""Kinds of verdict after which something has to be done."""


class RunPane(Vertical):
    """A run that trains or has ended."""

    class Ready(Message):
        """All widgets of the pane are mounted."""

    class Resized(Message):
        """The pane has another size, and what it shows has to be laid out again."""

    def __init__(self, smoothing: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        names = [name for name, _ in SMOOTHING]
        self.smoothing = names.index(smoothing) if smoothing in names else 1
        self.card_closed = False
        self._shown: tuple[Any, ...] = ()
        self._curves: tuple[tuple[Any, ...], ChartData] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="headline", markup=False)
        yield ProgressLine(id="progress")
        with Horizontal(id="panes"):
            with Horizontal(id="upper"):
                yield LossChart(id="chart")
                yield Figures(id="figures")
            with Vertical(id="lower"):
                yield ResultCard(id="card")
                yield Samples(id="samples")
        yield Static(id="verdict", markup=False)

    def on_mount(self) -> None:
        if leaving(self):
            return
        self.query_one("#samples").border_title = Content("SAMPLES, same prime and seed")
        self.query_one("#samples").border_subtitle = Content("Tab ↑↓")
        self.post_message(self.Ready())

    def on_resize(self, event: Resize) -> None:
        width, height = event.size
        self.set_class(width < NARROW, "-narrow")
        self.set_class(width >= WIDE and height >= 30, "-wide")
        self.set_class(height < LOW, "-low")
        self.query_one(ResultCard).make_small(height < 30, height < 20 or width < NARROW)
        self._shown = ()  # headline and figures depend on the size
        self.post_message(self.Resized())

    def clear(self) -> None:
        """Prepare for another run."""
        self.card_closed = False
        self._shown = ()
        self._curves = None
        self.query_one(LossChart).set_view(zoom=0)

    def smooth_more(self) -> str:
        """Choose the next stronger smoothing, and return its name; after the strongest comes none."""
        self.smoothing = (self.smoothing + 1) % len(SMOOTHING)
        return SMOOTHING[self.smoothing][0]

    def show(
        self,
        state: RunsState,
        spec: RunSpec | None,
        bits: bool,
        references: Sequence[tuple[str, float]],
        remark: str = "",
        refusal: str = "",
    ) -> None:
        """Show the attached run; what has not changed is not drawn again. ``remark`` stands in place of the verdict,
        and ``refusal``, an error message about the last command, in place of both."""
        view, series = state.attached_run, state.series
        chart = self.query_one(LossChart)
        key = (
            view,
            state.revision,
            spec,
            bits,
            tuple(references),
            remark,
            refusal,
            self.smoothing,
            self.card_closed,
            chart.view,
        )
        if key == self._shown:
            return
        self._shown = key
        chart.set_view(bits=bits)
        self.query_one("#upper").border_title = Content(self._chart_words())
        series = series or RunSeries()
        self._show_headline(view, spec, series)
        line = self.query_one(ProgressLine)
        done, style = progress(view)
        line.set_classes(style.split())
        line.progress = done
        chart.show(self._chart_data(state, series, references, self._doing(view)))
        side = self.query_one(Figures)
        side.figures = tuple(figures(series, view, bits, curves=side.size.height > HEIGHT_FOR_CURVES))
        self.query_one(Samples).show(series.samples, self._empty(view))
        over = view is not None and view.status.state in ENDED
        card = self.query_one(ResultCard)
        shown = over and not self.card_closed
        card.show(run_result(view, series, spec, bits, references) if view is not None and shown else None)
        self.set_class(shown, "-ended")
        self.set_class(bool(refusal), "-refused")
        self.query_one("#verdict", Static).update(self._verdict(state, series, references, remark, refusal))

    def _show_headline(self, view: RunView | None, spec: RunSpec | None, series: RunSeries) -> None:
        parts, line = headline(view, spec, series), Content("")
        for number, part in enumerate(parts):
            piece = Content.assemble(
                (" · " if number else "", "$foreground 40%"), (part, "bold" if number == 0 else "")
            )
            if line.cell_length + piece.cell_length > self.size.width - 2 and number:
                break
            line = line + piece
        self.query_one("#headline", Static).update(line)

    def _chart_words(self) -> str:
        """How the chart is drawn, where that is not the usual way, and the smoothing."""
        view = self.query_one(LossChart).view
        zoom = {0: "", -1: "whole plan"}.get(view.zoom, f"last 1/{2 ** max(view.zoom, 0)}")
        across = "time" if view.seconds else "steps"
        logarithmic = [name for name, log in (("loss", view.log_y), (across, view.log_x)) if log]
        axes = f"log scale: {' and '.join(logarithmic)}" if logarithmic else ""
        return " · ".join([*filter(None, (zoom, axes)), f"smoothing: {SMOOTHING[self.smoothing][0]}"])

    @staticmethod
    def _doing(view: RunView | None) -> str:
        """What the worker does before its first step."""
        if view is None or view.status.state != "starting":
            return "no step was taken" if view is not None and view.status.state in ENDED else ""
        return f"{visible(view.status.message, keep='') or 'its process begins'} …"

    def _chart_data(
        self, state: RunsState, series: RunSeries, references: Sequence[tuple[str, float]], words: str
    ) -> ChartData:
        chart = self.query_one(LossChart)
        seconds = chart.view.seconds
        key = (state.attached, state.revision, seconds, self.smoothing, tuple(references), words)
        if self._curves is not None and self._curves[0] == key:
            return self._curves[1]
        axis: XAxis = "seconds" if seconds else "step"
        weight = SMOOTHING[self.smoothing][1]
        best = series.best
        best_x = None
        validation = series.curve("validation", axis)
        if best is not None and not best.whole:
            best_x = (best.train_seconds if seconds else float(best.step), best.val_loss)
        planned = float(series.planned_steps or 0) or None
        if planned and seconds:
            planned = series.train_seconds * planned / series.step if series.step else None
        data = ChartData(
            train=series.curve("train", axis, smoothing=weight),
            validation=validation,
            raw=series.points("train", axis) if weight else None,
            best=best_x,
            references=tuple((baseline_name(label, short=True), nats) for label, nats in references),
            planned=planned,
            words=words,
        )
        self._curves = (key, data)
        return data

    @staticmethod
    def _empty(view: RunView | None) -> str:
        if view is None or view.status.state == "starting":
            return "The first sample comes with the first validation, in a few seconds."
        return "No sample yet." if view.live else "This run has written no samples."

    def _verdict(
        self, state: RunsState, series: RunSeries, references: Sequence[tuple[str, float]], remark: str, refusal: str
    ) -> Content:
        view = state.attached_run
        said = verdict(series, view.status if view is not None else None, order0=dict(references).get("order 0"))
        keys = keys_for(said.kind)
        if refusal:
            line = Content.styled(f"✗ {visible(refusal, keep='')}", "$error")
            return Content.assemble(line, (f"   {keys}", "$foreground 60%"))
        if remark:
            return Content(visible(remark))
        if state.error:
            return Content.styled(visible(state.error), "$error")
        if view is not None and view.problem:
            return Content.styled(visible(view.problem), "$error")
        style = "bold $error" if said.kind in TROUBLE else "bold $accent"
        line = Content.assemble((f"{MARKS.get(said.kind, ' ')} ", style), visible(said.text))
        # The keys stand in the key bar too: here where they cost no second line, or are the way out of trouble.
        if said.kind in TROUBLE or line.cell_length + len(keys) + 5 <= self.size.width:
            line = Content.assemble(line, (f"   {keys}", "$foreground 60%"))
        notes, slowdown = remarks(series), 1.0 if view is None else view.status.slowdown or 1.0
        if (
            view is not None
            and view.live
            and view.status.state in ("starting", "running")
            and slowdown >= NOTABLE_SLOWDOWN
        ):
            slower = slower_words(slowdown)
            notes.insert(0, f"Other programs are using the processor: this run is {slower}.")
        told = (Content.styled(f"  {visible(remark)}", "$foreground 60%") for remark in notes)
        return Content("\n").join([line, *told])

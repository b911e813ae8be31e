"""The pane beside or below the table of runs: one run in more detail, or what differs between several."""

from __future__ import annotations

from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive

from charlstm.display import plural, shell_command, size, visible
from charlstm.runs.models import model_words
from charlstm.text import read_before
from charlstm.training.events import ESTIMATE
from charlstm_tui.formatting import best_loss, clock, home, shorten, unit
from charlstm_tui.run_watcher import RunView
from charlstm_tui.runs.compare import compared_at_once, differences
from charlstm_tui.runs.run_details import RunDetails
from charlstm_tui.widgets.bars import sparkline
from charlstm_tui.widgets.changing_text import ChangingText


class DetailsPane(VerticalScroll, can_focus=True):
    """Shows the details of the only run in ``runs``, or compares them if there are several."""

    ALLOW_MAXIMIZE = True

    runs: reactive[tuple[tuple[RunView, RunDetails | None], ...]] = reactive((), always_update=True)
    """The runs to show, with their details once read."""
    bits: reactive[bool] = reactive(False)
    """Whether losses are in bits per character instead of nats."""

    def __init__(self, runs_dir: Path, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._runs_dir = runs_dir

    def compose(self) -> ComposeResult:
        yield ChangingText()

    def watch_runs(
        self,
        old: tuple[tuple[RunView, RunDetails | None], ...],
        new: tuple[tuple[RunView, RunDetails | None], ...],
    ) -> None:
        self.display = bool(new)
        self._update()
        if [view.path for view, _ in old] != [view.path for view, _ in new]:
            self.scroll_home(animate=False)

    class Resized(Message):
        """Other runs may fit beside each other."""

    def on_resize(self, event: events.Resize) -> None:
        self._update()
        self.post_message(self.Resized())

    @property
    def _width(self) -> int:
        return max(20, self.size.width - 3)  # without the padding and the scrollbar

    @property
    def compared_at_once(self) -> int:
        """How many runs fit beside each other; of further ones no details are needed."""
        return compared_at_once(self._width)

    def _update(self) -> None:
        for text in self.query(ChangingText):
            if len(self.runs) > 1:
                shown = self.runs[: self.compared_at_once]
                read = [(view, details) for view, details in shown if details is not None]
                reading = Content.styled("Reading …", "$quiet")
                all_read = len(read) == len(shown)
                text.update(differences(read, len(self.runs), self._width, self.bits) if all_read else reading)
            elif self.runs:
                text.update(run_lines(*self.runs[0], self._width, self.bits, self._runs_dir))

    watch_bits = _update


def run_lines(
    view: RunView, details: RunDetails | None, width: int, bits: bool, runs_dir: Path | None = None
) -> Content:
    """A run in a few lines: its settings, how it went, what it writes now, and its folder unless that is in
    ``runs_dir``."""
    status = view.status
    name = Content.styled(visible(view.name, keep=""), "bold $accent")
    spec = view.spec
    if spec is None:
        return Content("\n").join([name, _problem(view.problem)])
    settings, lines = spec.settings, [name]
    series = None if details is None else details.series
    started = None if series is None else series.started
    network = f"{settings.num_layers} × {settings.hidden_size}"
    parameters = f" · {started.parameters:,} parameters" if started else ""
    text = Content(f"{visible(view.text, keep='')} · {visible(view.preset, keep='')} · {network}{parameters}")
    if name.cell_length + text.cell_length + 3 <= width:
        lines = [Content.assemble(name, "   ", text)]
    else:
        lines.append(text)
    rows, length = spec.batch
    rate = f"lr {settings.lr:g} · batch {rows} × {length} · dropout {settings.dropout:g}"
    lines.append(Content.styled(rate + (f" · {started.kernel}" if started else ""), "$quiet"))
    if validation := spec.validation_name:
        lines.append(Content.styled(f"validated on {visible(shorten(validation, width - 13), keep='')}", "$quiet"))
    if model := spec.started_from:
        words = shorten(model_words(model), width - 13)
        lines.append(Content.styled(f"started from {visible(words, keep='')}", "$quiet"))
    if view.notes.tags:
        lines.append(Content.styled(" ".join(f"#{tag}" for tag in view.notes.tags), "$accent"))
    if view.notes.note:
        lines.append(Content(visible(view.notes.note)))
    if details is not None and details.problem:
        lines.append(_problem(details.problem))
    if status.remark:
        style = "$error" if status.start_problem or status.state in ("failed", "crashed") else "$foreground"
        lines.append(Content.styled(visible(status.remark, keep=""), style))
    if status.loss is not None:
        figure = f"{best_loss(status, bits)} {unit(bits)} per character"
        snapshots = "" if details is None else f" · {plural(details.snapshots, 'snapshot')}"
        where = "" if status.best_step is None else f" at step {status.best_step:,}"
        untrained = status.best_step == 0
        at = ", the model from before training" if untrained else where
        best = Content.assemble("" if untrained else "best ", (figure, "bold"), at)
        facts = Content.styled(f" · {clock(status.work_seconds)}{snapshots}", "$quiet")
        fits = best.cell_length + facts.cell_length <= width
        lines += [best + facts] if fits else [best, facts[3:]]
        if status.mark == ESTIMATE:
            words = f"{ESTIMATE} estimated from slices of the held-out text"
            words += "" if status.alive else f"; {shell_command('eval', view.name)} reads all of it"
            lines.append(Content.styled(words, "$quiet"))
        if sentence := read_before.words(status.read_share, status.read_by or ""):
            lines.append(Content.styled(f"{read_before.MARK} {sentence}", "$warning"))
    if series is not None:
        from charlstm.runs.verdict import judge  # brings numpy

        if flaw := judge(series, status, bits=bits).flaw:
            lines.append(Content.styled(f"! {flaw.words}.", "$warning"))
    if series is not None and (last := series.last_step) is not None:
        memory = f" · {size(status.memory)} of memory" if status.memory else ""
        steps = f"step {series.step:,} of {series.planned_steps or series.step:,} · epoch {last.epoch:.2f}"
        lines.append(Content.styled(f"{steps} · gradient {last.grad_norm:.2f}{memory}", "$quiet"))
    if series is None:
        lines.append(Content.styled("Reading the log …", "$quiet"))
    elif len(curve := series.points("validation")) > 2:
        (drawn,) = sparkline(curve.y.tolist(), min(60, width - 11))
        lines.append(Content.assemble(("validation ", "$quiet"), (drawn, "$valid")))
    if view.path.parent != runs_dir:
        lines.append(Content.styled(f"in {home(view.path.parent)}", "$quiet"))
    if series is not None and series.samples:
        sample = series.samples[-1]
        lines += [
            Content(""),
            Content.styled(f"SAMPLE at step {sample.step:,}", "bold $quiet"),
            Content.assemble((visible(sample.prime), "bold"), visible(sample.text)),
        ]
    return Content("\n").join(lines)


def _problem(sentence: str) -> Content:
    return Content.styled(visible(sentence, keep=""), "$error")

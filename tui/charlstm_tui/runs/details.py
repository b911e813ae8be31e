"""What there is to say of one run beyond its line in the table, as content for the details pane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual.content import Content

from charlstm.display import visible
from charlstm.runs.status import ESTIMATE
from charlstm_tui.formatting import clock, home, loss, shorten
from charlstm_tui.run_watcher import RunView
from charlstm_tui.runs.run_details import RunDetails

BARS = "▁▂▃▄▅▆▇█"


def details(view: RunView, found: RunDetails | None, width: int, bits: bool, runs_dir: Path | None = None) -> Content:
    """A run in a few lines: what was asked, how it went, what it writes now, and where it is unless in ``runs_dir``."""
    status = view.status
    name = Content.styled(visible(view.name, keep=""), "bold $accent")
    lines = [name]
    if found is None or found.spec is None:
        problem = view.problem or (found.problem if found else "")
        return Content("\n").join([*lines, Content.styled(problem or "Reading …", "$error" if problem else "$quiet")])
    settings, series = found.spec.settings, found.series
    started = series.started
    size = f"{settings.num_layers} × {settings.hidden_size}"
    parameters = f" · {started.parameters:,} parameters" if started else ""
    asked = Content(f"{visible(view.text, keep='')} · {visible(view.preset, keep='')} · {size}{parameters}")
    if name.cell_length + asked.cell_length + 3 <= width:
        lines = [Content.assemble(name, "   ", asked)]
    else:
        lines.append(asked)
    rate = f"lr {settings.lr:g} · batch {settings.batch_size} × {settings.seq_length} · dropout {settings.dropout:g}"
    lines.append(Content.styled(rate + (f" · {started.kernel}" if started else ""), "$quiet"))
    if validation := found.spec.validation_name:
        lines.append(Content.styled(f"validated on {visible(shorten(validation, width - 13), keep='')}", "$quiet"))
    if found.spec.lineage:
        origin = str(found.spec.lineage.get("run") or found.spec.lineage.get("from") or "a model")
        lines.append(Content.styled(f"started from {visible(shorten(origin, width - 13), keep='')}", "$quiet"))
    if found.problem:
        lines.append(Content.styled(visible(found.problem, keep=""), "$error"))
    if status.message:
        style = "$error" if status.state in ("failed", "crashed") else "$foreground"
        lines.append(Content.styled(visible(status.message, keep=""), style))
    if status.best_val is not None:
        unit = "bits" if bits else "nats"
        figure = f"{loss(status.best_val, bits, whole=status.best_whole)} {unit}"
        estimate = "" if status.best_whole else f" · {ESTIMATE} estimated from slices of the held-out text"
        lines.append(
            Content.assemble(
                "best ", (figure, "bold"), f" at step {status.best_step or 0:,}",
                (f" · {clock(status.train_seconds)} of training · {found.snapshots} snapshots{estimate}", "$quiet"),
            )
        )  # fmt: skip
    curve = series.points("validation")
    if len(curve) > 2:
        lines.append(Content.assemble(("valid ", "$quiet"), (spark(curve.y.tolist(), min(60, width - 6)), "$valid")))
    if view.path.parent != runs_dir:
        lines.append(Content.styled(home(view.path.parent), "$quiet"))
    if series.samples:
        sample = series.samples[-1]
        lines += [
            Content(""),
            Content.styled(f"SAMPLE at step {sample.step:,}", "bold $quiet"),
            Content.assemble((visible(sample.prime), "bold"), visible(sample.text)),
        ]
    return Content("\n").join(lines)


def spark(values: Sequence[float], width: int, low: float | None = None, high: float | None = None) -> str:
    """A curve in one line of ``width`` cells at most, from ``low`` to ``high`` (default: its own least and most); a
    gap where a value is no number."""
    if len(values) > width:
        values = [values[i * len(values) // width] for i in range(width)]
    finite = [value for value in values if value == value]
    if not finite:
        return ""
    low, high = min(finite) if low is None else low, max(finite) if high is None else high
    spread = (high - low) or 1.0
    return "".join(
        " " if value != value else BARS[min(len(BARS) - 1, int((value - low) / spread * len(BARS)))] for value in values
    )

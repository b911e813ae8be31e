"""What differs between several runs, as content for the details pane."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from charlstm.display import visible
from charlstm_tui.formatting import clock, loss, plural, shorten
from charlstm_tui.run_watcher import RunView
from charlstm_tui.runs.run_details import RunDetails, origin
from charlstm_tui.widgets.bars import sparkline

LABEL = 18
"""Cells for the name of what differs."""
CELL_LEAST, CELL_MOST = 10, 26
"""Cells for a run."""
GAP = "  "


def compared_at_once(width: int) -> int:
    """How many runs fit beside each other in ``width`` cells."""
    return max(2, (width - LABEL) // (CELL_LEAST + len(GAP)))


def differences(shown: Sequence[tuple[RunView, RunDetails]], marked: int, width: int, bits: bool) -> Content:
    """A table of what differs between the runs ``shown``, of which ``marked`` are marked: the results first, and last
    what is the same."""
    cell = max(CELL_LEAST, min(CELL_MOST, (width - LABEL) // len(shown) - len(GAP)))

    def row(label: str, cells: Sequence[str], style: str = "") -> Content:
        fitted = (shorten(visible(each, keep=""), cell).ljust(cell) for each in cells)
        return Content.assemble((shorten(label, LABEL - 1).ljust(LABEL), "$quiet"), (GAP.join(fitted).rstrip(), style))

    title = f"{marked} MARKED: what differs" + (f" (first {len(shown)} shown)" if len(shown) < marked else "")
    lines = [Content.styled(title, "bold $quiet"), row("", [view.name for view, _ in shown], "bold $accent")]
    curves = [details.series.points("validation").y.tolist() for _, details in shown]
    known = [value for curve in curves for value in curve if value == value]
    if len(known) > 2:
        drawn = [sparkline(curve, cell, low=min(known), high=max(known))[0].ljust(cell) for curve in curves]
        lines.append(Content.assemble(("validation loss".ljust(LABEL), "$quiet"), (GAP.join(drawn), "$valid")))
    same, differing = [], 0
    facts, settings = _facts(shown, bits), _settings(shown)
    for label, values in (*facts, *settings):
        if len({value for value in values if value}) > 1:
            lines.append(row(label, [value or "–" for value in values]))
            differing += 1
    same = [label for label, values in facts if len({value for value in values if value}) == 1]
    same_settings = sum(len({value for value in values if value}) == 1 for _, values in settings)
    if same_settings:
        same.append(plural(same_settings, "setting"))
    if not differing:
        lines.append(Content("Nothing differs: the text, the settings and the results are the same."))
    elif same:
        lines.append(Content.styled(f"The same: {', '.join(same)}", "$quiet"))
    for view, details in shown:
        if details.problem:
            lines.append(Content.styled(visible(f"{view.name}: {details.problem}", keep=""), "$error"))
    return Content("\n").join(lines)


def _facts(runs: Sequence[tuple[RunView, RunDetails]], bits: bool) -> list[tuple[str, list[str]]]:
    """Results and origin, each with its value for every run, which is empty where it is not known."""
    views, each = [view for view, _ in runs], [details for _, details in runs]
    return [
        (f"best ({'bits' if bits else 'nats'})",
         [loss(view.status.best_val, bits, whole=view.status.best_whole) for view in views]),
        ("time", [clock(view.status.work_seconds) for view in views]),
        ("steps", [f"{view.status.step:,}" for view in views]),
        ("state", [view.status.state for view in views]),
        ("text", [view.text for view in views]),
        ("preset", [view.preset for view in views]),
        ("started from", [(origin(details.spec) or "nothing") if details.spec else "" for details in each]),
        ("kernel", [details.series.started.kernel if details.series.started else "" for details in each]),
    ]  # fmt: skip


def _settings(runs: Sequence[tuple[RunView, RunDetails]]) -> list[tuple[str, list[str]]]:
    """The settings, likewise."""
    each = [details.spec.settings.to_dict() if details.spec else {} for _, details in runs]
    names = dict.fromkeys(name for settings in each for name in settings)
    return [(name, [_value(settings[name]) if name in settings else "" for settings in each]) for name in names]


def _value(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

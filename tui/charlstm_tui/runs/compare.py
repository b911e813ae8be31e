"""Show what differs between several runs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from charlstm.display import visible
from charlstm_tui.formatting import clock, loss, shorten
from charlstm_tui.run_watcher import RunView
from charlstm_tui.runs.details import spark
from charlstm_tui.runs.run_details import RunDetails


def differences(views: Sequence[RunView], found: Sequence[RunDetails], width: int, bits: bool) -> Content:
    """A table of what differs between runs, the results first."""
    rows = [(name, values) for name, values in _facts(views, found, bits) if len(set(values)) > 1]
    columns = max(1, min(len(views), (width - 18) // 12))
    cell = max(10, min(26, (width - 18) // columns - 2))
    curves = [each.series.points("validation").y.tolist() for each in found]
    known = [value for curve in curves for value in curve if value == value]
    title = f"{len(views)} MARKED: what differs"
    names = [shorten(visible(view.name, keep=""), cell).ljust(cell) for view in views[:columns]]
    lines = [
        Content.styled(title + (f" (the first {columns} shown)" if columns < len(views) else ""), "bold $quiet"),
        Content.styled(" " * 18 + "  ".join(names), "bold $accent"),
    ]
    if len(known) > 2:
        drawn = (spark(curve, cell, min(known), max(known)).ljust(cell) for curve in curves[:columns])
        lines.append(Content.assemble((f"{'validation':<18}", "$quiet"), ("  ".join(drawn), "$valid")))
    for name, values in rows:
        cells = "  ".join(shorten(visible(value, keep=""), cell).ljust(cell) for value in values[:columns])
        lines.append(Content.assemble((f"{name:<18}", "$quiet"), cells))
    if not rows:
        lines.append(Content("Nothing: the same text, settings and results."))
    return Content("\n").join(lines)


def _facts(views: Sequence[RunView], found: Sequence[RunDetails], bits: bool) -> list[tuple[str, list[str]]]:
    facts: list[tuple[str, list[str]]] = [
        (
            "best bits" if bits else "best nats",
            [loss(view.status.best_val, bits, whole=view.status.best_whole) for view in views],
        ),
        ("training time", [clock(view.status.train_seconds) for view in views]),
        ("steps", [f"{view.status.step:,}" for view in views]),
        ("state", [view.status.state for view in views]),
        ("text", [view.text for view in views]),
        ("preset", [view.preset for view in views]),
        ("kernel", [each.series.started.kernel if each.series.started else "–" for each in found]),
        ("from", [str((each.spec.lineage or {}).get("run", "–")) if each.spec else "–" for each in found]),
    ]
    settings = [each.spec.settings.to_dict() if each.spec else {} for each in found]
    names = next((list(each) for each in settings if each), [])
    return facts + [(name, [_value(each.get(name, "–")) for each in settings]) for name in names]


def _value(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

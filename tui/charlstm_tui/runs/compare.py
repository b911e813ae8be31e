"""What differs between several runs, as content for the details pane."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat, zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING

from textual.content import Content

from charlstm.display import plural, visible
from charlstm_tui.formatting import best_loss, clock, shorten, unit
from charlstm_tui.run_watcher import RunView
from charlstm_tui.runs.run_details import RunDetails
from charlstm_tui.widgets.bars import sparkline

if TYPE_CHECKING:
    from charlstm.runs.comparison import ComparedRun

LABEL = 19
"""Cells for the name of what differs."""
CELL_LEAST, CELL_MOST = 9, 26
"""Cells for a run."""
GAP = "  "
NAMED = ("text", "preset", "started from", "kernel")
"""What is named when it is the same; the settings are counted."""


def compared_at_once(width: int) -> int:
    """How many runs fit beside each other in ``width`` cells."""
    return max(2, (width - LABEL) // (CELL_LEAST + len(GAP)))


def differences(shown: Sequence[tuple[RunView, RunDetails]], marked: int, width: int, bits: bool) -> Content:
    """A table of what differs between the runs ``shown``, of which ``marked`` are marked: the results first, and last
    what is the same. Of a run that cannot be read it is only said why."""
    from charlstm.runs.comparison import ComparedRun, compared_facts  # brings numpy

    title = f"{marked} MARKED: what differs" + (f" (first {len(shown)} shown)" if len(shown) < marked else "")
    problems = [f"{view.name}: {view.problem}" for view, _ in shown if view.problem]
    problems += [f"{view.name}: {details.problem}" for view, details in shown if details.problem]
    runs = [
        ComparedRun(view.run, view.spec, view.status, details.series)
        for view, details in shown
        if view.spec is not None
    ]
    cell = max(CELL_LEAST, min(CELL_MOST, (width - LABEL) // max(1, len(runs)) - len(GAP)))

    def row(label: str, cells: Sequence[str], style: str = "") -> Content:
        """A line of the table or, where a value needs more, several; no word of it is cut that fits."""
        wrapped = [_lines(visible(each, keep=""), cell) for each in cells]
        lines = zip_longest(*wrapped, fillvalue="")
        shown = (GAP.join(part.ljust(cell) for part in parts).rstrip() for parts in lines)
        labels = chain([shorten(label, LABEL - 1).ljust(LABEL)], repeat(" " * LABEL))
        return Content("\n").join(
            Content.assemble((name, "$quiet"), (line, style)) for name, line in zip(labels, shown, strict=False)
        )

    names = [shorten(run.run.name, 2 * cell) for run in runs]
    lines = [Content.styled(title, "bold $quiet"), row("", names, "bold $accent")]
    curves = [run.series.points("validation").y.tolist() for run in runs]
    known = [value for curve in curves for value in curve if value == value]
    if len(known) > 2:
        drawn = [sparkline(curve, cell, low=min(known), high=max(known))[0].ljust(cell) for curve in curves]
        lines.append(Content.assemble(("validation loss".ljust(LABEL), "$quiet"), (GAP.join(drawn), "$valid")))
    results = _results(runs, bits)
    lines += [row(label, values) for label, values in results if len(set(values)) > 1]
    facts = compared_facts(runs) if len(runs) > 1 else []
    lines += [row(fact.name, [_value(value) for value in fact.values]) for fact in facts if fact.differs]
    same = [fact.name for fact in facts if not fact.differs and fact.name in NAMED and fact.values[0]]
    same_settings = sum(not fact.differs and fact.name not in NAMED for fact in facts)
    if same_settings:
        same.append(plural(same_settings, "setting"))
    if facts and not any(fact.differs for fact in facts):
        lines.append(Content("The text and the settings are the same."))
    elif same:
        lines.append(Content.styled(f"The same: {', '.join(same)}", "$quiet"))
    lines += [Content.styled(visible(problem, keep=""), "$error") for problem in problems]
    return Content("\n").join(lines)


def _lines(text: str, width: int) -> list[str]:
    """``text`` in lines that end at a space or a hyphen."""
    return [line.replace("- ", "-") for line in wrap(text.replace("-", "- "), width)] or [""]


def _results(runs: Sequence[ComparedRun], bits: bool) -> list[tuple[str, list[str]]]:
    """How the runs went, each figure with its value for every run."""
    return [
        (f"best ({unit(bits)})", [best_loss(run.status, bits) for run in runs]),
        ("time", [clock(run.status.work_seconds) for run in runs]),
        ("steps", [f"{run.status.step:,}" for run in runs]),
        ("state", [run.status.state for run in runs]),
    ]  # fmt: skip


def _value(value: object) -> str:
    return "–" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)

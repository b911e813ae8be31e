"""Write the loss curves of runs to a file: a chart as SVG, or a table as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm import user_files
from charlstm.runs.folder import RunFolder
from charlstm_tui.save_dialog import Format

if TYPE_CHECKING:
    from charlstm.runs.comparison import Axis, ComparedRun

CHART_FORMATS = (
    Format(".svg", "the whole curves in nats, on linear axes"),
    Format(".csv", "all logged losses, as a table"),
)


def write_chart(
    path: Path, runs: Sequence[ComparedRun], axis: Axis | str = "step", smoothing: float | None = None
) -> None:
    """Write the chart as SVG, or the losses as CSV, by the ending of ``path``. Not on the message loop.

    Raises :class:`CharLSTMError` or :class:`OSError`.
    """
    from charlstm.runs import comparison  # 0.1 s, with numpy: not before the first paint

    if path.suffix.lower() == ".csv":
        content = comparison.comparison_csv(runs)
    else:
        smoothing = comparison.SMOOTHING if smoothing is None else smoothing
        content = comparison.comparison_chart(runs, axis, smoothing=smoothing)
    user_files.save_text(path, content)


def write_chart_of(path: Path, runs: Sequence[Path], axis: Axis = "step", smoothing: float | None = None) -> None:
    """The same of the runs in these folders, which are read anew."""
    from charlstm.runs.comparison import read_run  # as above

    write_chart(path, [read_run(RunFolder(run)) for run in runs], axis, smoothing)

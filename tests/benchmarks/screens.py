"""Measure the start-up time of the app and the time to paint its chart.

    python tests/benchmarks/screens.py [--starts 5] [--size 120x36]

Starts the real app in a pty, with an empty home folder, until the list of texts is on the screen, and repaints a chart
of 10,000 steps, as after each event of a long run. Prints one line of JSON; ``load`` is the load of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from key_latency import TIMEOUT, App
from textual.app import App as TextualApp
from textual.app import ComposeResult

from charlstm.runs.series import Curve
from charlstm_tui.theme import DARK
from charlstm_tui.widgets.chart_painting import ChartData
from charlstm_tui.widgets.loss_chart import LossChart

PROGRAM = "from charlstm_tui.main import main; main()"
POINTS = 10_000
REPAINTS = 50


def seconds_to_first_screen(size: tuple[int, int]) -> float:
    """Seconds from the command to the list of texts on the screen."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), folder)
        begin = time.perf_counter()
        app = App(["--runs-dir", str(Path(folder) / "runs")], size, PROGRAM)
        if not app.read(TIMEOUT, b"python-reference"):
            raise SystemExit("the app did not open")
        taken = time.perf_counter() - begin
        app.close()
    return taken


class ChartApp(TextualApp[None]):
    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.theme = DARK.name

    def compose(self) -> ComposeResult:
        yield LossChart()


async def repaint_times(size: tuple[int, int]) -> list[float]:
    """Milliseconds of each repaint of a chart of :data:`POINTS` steps that fills the screen."""
    x = np.arange(1, POINTS + 1, dtype=float)
    smooth = 1.4 + 2.8 * np.exp(-x / POINTS * 4)
    raw = Curve(x, smooth + 0.05 * np.sin(x * 2.3))
    every = slice(None, None, POINTS // 12)
    app, taken = ChartApp(), []
    async with app.run_test(size=size):
        widget = app.query_one(LossChart)
        for _ in range(REPAINTS):
            data = ChartData(train=Curve(x, smooth), validation=Curve(x[every], smooth[every] + 0.1), raw=raw)
            begin = time.perf_counter()
            widget.show(data)
            for row in range(widget.size.height):
                widget.render_line(row)
            taken.append(1000 * (time.perf_counter() - begin))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--size", default="120x36", help="columns x rows")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    starts = [seconds_to_first_screen((columns, rows)) for _ in range(options.starts)]
    painted = asyncio.run(repaint_times((columns, rows)))
    report = {
        "first_picture_s": {"median": round(statistics.median(starts), 3), "all": [round(each, 3) for each in starts]},
        "chart_ms": {"points": POINTS, "median": round(statistics.median(painted), 2), "best": round(min(painted), 2)},
    }
    print(json.dumps(report | {"size": options.size, "load": os.getloadavg()[0], "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()

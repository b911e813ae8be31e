"""How soon the app is there, and what its chart costs.

    python tests/benchmarks/screens.py [--starts 5] [--size 120x36]

Opens the real app in a real pty, in an empty home, until the texts to choose from are on the screen; and paints a
chart of 10,000 steps anew, as after each event of a long run. Prints one line of JSON; ``load`` says how busy the
machine was.
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
from key_latency import PATIENCE, App
from textual.app import App as Screenful
from textual.app import ComposeResult

from charlstm.runs.series import Curve
from charlstm_tui.widgets.chart_paint import ChartData
from charlstm_tui.widgets.loss_chart import LossChart

PROGRAM = "from charlstm_tui.main import main; main()"
POINTS = 10_000
PAINTED = 50


def first_picture(size: tuple[int, int]) -> float:
    """Seconds from the command to the texts on the screen."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), folder)
        begin = time.perf_counter()
        app = App(["--runs-dir", str(Path(folder) / "runs")], size, PROGRAM)
        if not app.read(PATIENCE, b"python-reference"):
            raise SystemExit("the app does not open")
        taken = time.perf_counter() - begin
        app.close()
    return taken


class ChartAlone(Screenful[None]):
    def compose(self) -> ComposeResult:
        yield LossChart()


async def chart(size: tuple[int, int]) -> list[float]:
    """Milliseconds of each painting of a chart of :data:`POINTS` steps that fills the screen."""
    x = np.arange(1, POINTS + 1, dtype=float)
    smooth = 1.4 + 2.8 * np.exp(-x / POINTS * 4)
    raw = Curve(x, smooth + 0.05 * np.sin(x * 2.3))
    every = slice(None, None, POINTS // 12)
    app, taken = ChartAlone(), []
    async with app.run_test(size=size):
        widget = app.query_one(LossChart)
        for _ in range(PAINTED):
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
    asked = parser.parse_args()
    columns, rows = map(int, asked.size.split("x"))
    starts = [first_picture((columns, rows)) for _ in range(asked.starts)]
    painted = asyncio.run(chart((columns, rows)))
    report = {
        "first_picture_s": {"median": round(statistics.median(starts), 3), "all": [round(each, 3) for each in starts]},
        "chart_ms": {"points": POINTS, "median": round(statistics.median(painted), 2), "best": round(min(painted), 2)},
    }
    print(json.dumps(report | {"size": asked.size, "load": os.getloadavg()[0], "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()

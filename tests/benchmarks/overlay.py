"""Measure the time to paint the curves of many runs on one chart.

    python tests/benchmarks/overlay.py [--runs 20] [--points 10000] [--size 120x36]

Each run has a smoothed and a raw training curve of that many points and 30 validations. Prints one line of JSON with
milliseconds for the chart with no raw curves, with all of their points, and with their envelope.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time

import numpy as np

from charlstm.runs.series import Curve
from charlstm_tui.widgets.chart_painting import ChartData, ChartRun, ChartView, paint

REPAINTS = 30


def run_of(number: int, points: int) -> ChartRun:
    """A run whose curve falls at its own rate, with noise."""
    x = np.arange(1, points + 1, dtype=float)
    smooth = 1.3 + 0.02 * number + 2.8 * np.exp(-x / points * (3 + number / 5))
    raw = smooth + np.random.default_rng(number).normal(0, 0.06, points)
    every = slice(points // 30, None, points // 30)
    validation = Curve(x[every], smooth[every] + 0.1)
    return ChartRun(
        chr(ord("a") + number),
        number,
        validation,
        Curve(x, smooth),
        Curve(x, raw),
        (float(validation.x[-1]), float(validation.y[-1])),
        ((points / 3, 2.0, "‖"),),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--size", default="120x36", help="columns x rows")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    raw = tuple(run_of(number, options.points) for number in range(options.runs))
    plain = tuple(dataclasses.replace(run, raw=None) for run in raw)
    report = {}
    for name, runs, view in (
        ("smoothed", plain, ChartView()),
        ("raw", raw, ChartView()),
        ("envelope", raw, ChartView(envelope=True)),
    ):
        taken = []
        for _ in range(REPAINTS):
            begin = time.perf_counter()
            painted = paint(ChartData(runs=runs), view, columns, rows)
            for row in range(rows):
                painted.runs(row)
            taken.append(1000 * (time.perf_counter() - begin))
        report[f"{name}_ms"] = {"median": round(statistics.median(taken), 1), "best": round(min(taken), 1)}
    facts = {"runs": options.runs, "points": options.points, "size": options.size}
    print(json.dumps(report | facts | {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()

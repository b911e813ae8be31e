"""Measure what it costs to watch a run in Train, with the real app in a pty.

    python tests/benchmarks/watching.py [--preset standard] [--text FILE] [--rounds 4] [--size 120x36]

A run trains on all cores. In each round the app stands still (SIGSTOP) for a while, and then Train is watched for as
long. Prints one line of JSON: the processor time of the app while it is watched, in percent of what all cores have; the
run's characters per second alone and watched, by round; and ``load``, the load of the machine, which should do nothing
else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

from _common import default_text
from key_latency import App

from charlstm.runs.control import send_command
from charlstm.runs.launch import NewRun, start_run
from charlstm.runs.log import read_events
from charlstm.text.corpus import open_corpus
from charlstm.training.events import Stepped
from charlstm.training.presets import PRESETS, preset

PROGRAM = "from charlstm_tui.main import main; main()"
SETTLE = 3.0
"""Seconds after a change that are not measured."""


def processor_seconds(pid: int) -> float:
    """The processor time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="standard", choices=list(PRESETS))
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each half of a round")
    parser.add_argument("--size", default="120x36", help="columns x rows")
    asked = parser.parse_args()
    columns, rows = map(int, asked.size.split("x"))
    used = 0.0
    spans: dict[str, list[tuple[float, float]]] = {"alone": [], "watched": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ |= dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), folder)
        runs = Path(folder) / "runs"
        corpus = open_corpus(asked.text)
        settings = preset(asked.preset, corpus.chars, len(corpus.vocabulary)).with_changes(max_minutes=60)
        run = start_run(NewRun(corpus, settings, asked.preset, name="watched", runs_dir=runs))
        app = App(["--runs-dir", str(runs)], (columns, rows), PROGRAM)
        try:
            app.read(1.0)
            app.press("2")
            if not app.read(60.0, b"chars/s"):
                raise SystemExit("Train does not show the run")
            app.read(20.0)  # until the speed of the run is even
            for _ in range(asked.rounds):
                for part, measured in spans.items():
                    if part == "alone":
                        os.kill(app.pid, signal.SIGSTOP)
                        time.sleep(SETTLE)
                        since = time.time()
                        time.sleep(asked.seconds)
                        measured.append((since, time.time()))
                        os.kill(app.pid, signal.SIGCONT)
                        app.read(SETTLE)
                    else:
                        since, before = time.time(), processor_seconds(app.pid)
                        app.read(asked.seconds)
                        used += processor_seconds(app.pid) - before
                        measured.append((since, time.time()))
        finally:
            send_command(run, "stop")
            os.kill(app.pid, signal.SIGTERM)  # Ctrl+Q would ask what is to become of the run
            app.close()
        events = [event for event in read_events(run.events_path) if isinstance(event, Stepped)]
    speeds: dict[str, list[int]] = {}
    for part, measured in spans.items():
        speeds[part] = []
        for since, until in measured:
            inside = [event for event in events if since <= event.time <= until]
            seconds = inside[-1].train_seconds - inside[0].train_seconds
            speeds[part].append(
                round(settings.batch_size * settings.seq_length * (inside[-1].step - inside[0].step) / seconds)
            )
    watched = sum(until - since for since, until in spans["watched"])
    report = {
        "preset": asked.preset,
        "size": asked.size,
        "percent_of_all_cores": round(100 * used / watched / (os.cpu_count() or 1), 2),
        "chars_per_second": speeds,
        "slower_percent": round(
            100 * (1 - statistics.median(speeds["watched"]) / statistics.median(speeds["alone"])), 1
        ),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

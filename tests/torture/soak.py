"""The soak: an hour of training with the app attached and text streaming, in figures.

    python tests/torture/soak.py [--minutes 60] [--text FILE] [--preset best] [--keep FOLDER]

Round after round, five minutes each: the app stands still (SIGSTOP: what training does alone), Train is watched while
text streams at 60 characters a second (behind another mode it is owed, and made when somebody looks), Generate is used
at that speed, and at full speed. Each key turns the temperature; its answer is the new figure among the bytes that the
terminal gets. Prints one line of JSON: the cost of the app to training, keys' latencies in milliseconds, and the
anonymous memory of both processes at each round's end. The machine should do nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from _common import default_text
from key_latency import App, percentile, random_model

from charlstm.runs.control import send_command
from charlstm.runs.folder import Run
from charlstm.runs.launch import NewRun, start_run
from charlstm.runs.log import read_events
from charlstm.text.corpus import open_corpus
from charlstm.training.events import Stepped
from charlstm.training.presets import PRESETS, preset

PARTS = {"alone": 60.0, "train watched, 60 a second": 120.0, "generate, 60 a second": 60.0, "generate, full": 60.0}
"""What a round is made of, in seconds."""
SIZE = (120, 36)
SETTLE = 3.0
FASTER = 5
"""Presses from 60 characters a second to as fast as it goes."""


def anonymous(pid: int) -> float:
    """Megabytes that a process holds for itself."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 1024, 1) if found else 0.0


def press_keys(app: App, seconds: float) -> Iterator[float]:
    """Turn the temperature up and down for so long, a few times a second: milliseconds of each answer."""
    end, up = time.perf_counter() + seconds, False
    while time.perf_counter() < end or up:
        up = not up
        begin = time.perf_counter()
        app.press("T" if up else "t")
        if not app.read(30.0, b"0.85" if up else b"0.80"):
            raise SystemExit("a key was not answered")
        yield 1000 * (time.perf_counter() - begin)
        app.read(0.2 + 0.0037 * (len(app.seen) % 11))  # keys come at all moments of a frame


def rate(events: list[Stepped], since: float, until: float) -> tuple[int, float]:
    """Steps between two moments, and the seconds that training took for them."""
    inside = [event for event in events if since <= event.time <= until]
    if len(inside) < 2:
        raise SystemExit("too few steps in a part of a round to tell their speed: take a smaller preset")
    return inside[-1].step - inside[0].step, inside[-1].train_seconds - inside[0].train_seconds


def soak(run: Run, app: App, minutes: float) -> dict[str, object]:
    end = time.monotonic() + 60 * minutes
    spans: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
    keys: dict[str, list[float]] = {part: [] for part in PARTS}
    memory = []
    while time.monotonic() < end:
        for part, seconds in PARTS.items():
            if part == "alone":
                os.kill(app.pid, signal.SIGSTOP)
                time.sleep(SETTLE)
                since = time.time()
                time.sleep(seconds)
                spans[part].append((since, time.time()))
                os.kill(app.pid, signal.SIGCONT)
                continue
            app.press("3e")  # the prime anew: what a text holds is not to look like a leak
            app.read(SETTLE)
            app.press("\r")
            app.read(SETTLE)
            if part.startswith("train"):
                app.press("2")
            elif part.endswith("full"):
                app.press("=" * FASTER)
            app.read(SETTLE)
            since = time.time()
            if part.startswith("train"):
                app.read(seconds)
            else:
                keys[part] += press_keys(app, seconds)
            spans[part].append((since, time.time()))
            if part.endswith("full"):
                app.press("-" * FASTER)
                app.read(SETTLE)
        status = run.status()
        if status.pid is None or status.state != "running":
            print(f"the run ended, and the soak with it: {status}", file=sys.stderr)
            break
        memory.append({"step": status.step, "app_mb": anonymous(app.pid), "worker_mb": anonymous(status.pid)})
        print(json.dumps(memory[-1] | {"load": os.getloadavg()[0]}), file=sys.stderr, flush=True)
    events = [event for event in read_events(run.events_path) if isinstance(event, Stepped)]
    speeds = {}
    for part in PARTS:
        steps, seconds = (sum(each) for each in zip(*(rate(events, *span) for span in spans[part]), strict=True))
        speeds[part] = steps / seconds
    return {
        "minutes": minutes,
        "rounds": len(memory),
        "steps_per_second": {part: round(speed, 4) for part, speed in speeds.items()},
        "cost": {part: round(1 - speed / speeds["alone"], 4) for part, speed in speeds.items() if part != "alone"},
        "keys": {
            part: {
                "pressed": len(taken),
                "median_ms": round(statistics.median(taken), 1),
                "p99_ms": round(percentile(taken, 0.99), 1),
                "max_ms": round(max(taken), 1),
            }
            for part, taken in keys.items()
            if taken
        },
        "memory": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--preset", default="best", choices=list(PRESETS))
    parser.add_argument("--max-minutes", type=float, default=120.0, help="the run's plan")
    parser.add_argument("--keep", type=Path, help="leave the run in this folder, still training")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ |= dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), folder)
        runs = asked.keep or Path(folder) / "runs"
        corpus = open_corpus(asked.text)
        settings = preset(asked.preset, corpus.chars, len(corpus.vocabulary))
        settings = settings.with_changes(max_minutes=asked.max_minutes)
        run = start_run(NewRun(corpus, settings, asked.preset, name="soak", runs_dir=runs))
        app = App(["--model", str(random_model(Path(folder))), "--runs-dir", str(runs)], SIZE)
        try:
            if not app.read(30.0, b"0.80"):
                raise SystemExit("the app does not open")
            print(json.dumps(soak(run, app, asked.minutes)))
        finally:
            if not asked.keep:
                send_command(run, "stop")
            os.kill(app.pid, signal.SIGTERM)  # Ctrl+Q would ask what is to become of the run
            app.close()


if __name__ == "__main__":
    main()

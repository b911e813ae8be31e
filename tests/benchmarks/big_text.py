"""Measure a worker's memory and start-up time with a large text, in comparison with a small one.

    python tests/benchmarks/big_text.py [--megabytes 1000] [--steps 40]

Writes a text of one megabyte and a large one, and trains on each twice with ``charlstm train``; the second time the
text is in the cache. Prints one line of JSON: the peak of anonymous memory in megabytes, sampled every 10 ms, the
seconds until the run's first event, and the megabytes of text that are prepared per second.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from _common import empty_home, parser_of

from charlstm.runs.folder import RunFolder
from charlstm.text.corpus import open_corpus

SAMPLE_SECONDS = 0.01


def write_text(path: Path, megabytes: float) -> None:
    """Write the Python reference repeatedly, each time with another number in front, so that all copies differ."""
    page, size, number = open_corpus("python-reference").text(), int(megabytes * 1e6), 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            file.write(f"{number}\n{page[: size - file.tell()]}")
            number += 1


def train(text: Path, name: str, runs: Path, steps: int) -> dict[str, float]:
    """Train ``steps`` steps of the preset ``quick``; returns peak memory and seconds to the first event."""
    command = [sys.executable, "-P", "-m", "charlstm", "train", str(text), "--preset", "quick", "--name", name]
    command += ["--set", f"max_steps={steps}", "--set", "max_minutes=none", "--runs-dir", str(runs), "--json"]
    events, peak, first_event, begin = RunFolder(runs / name).events_path, 0, 0.0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status")
            found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text()) if status.exists() else None
            peak = max(peak, int(found[1]) if found else 0)
            if not first_event and events.exists() and events.stat().st_size:
                first_event = time.perf_counter() - begin
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise SystemExit(f"charlstm train ended with {process.returncode}")
    return {"peak_mb": round(peak / 1024, 1), "first_event_s": round(first_event, 2)}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--megabytes", type=float, default=1000.0)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    report: dict[str, object] = {"megabytes": options.megabytes}
    with empty_home() as folder:
        peaks = {}
        for name, megabytes in (("small", 1.0), ("large", options.megabytes)):
            text = folder / f"{name}.txt"
            write_text(text, megabytes)
            first, second = (train(text, f"{name}-{turn}", folder / "runs", options.steps) for turn in (1, 2))
            report[name] = {"first": first, "second": second}
            peaks[name] = max(first["peak_mb"], second["peak_mb"])
        report["above_small_mb"] = round(peaks["large"] - peaks["small"], 1)
        report["mb_per_second"] = round(megabytes / (first["first_event_s"] - second["first_event_s"]), 1)
    print(json.dumps(report))


if __name__ == "__main__":
    main()

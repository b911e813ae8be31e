"""Measure how fast a run trains alone, beside other programs, and beside another run, as a user starts it.

    python tests/benchmarks/busy_machine.py [--text FILE] [--minutes 0.4] [--rounds 3] [--against PYTHON]

Trains the preset ``quick`` with the command ``train``: alone, alone with one thread, two runs at once, and beside one
and two busy processes. Each line has the characters per second that a run trained with, medians over the rounds. Then
``quick`` as it is, beside four busy processes: the time by the clock, the steps and the loss. Every process is a
session of its own, as those of a desktop or of several users are, and the busy ones have a niceness of 0.

``--against`` names the Python of another installation of the program, which is measured in turns with this one.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from _common import busy, default_text, parser_of

from charlstm.system import cpu_count, cpu_model

GIVE_UP = 300.0
"""Seconds after which a run of a minute is ended."""


@dataclass(frozen=True)
class Trained:
    """What a run reached: characters per second of training, seconds by the clock, steps and loss."""

    speed: float
    seconds: float
    steps: int
    loss: float
    whole: bool


class Version:
    """An installation of the program, with runs and caches of its own."""

    def __init__(self, python: str, folder: Path, text: str) -> None:
        self._python, self._folder, self._text = python, folder, text
        folder.mkdir()
        self._environment = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
        self._count = 0

    def start(self, *options: str) -> tuple[subprocess.Popen[str], float]:
        self._count += 1
        command = [self._python, "-m", "charlstm", "train", self._text, "--preset", "quick", "--json"]
        command += ["--runs-dir", str(self._folder / "runs"), "--name", f"run-{self._count}", *options]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, env=self._environment, start_new_session=True, **streams), time.monotonic()

    def result(self, started: tuple[subprocess.Popen[str], float], number: int) -> Trained:
        child, began = started
        try:
            output, _ = child.communicate(timeout=GIVE_UP)
        except subprocess.TimeoutExpired:
            child.terminate()
            output, _ = child.communicate()
        seconds = time.monotonic() - began
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        last = events[-1]
        plan = json.loads((self._folder / "runs" / f"run-{number}" / "run.json").read_text())["plan"]
        speed = last["step"] * plan["batch_size"] * plan["seq_length"] / max(last["train_seconds"], 1e-9)
        return Trained(speed, seconds, last["step"], last["loss"], bool(last["best_whole"]))

    def train(self, *options: str, at_once: int = 1) -> list[Trained]:
        started = []
        for _ in range(at_once):
            started.append((self.start(*options), self._count))
        return [self.result(each, number) for each, number in started]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--text", default=default_text())
    parser.add_argument("--minutes", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", metavar="PYTHON")
    options = parser.parse_args()
    short = ("--max-minutes", str(options.minutes))
    conditions = {
        "alone": (0, 1, short), "alone, one thread": (0, 1, (*short, "--threads", "1")),
        "two runs at once, each": (0, 2, short), "beside one busy process": (1, 1, short), "beside two": (2, 1, short),
        "quick beside four": (4, 1, ()),
    }  # fmt: skip
    print(f"{cpu_model()}, {cpu_count()} cores, {platform.system()} {platform.release()}")
    with tempfile.TemporaryDirectory() as folder:
        versions = {"this": Version(sys.executable, Path(folder, "this"), options.text)}
        if options.against:
            versions = {"other": Version(options.against, Path(folder, "other"), options.text), **versions}
        for version in versions.values():  # reads the text, and measures the kernels
            version.train("--max-minutes", "0.1")
        found: dict[tuple[str, str], list[Trained]] = defaultdict(list)
        for _ in range(options.rounds):
            for condition, (processes, runs, settings) in conditions.items():
                for name, version in versions.items():
                    with busy(processes):
                        found[condition, name] += version.train(*settings, at_once=runs)
    for condition in conditions:
        for name in versions:
            runs_found = found[condition, name]
            speeds = [each.speed for each in runs_found]
            seconds = [each.seconds for each in runs_found]
            print(
                f"{condition:<24} {name:<6} {statistics.median(speeds):>8,.0f} characters/s "
                f"({min(speeds):,.0f} to {max(speeds):,.0f})  {statistics.median(seconds):6.1f} s by the clock "
                f"({min(seconds):.0f} to {max(seconds):.0f})  {statistics.median(e.steps for e in runs_found):>6,.0f} "
                f"steps  loss {statistics.median(e.loss for e in runs_found):.3f}"
                f"{'' if all(e.whole for e in runs_found) else ' (an estimate)'}"
            )
    if options.against:
        for condition in conditions:
            speeds = {name: statistics.median(e.speed for e in found[condition, name]) for name in versions}
            print(f"{condition:<24} this / other {speeds['this'] / speeds['other']:.2f}")


if __name__ == "__main__":
    main()

"""Train with this version and with another one in turns, and print what a preset gives in each.

    git worktree add ../old 3024684    # the state of 0.2 in which this version began
    python tests/benchmarks/two_versions.py ../old TEXT… [--preset quick] [--seed N] [--results FILE]

Each run has its time from nothing, as everybody's, so the machine should be idle; which version is first changes from
text to text. The loss is that of the run's model on the whole held-out part, as the run itself found it at its end.
``--results`` adds a line for each run to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from quality import processor

from charlstm.runs.log import read_events
from charlstm.training.events import Finished

HERE = Path(__file__).resolve().parents[2]


def version(project: Path) -> str:
    """The version of a project, and its commit if git knows it."""
    number = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    commit = subprocess.run(
        ["git", "-C", project, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return f"{number} {commit.stdout.strip()}".strip()


def from_nothing(environment: dict[str, str]) -> list[str]:
    """The options for a start from nothing: before 0.3 there was no other, and no word for it."""
    command = [sys.executable, "-m", "charlstm", "train", "--help"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return ["--from", "none"] if re.search(r"--from MODEL[^[]* none:", told) else []


def train(project: Path, text: str, preset: str, seed: int) -> dict[str, Any]:
    """Train with the version in ``project``; the line of the run."""
    with tempfile.TemporaryDirectory() as folder:
        places = {f"CHARLSTM_{name}": f"{folder}/{name.lower()}" for name in ("CACHE", "STATE", "RUNS")}
        environment = os.environ | places | {"PYTHONPATH": str(project / "core")}
        words = [str(Path(text).resolve()) if Path(text).exists() else text, "--preset", preset, "--seed", str(seed)]
        words += from_nothing(environment)
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "charlstm", "train", *words, "--name", "measured"], env=environment, check=True
        )
        seconds = time.monotonic() - began
        *_, last = read_events(Path(folder) / "runs" / "measured" / "events.jsonl")
    assert isinstance(last, Finished), last
    return {
        "text": Path(text).name,
        "preset": preset,
        "seed": seed,
        "version": version(project),
        "loss": last.loss,
        "steps": last.step,
        "seconds": round(seconds, 1),
        "machine": processor(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the folder of the other version")
    parser.add_argument("text", nargs="+", help="files or built-in texts")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, help="add a line for each run to this file")
    asked = parser.parse_args()
    differences = []
    print(f"{'text':<30}{'other':>9}{'this':>9}{'difference':>12}")
    for number, text in enumerate(asked.text):
        lines = {}
        for project in (asked.other.resolve(), HERE)[:: -1 if number % 2 else 1]:
            line = lines[project] = train(project, text, asked.preset, asked.seed)
            if asked.results is not None:
                with asked.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
        other, this = lines[asked.other.resolve()]["loss"], lines[HERE]["loss"]
        differences.append(this - other)
        print(f"{Path(text).name:<30}{other:>9.4f}{this:>9.4f}{this - other:>+12.4f}", flush=True)
    print(f"{'mean':<30}{'':>18}{statistics.mean(differences):>+12.4f}")


if __name__ == "__main__":
    main()

"""``make torture``: every long form in turn, and one table of what was tried and what was lost.

What each of them prints goes by on stderr; the table is printed last, on stdout. Takes up to an hour on two cores.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent

Row = tuple[str, int, int]
"""What was tried, how many, and how many of them were lost."""


def kills(output: str) -> Iterator[Row]:
    for what, accidents, different in re.findall(r"^((?:kill|power|folder).*?)  +\d+ +(\d+) +(\d+)$", output, re.M):
        yield f"worker: {what}", int(accidents), int(different)


def files(output: str) -> Iterator[Row]:
    for what, tried, lost in re.findall(r"^(\S.*?)  +(\d+) +\d+ +\d+ +[\d.]+ s +(\d+)$", output, re.M):
        yield f"damaged files: {what}", int(tried), int(lost)


def specials(output: str) -> Iterator[Row]:
    for tried, lost in re.findall(r"^(\d+) special files in \d+ s, (\d+) lost$", output, re.M):
        yield "pipes, devices and links in place of files", int(tried), int(lost)


def corpora(output: str) -> Iterator[Row]:
    for tried, lost in re.findall(r"^(\d+) kinds of corpus in \d+ s, (\d+) lost$", output, re.M):
        yield "kinds of bad or strange corpus", int(tried), int(lost)


def keys(output: str) -> Iterator[Row]:
    rows = re.findall(r"^ *(\d+) +(\d+) +\d+ +\d+ +[\d,]+ +[\d.]+ MB +\d+ MB +\d+ s  (.*)$", output, re.M)
    for seed, tried, wrong in rows:
        yield f"app: keys, mouse, pastes, resizes, seed {seed}", int(tried), int(wrong != "0")


def sessions(output: str) -> Iterator[Row]:
    for what, tried, lost in re.findall(r"^(\S.*?)  +(\d+) +\d+ +\d+ ms +(\d+)$", output, re.M):
        yield f"sessions: {what}", int(tried), int(lost)


def outputs(output: str) -> Iterator[Row]:
    for what, tried, lost in re.findall(r"^((?:targets|writes|closed pipes).*?)  +(\d+) +(\d+)$", output, re.M):
        yield what, int(tried), int(lost)


def figures(output: str) -> Iterator[Row]:
    for tried, lost in re.findall(r"^(\d+) figures in \d+ s, (\d+) lost$", output, re.M):
        yield "losses compared with torch's", int(tried), int(lost)


def examples(output: str) -> Iterator[Row]:
    for tried, lost in re.findall(r"^(\d+) files of tests with random examples, (\d+) lost$", output, re.M):
        yield "files of tests, with 30 times as many random examples", int(tried), int(lost)


FUSED = ["--kernel", "fused", "--threads", "2", "--hidden-size", "256"]
FUSED += ["--kills", "60", "--cuts", "40", "--folders", "0"]
THREADS = ["--kernel", "fused", "--thread-changes", "--hidden-size", "256"]
THREADS += ["--kills", "40", "--cuts", "20", "--folders", "0"]
ASKED = ["--kills", "120", "--cuts", "40", "--folders", "0"]

PARTS = (
    (["kill_worker.py"], kills),
    (["kill_worker.py", *FUSED], kills),
    (["kill_worker.py", *THREADS], kills),
    (["kill_sessions.py"], sessions),
    *((["kill_worker.py", "--ask", command, *ASKED], kills) for command in ("set-lr", "more", "finish")),
    (["mutate_files.py"], files),
    (["special_files.py"], specials),
    (["bad_corpora.py", "--train"], corpora),
    (["outputs.py"], outputs),
    (["exact_figures.py"], figures),
    (["more_examples.py"], examples),
    (["fuzz_app.py"], keys),
)


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows: list[Row] = []
    failed = False
    for command, read in PARTS:
        began, lines = time.monotonic(), []
        print(f"— {' '.join(command)} —", file=sys.stderr)
        script = [sys.executable, "-u", str(HERE / command[0]), *command[1:]]
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, errors="replace") as part:
            assert part.stdout is not None
            for line in part.stdout:
                sys.stderr.write(line)
                lines.append(line)
        found = list(read("".join(lines)))
        failed |= part.returncode != 0 or not found
        rows += found or [(f"{command[0]} broke off", 0, 1)]
        print(f"— {time.monotonic() - began:.0f} s —", file=sys.stderr)
    print(f"\n{'tried':<64}{'how many':>10}{'lost':>6}")
    for what, tried, lost in rows:
        print(f"{what:<64}{tried:>10,}{lost:>6}")
    print(f"{'all':<64}{sum(row[1] for row in rows):>10,}{sum(row[2] for row in rows):>6}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

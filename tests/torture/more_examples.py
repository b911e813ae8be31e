"""Runs the tests with random examples on many more of them than the suite tries.

``python tests/torture/more_examples.py [--times N]`` says how many files of tests there were, and fails when a test
fails. Hypothesis prints the example.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from random_examples import TIMES

TESTS = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=30, help="so many times as many examples as the suite tries")
    asked = parser.parse_args()
    files = [str(path) for path in TESTS.rglob("test_*.py") if "@examples(" in path.read_text(encoding="utf-8")]
    command = [sys.executable, "-m", "pytest", "-m", "hypothesis", "-n", "2", *files]
    done = subprocess.run(command, cwd=TESTS.parent, env=os.environ | {TIMES: str(asked.times)}, check=False)
    print(f"{len(files)} files of tests with random examples, {int(done.returncode != 0)} lost")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

"""docs/example.py uses every public name of the library, and runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import charlstm

EXAMPLE = Path(__file__).parents[1] / "docs" / "example.py"


def test_example_uses_every_public_name() -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "charlstm"
    }
    assert used == {*charlstm.__all__, "__version__"}


def test_example_runs_on_small_text(tmp_path: Path) -> None:
    text = tmp_path / "small.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. The end\n" * 400, encoding="utf-8")
    places = {f"CHARLSTM_{name}": str(tmp_path / name.lower()) for name in ("CACHE", "STATE", "RUNS")}
    # With its usual niceness a run would wait for the tests beside this one.
    script = EXAMPLE.read_text(encoding="utf-8").replace(r"threads = 1\n", r"threads = 1\nniceness = 0\n")
    assert "niceness" in script
    done = subprocess.run(
        [sys.executable, "-c", script, text],
        env=os.environ | places | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^40 \d\.\d{3} nats per character on held-out text$", done.stdout, re.M)
    assert re.search(r"^\['example'\] \d+ \[", done.stdout, re.M)
    assert done.stdout.splitlines()[-1].startswith("There is no run 'no such run'")

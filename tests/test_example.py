"""docs/example.py uses every public name of the library, and runs."""

from __future__ import annotations

import ast
import re
import sys
import tempfile
from pathlib import Path

import pytest

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


def test_example_runs_on_small_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "small.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. The end\n" * 400, encoding="utf-8")
    for name in ("CACHE", "STATE", "RUNS"):
        monkeypatch.setenv(f"CHARLSTM_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(text)])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # With its usual niceness a run would wait for the tests beside this one.
    small = "threads=1, niceness=0, batch_size=4, seq_length=16, "
    script = EXAMPLE.read_text(encoding="utf-8").replace("threads=1, ", small)
    assert small in script
    exec(compile(script, EXAMPLE, "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert re.search(r"^40 \d\.\d{3} nats per character on held-out text$", printed, re.M)
    assert re.search(r"^\['example'\] \d+ \[", printed, re.M)
    assert printed.splitlines()[-1].startswith("There is no run 'no such run'")

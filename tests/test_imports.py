"""What is loaded when modules are imported; import-linter (pyproject.toml) proves what they may import."""

import json
import pkgutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

import charlstm
import charlstm_tui


def _modules(package: object) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    return [module.name for module in found if not module.name.endswith("__main__")]


def _loaded_after(*stages: Sequence[str]) -> list[set[str]]:
    """Top-level packages that a fresh interpreter holds after each of ``stages``, names of modules to import."""
    code = f"""
import json, sys
for names in {stages!r}:
    for name in names:
        __import__(name)
    print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return [set(json.loads(line)) for line in answer.stdout.splitlines()]


def test_no_module_loads_what_it_does_not_need() -> None:
    """numpy takes 0.2 s of the half second until the first paint: of the texts, or of the runs if there are any."""
    packages = [f"charlstm.{name}" for name in ("text", "model", "training", "generation", "insight", "runs")]
    first_screen = ("charlstm_tui.app", "charlstm_tui.corpus.screen", "charlstm_tui.runs.screen")
    core = [name for name in _modules(charlstm) if not name.startswith("charlstm.engine")]
    assert "charlstm.runs.worker" in core
    stages = (("charlstm_tui.main",), ("charlstm", *packages), first_screen, (*core, *_modules(charlstm_tui)))
    by_command, by_packages, by_first_screen, by_all = _loaded_after(*stages)
    assert "textual" not in by_command, "Textual would read the frame rate before it is chosen"
    assert not by_packages & {"numpy", "torch", "rich"}
    assert not by_first_screen & {"numpy", "torch", "requests"}
    assert "textual" in by_all
    assert "torch" not in by_all, "a module of the app, or of the core without the engine, loads torch"


@pytest.mark.parametrize("command", ["charlstm.cli.main", "charlstm_tui.main"])
def test_on_windows_each_command_says_in_a_sentence_how_to_get_linux(command: str) -> None:
    code = f"""
import sys, click
sys.platform = "win32"
sys.modules |= dict.fromkeys(("fcntl", "termios", "resource"))
import {command}
"""
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "`wsl --install`" in answer.stderr

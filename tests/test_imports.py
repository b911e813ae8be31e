"""What is loaded when modules are imported; import-linter (pyproject.toml) proves what they may import."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import charlstm
import charlstm_tui


def _modules(package: object) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")  # type: ignore[attr-defined]
    return [module.name for module in found if not module.name.endswith("__main__")]


def _loaded_after(*modules: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after importing ``modules``."""
    code = f"import sys, json\nfor name in {modules!r}: __import__(name)\n"
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout))


def test_app_and_core_without_the_engine_load_no_torch() -> None:
    core = [name for name in _modules(charlstm) if not name.startswith("charlstm.engine")]
    assert "charlstm.runs.worker" in core
    loaded = _loaded_after(*core, *_modules(charlstm_tui))
    assert "textual" in loaded
    assert "torch" not in loaded


def test_first_screen_loads_neither_numpy_nor_what_fetches() -> None:
    """numpy takes 0.2 s of the half second until the first paint: of the texts, or of the runs if there are any."""
    loaded = _loaded_after("charlstm_tui.app", "charlstm_tui.corpus.screen", "charlstm_tui.runs.screen")
    assert not loaded & {"numpy", "torch", "pooch", "requests"}


def test_packages_themselves_import_nothing() -> None:
    packages = ("text", "model", "training", "generation", "insight", "runs")
    loaded = _loaded_after("charlstm", *(f"charlstm.{name}" for name in packages))
    assert not loaded & {"numpy", "torch", "rich"}

"""Which packages a fresh interpreter ends up with: the promise that the app and light commands never load torch."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import charlstm
import charlstm_tui

MAY_IMPORT_TORCH = (
    "charlstm.model.network",
    "charlstm.model.kernel",
    "charlstm.model.foreign",
    "charlstm.training.",
)
FREE_OF_TORCH = (
    "charlstm.training.config",
    "charlstm.training.events",
    "charlstm.training.presets",
    "charlstm.training.ranks",
    "charlstm.training.schedule",
    "charlstm.training.seams",
)


def _modules(package: object) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")  # type: ignore[attr-defined]
    return [module.name for module in found if not module.name.endswith("__main__")]


def _loaded_after(*modules: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after importing ``modules``."""
    code = f"import sys, json\nfor name in {modules!r}: __import__(name)\n"
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout))


def _is_free(name: str) -> bool:
    return name in FREE_OF_TORCH or not any(name == room or name.startswith(room) for room in MAY_IMPORT_TORCH)


CORE = ["charlstm", *_modules(charlstm)]


def test_everything_that_need_not_import_torch_does_not() -> None:
    free = [name for name in CORE if _is_free(name)]
    assert "charlstm.cli.main" in free
    assert "charlstm.runs.folder" in free
    assert "torch" not in _loaded_after(*free)


def test_core_knows_nothing_of_the_app() -> None:
    loaded = _loaded_after(*CORE)
    assert not loaded & {"textual", "textual_plot", "charlstm_tui"}


def test_the_app_never_imports_torch() -> None:
    loaded = _loaded_after("charlstm_tui", *_modules(charlstm_tui))
    assert "textual" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("floor", ["text", "model", "training", "generation", "runs"])
def test_a_floor_itself_imports_nothing(floor: str) -> None:
    assert not _loaded_after(f"charlstm.{floor}") & {"numpy", "torch", "safetensors", "rich"}

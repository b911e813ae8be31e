"""What may import what: torch, the app's toolkit, and the order of the packages."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import charlstm
import charlstm_tui

ENGINE = "charlstm.engine"
"""The only package that imports torch."""


def _modules(package: object) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")  # type: ignore[attr-defined]
    return [module.name for module in found if not module.name.endswith("__main__")]


CORE = ["charlstm", *_modules(charlstm)]
APP = ["charlstm_tui", *_modules(charlstm_tui)]


def _loaded_after(*modules: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after importing ``modules``."""
    code = f"import sys, json\nfor name in {modules!r}: __import__(name)\n"
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout))


def _source(name: str) -> ast.Module:
    module = sys.modules.get(name) or __import__(name, fromlist=["_"])
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8"))


def _imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules of ``known`` that ``tree`` imports anywhere, those for type checking included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another (Tarjan 1972: strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_only_the_engine_imports_torch() -> None:
    free = [name for name in CORE if name != ENGINE and not name.startswith(ENGINE + ".")]
    assert "charlstm.runs.worker" in free
    assert "torch" not in _loaded_after(*free)
    importing = [
        name for name in free if "torch" in {each.partition(".")[0] for each in _imported(_source(name), set())}
    ]
    assert importing == [], "imports inside functions and for type checking count too"


@pytest.mark.parametrize("modules", [CORE, APP], ids=["core", "app"])
def test_modules_form_no_import_cycle(modules: list[str]) -> None:
    """Imports inside functions and those for type checking count: a reader follows them too. The packages themselves
    are left out: the names of the core's load when they are first used."""
    names = set(modules) - {"charlstm", "charlstm_tui"}
    graph = {
        name: {each for each in _imported(_source(name), names) if each in names and each != name} for name in names
    }
    assert _cycles(graph) == []


def test_core_knows_nothing_of_the_app() -> None:
    loaded = _loaded_after(*CORE)
    assert not loaded & {"textual", "charlstm_tui"}


def test_the_app_never_imports_torch() -> None:
    loaded = _loaded_after(*APP)
    assert "textual" in loaded
    assert "torch" not in loaded


def test_first_screen_loads_without_numpy() -> None:
    """numpy takes 0.2 s of the half second until the first paint: of the texts, or of the runs if there are any."""
    loaded = _loaded_after("charlstm_tui.app", "charlstm_tui.corpus.screen", "charlstm_tui.runs.screen")
    assert not loaded & {"numpy", "torch"}


@pytest.mark.parametrize("package", ["text", "model", "training", "generation", "insight", "runs"])
def test_a_package_itself_imports_nothing(package: str) -> None:
    assert not _loaded_after(f"charlstm.{package}") & {"numpy", "torch", "rich"}

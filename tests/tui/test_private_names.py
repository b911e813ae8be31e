"""The app uses no private name of Textual, nor one of its own objects from another file."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from functools import cache

import charlstm_tui

MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(charlstm_tui.__path__, "charlstm_tui.")
    if not module.name.endswith("__main__")
]
PUBLIC_IN_PYTHON = {"os._exit"}  # documented, in spite of its name


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


@cache
def _sources(module: str) -> dict[str, str]:
    """The source of each class of a module. ``inspect.getsource`` would parse the file again for each."""
    source = inspect.getsource(sys.modules[module])
    lines = source.splitlines()
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return {node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in classes}


@cache
def _private_names(textual_class: type) -> frozenset[str]:
    """The private methods and attributes that a class of Textual defines."""
    source = _sources(textual_class.__module__).get(textual_class.__name__, "")
    assigned = re.findall(r"\bself\.(_[a-z]\w*)\s*(?::[^=\n]+)?=[^=]", source)
    return frozenset(name for name in (*vars(textual_class), *assigned) if _is_private(name))


def test_private_names_of_textual_are_neither_used_nor_replaced() -> None:
    """Textual may rename them in any release, and a name of ours that it uses too would break it."""
    found = []
    for module in MODULES:
        for name, source in _sources(module.__name__).items():
            bases = [base for base in getattr(module, name).__mro__ if base.__module__.startswith("textual.")]
            private = frozenset[str]().union(*map(_private_names, bases))
            written = re.findall(r"(?:\b(?:self|cls|super\(\))\.|def |^ {4})(_[a-z]\w*)", source, re.MULTILINE)
            found += [f"{name}.{each}" for each in sorted(private & set(written))]
    assert found == []


def test_private_names_stay_in_their_file() -> None:
    found = []
    for module in MODULES:
        tree = ast.parse(inspect.getsource(module))
        defined = {
            getattr(node, "name", None) or getattr(node, "attr", None)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in defined:
                found.append(ast.unparse(node))
            elif isinstance(node, ast.ImportFrom):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                found += [f"{node.module}: {name}" for name in names if _is_private(name)]
    assert set(found) <= PUBLIC_IN_PYTHON

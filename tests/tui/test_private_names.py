"""No class of the app uses a private name that a class of Textual above it uses too: it would replace what Textual
relies on, and neither mypy nor Textual says so."""

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
PRIVATE = re.compile(r"(?:\bself\.|def |^ {4})(_[a-z]\w*)", re.MULTILINE)


@cache
def sources(module: str) -> dict[str, str]:
    """The classes of a module; to ask for one source after the other takes ten times as long."""
    source = inspect.getsource(sys.modules[module])
    lines, classes = source.splitlines(), (each for each in ast.parse(source).body if isinstance(each, ast.ClassDef))
    return {each.name: "\n".join(lines[each.lineno - 1 : each.end_lineno]) for each in classes}


@cache
def private_names(some_class: type) -> set[str]:
    return set(PRIVATE.findall(sources(some_class.__module__).get(some_class.__name__, "")))


def test_no_private_name_of_textual_is_replaced() -> None:
    classes = {each for module in MODULES for each in vars(module).values() if inspect.isclass(each)}
    replaced = set()
    for each in classes:
        bases = [base for base in each.__mro__ if base.__module__.startswith("textual.")]
        if each.__module__.startswith("charlstm_tui.") and bases:
            replaced |= private_names(each) & set[str]().union(*map(private_names, bases))
    assert replaced == set()

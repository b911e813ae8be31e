"""What no class of the app may do, of which neither mypy nor Textual says anything."""

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from functools import cache

import charlstm_tui
from charlstm_tui.safe_workers import SafeWorkers

MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(charlstm_tui.__path__, "charlstm_tui.")
    if not module.name.endswith("__main__")
]
CLASSES = [
    each
    for each in {each for module in MODULES for each in vars(module).values() if inspect.isclass(each)}
    if each.__module__.startswith("charlstm_tui.")
]
PRIVATE = re.compile(r"(?:\bself\.|def |^ {4})(_[a-z]\w*)", re.MULTILINE)


@cache
def sources(module: str) -> dict[str, str]:
    """The classes of a module; to ask for one source after the other takes ten times as long."""
    source = inspect.getsource(sys.modules[module])
    lines, classes = source.splitlines(), (each for each in ast.parse(source).body if isinstance(each, ast.ClassDef))
    return {each.name: "\n".join(lines[each.lineno - 1 : each.end_lineno]) for each in classes}


def source_of(some_class: type) -> str:
    return sources(some_class.__module__).get(some_class.__name__, "")


@cache
def private_names(some_class: type) -> set[str]:
    return set(PRIVATE.findall(source_of(some_class)))


def test_no_private_name_of_textual_is_replaced() -> None:
    """By a class that uses it too: Textual relies on its own."""
    replaced = set()
    for each in CLASSES:
        bases = [base for base in each.__mro__ if base.__module__.startswith("textual.")]
        replaced |= private_names(each) & set[str]().union(*map(private_names, bases))
    assert replaced == set()


def test_every_class_with_workers_has_safe_ones() -> None:
    found = [each for each in CLASSES if re.search(r"@work\b|self\.run_worker\(", source_of(each))]
    assert len(found) > 10
    assert [each for each in found if not issubclass(each, SafeWorkers)] == []

"""Train character-level LSTMs on any text, follow the training, and generate text: the public library.

Each name is loaded when it is first used, so that ``import charlstm`` is quick, and torch is imported only by what
computes with it. The names are those of ``__init__.pyi``, which type checkers read instead of this file.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

with open(os.path.splitext(__file__)[0] + ".pyi", encoding="utf-8") as _stub:
    _IMPORTS = [line.split() for line in _stub if line.startswith("from ")]

_MODULE_OF = {name: module for _, module, _, name, *_ in _IMPORTS}  # from MODULE import NAME as NAME

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # 16 ms

        return version("charlstm-tui")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

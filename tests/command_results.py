"""What each command prints with --json: its classes, and their fields as the classes declare them."""

import dataclasses
import functools
import inspect
import re
import typing
from typing import Any

from charlstm.cli import evaluate, generate, models, runs, sweep, texts
from charlstm.engine.evaluation import Evaluation
from charlstm.generation.novelty import NoveltyReport
from charlstm.generation.scoring import Scores
from charlstm.insight.cells import NamedCell
from charlstm.model.file import ModelConfig
from charlstm.runs.comparison import Difference
from charlstm.runs.folder import RunFolder
from charlstm.runs.queue import QueuedRun
from charlstm.runs.table import ListedRun
from charlstm.text.remote import RemoteText
from charlstm.text.statistics import Statistics
from charlstm.training.commands import Command
from charlstm.training.estimate import Estimate

NAMED = {"name": str, "about": str}
NOTED = (RunFolder, {"tags": list[str], "notes": str})
PRESET = {"slowdown": float, "crowded": bool, "settings": dict[str, Any]}

RESULTS: dict[str, Any] = {
    "corpora": list[texts.TextRow], "fetch": list[RemoteText], "stats": Statistics,
    "presets": [NAMED], "presets --settings": [NAMED | {"takes": str, "default": str}],
    "presets TEXT": [(NAMED, Estimate, PRESET)],
    "train --detach": RunFolder, "resume --detach": RunFolder,
    "queue add": QueuedRun, "queue list": list[QueuedRun], "queue remove": list[QueuedRun],
    "lesson": [(RunFolder, {"added": bool})], "runs": list[ListedRun],
    "control": (Command, runs.ControlDetails),
    "tag": NOTED, "note": NOTED, "rename": (RunFolder, {"former": str}), "delete": (RunFolder, {"left": list[str]}),
    "prune": [(RunFolder, {"files": int, "bytes": int, "pruned": bool})],
    "sweep": sweep.SweepResult,
    "generate": generate.GenerateResult,
    "eval": (Evaluation, evaluate.EvalDetails),
    "score": (Scores, evaluate.ScoreDetails), "score --against": evaluate.ScoreAgainstResult,
    "novelty": (NoveltyReport, evaluate.NoveltyDetails),
    "compare": {"runs": list[ListedRun], "differences": list[Difference]},
    "log": {"out": str, "to": str}, "cells": list[NamedCell], "report": {"out": str, "bytes": int},
    "info": (ModelConfig, models.InfoDetails), "import": (ModelConfig, {"out": str}), "export": {"out": str, "to": str},
    "config init": {"path": str, "exists": bool},
    "doctor": {"sections": dict[str, dict[str, str]], "problems": list[str], "notes": list[str]},
    "cache prune": {"freed": int},
}  # fmt: skip
"""By the words that call a command. A tuple is one object with the fields of several classes; a dictionary is an object
that has no class."""


def parts_of(kind: Any) -> tuple[Any, ...]:
    """The types within a type: of the items of a list, or the alternatives."""
    return tuple(kind) if isinstance(kind, list) else typing.get_args(kind)


def json_fields(kind: Any) -> dict[str, Any]:
    """The fields of a class in JSON, with their types; none of what is no object there."""
    if isinstance(kind, tuple):
        return {name: hint for part in kind for name, hint in json_fields(part).items()}
    if isinstance(kind, dict):
        return kind
    if typing.is_typeddict(kind):
        return typing.get_type_hints(kind, include_extras=True)
    if not isinstance(kind, type) or not (dataclasses.is_dataclass(kind) or hasattr(kind, "JSON_FIELDS")):
        return {}
    names = getattr(kind, "JSON_FIELDS", None) or [each.name for each in dataclasses.fields(kind)]
    return {name.rpartition(".")[2]: attribute(kind, name)[0] for name in names}


def attribute(kind: type, path: str) -> tuple[Any, str]:
    """The type of an attribute of a class, or of an attribute's attribute (``run.name``), and its description."""
    name, _, rest = path.partition(".")
    hints, declared = typing.get_type_hints(kind), inspect.getattr_static(kind, name, None)
    getter = declared.func if isinstance(declared, functools.cached_property) else getattr(declared, "fget", None)
    hint = hints.get(name, Any) if getter is None else typing.get_type_hints(getter)["return"]
    if rest:
        return attribute(hint, rest)
    return hint, inspect.getdoc(getter) or "" if getter else attributes(kind).get(name, "")


def descriptions(kind: Any) -> dict[str, str]:
    """What the docstrings of a class and of its properties say of the fields in JSON."""
    if isinstance(kind, tuple):
        return {name: text for part in kind for name, text in descriptions(part).items()}
    if hasattr(kind, "JSON_FIELDS"):
        return {path.rpartition(".")[2]: attribute(kind, path)[1] for path in kind.JSON_FIELDS}
    return attributes(kind)


def attributes(kind: Any) -> dict[str, str]:
    """What the docstring of a class and of its bases says of attributes below ``Attributes:``."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__ if isinstance(kind, type) else ()):
        _, _, listed = (inspect.getdoc(each) or "").partition("Attributes:\n")
        for names, text in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {5,}.*)*)", listed, re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found

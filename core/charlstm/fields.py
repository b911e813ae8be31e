"""Dataclasses as JSON and back. JSON that is read may come from anywhere, so the type of each value is checked."""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

MAX_INTEGER = 2**53
"""Larger integers are not exact as floats."""
MAX_FLOAT = sys.float_info.max

T = TypeVar("T")
Reader = Callable[[Any], Any]


def plain(value: Any) -> Any:
    """``value`` as JSON has it: dataclasses become objects, tuples become lists, also inside one another.

    A class has the attributes in its JSON that its ``JSON_FIELDS`` names, which may be properties; ``run.name`` stands
    there as ``name``. Without ``JSON_FIELDS`` a dataclass has its fields.
    """
    if hasattr(value, "JSON_FIELDS"):
        return {name.rpartition(".")[2]: plain(operator.attrgetter(name)(value)) for name in value.JSON_FIELDS}
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return str(value) if isinstance(value, Path) else value


def read(kind: type[T], values: Mapping[str, Any]) -> T:
    """The inverse of :func:`plain` for the dataclass ``kind``. Other names are ignored; a field that is missing has its
    default, so that a file of an earlier version can be read.

    A field may be an int (from 0 to 2^53), a float (finite), str, bool, dict, a ``Literal`` of strings, a dataclass, a
    tuple or a mapping of one of these, or one of these or None. Raises :class:`TypeError` or :class:`ValueError`.
    """
    if not isinstance(values, Mapping):
        raise TypeError("it is no object")
    readers: dict[str, Reader] = _readers(kind)  # type: ignore[arg-type]
    return kind(**{name: reader(values[name]) for name, reader in readers.items() if name in values})


@functools.cache
def _readers(kind: Any) -> dict[str, Reader]:
    """For each field of the dataclass ``kind``, the function that checks a JSON value and returns the field's value."""
    hints = typing.get_type_hints(kind)
    return {spec.name: _reader(hints[spec.name]) for spec in fields(kind)}


def _reader(hint: Any) -> Reader:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        optional = _reader(inner[0])
        return lambda given: None if given is None else optional(given)
    if origin is tuple:
        each = _reader(inner[0])
        return lambda given: tuple(map(each, given if type(given) is tuple else _exactly(list, given)))
    if origin is Mapping:
        value = _reader(inner[1])
        return lambda given: {name: value(one) for name, one in _exactly(dict, given).items()}
    if origin is Literal:
        return functools.partial(_one_of, inner)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda given: given if isinstance(given, hint) else read(hint, given)
    return {int: _integer, float: _finite_float}.get(hint) or functools.partial(_exactly, origin or hint)


def _integer(given: Any) -> int:
    if type(given) is not int:
        raise TypeError
    if not 0 <= given < MAX_INTEGER:
        raise ValueError
    return given


def _finite_float(given: Any) -> float:
    if type(given) not in (int, float):
        raise TypeError
    if not -MAX_FLOAT <= given <= MAX_FLOAT:  # false for nan too
        raise ValueError
    return float(given)


def _one_of(choices: tuple[str, ...], given: Any) -> Any:
    if type(given) is not str or given not in choices:
        raise ValueError
    return given


def _exactly(kind: type, given: Any) -> Any:
    if type(given) is not kind:
        raise TypeError
    return given

"""Check the fields of a dataclass that are read from untrusted JSON.

Each value must have the type that the class declares. Besides, integers are from 0 to 2^53 and floats are finite. The
caller decides which fields may be missing.
"""

from __future__ import annotations

import functools
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal

MAX_INTEGER = 2**53
"""Larger integers are not exact as floats."""
MAX_FLOAT = sys.float_info.max

Reader = Callable[[Any], Any]


def typed_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of ``values`` that are fields of the dataclass ``kind``, checked; other keys are ignored.

    A field may be an int, float, str, bool, dict, a ``Literal`` of strings, a tuple of one of these, or one of these or
    None; an object of another class is taken as it is. Raises :class:`TypeError` or :class:`ValueError`.
    """
    return {name: read(values[name]) for name, read in field_readers(kind).items() if name in values}


@functools.cache
def field_readers(kind: type) -> dict[str, Reader]:
    """For each field of the dataclass ``kind``, the function that checks a JSON value and returns the field's value."""
    hints = typing.get_type_hints(kind)
    return {spec.name: _reader(hints[spec.name]) for spec in fields(kind)}


def _reader(hint: Any) -> Reader:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        read = _reader(inner[0])
        return lambda given: None if given is None else read(given)
    if origin is tuple:
        each = _reader(inner[0])
        return lambda given: tuple(map(each, given if type(given) is tuple else _exactly(list, given)))
    if origin is Literal:
        return functools.partial(_one_of, inner)
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

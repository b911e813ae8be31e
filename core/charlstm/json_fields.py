"""Dataclasses out of JSON that may be anybody's: every field gets a value of the type that the class says, or it fails.

What reads such a record then relies on its types: whole numbers are at least 0 and exact as floats, figures are finite.
Which fields may be missing, and what a failure means, is the caller's to say.
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


MAX_FLOAT = sys.float_info.max

Reader = Callable[[Any], Any]


def typed_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that are fields of the dataclass ``kind``, as its fields take them; others are left out.

    Raises :class:`TypeError` or :class:`ValueError`. Fields are numbers, words, truth values, ``Literal`` words, tuples
    of these, or one of these or None.
    """
    return {name: read(values[name]) for name, read in field_readers(kind).items() if name in values}


@functools.cache
def field_readers(kind: type) -> dict[str, Reader]:
    """For each field of the dataclass ``kind``, what makes its value of one out of JSON, or raises."""
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
    return {int: _whole, float: _figure}.get(hint) or functools.partial(_exactly, hint)


def _whole(given: Any) -> int:
    if type(given) is not int:
        raise TypeError
    if not 0 <= given < MAX_INTEGER:
        raise ValueError
    return given


def _figure(given: Any) -> float:
    if type(given) not in (int, float):
        raise TypeError
    if not -MAX_FLOAT <= given <= MAX_FLOAT:  # what is not a number is not within either
        raise ValueError
    return float(given)


def _one_of(words: tuple[str, ...], given: Any) -> Any:
    if type(given) is not str or given not in words:
        raise ValueError
    return given


def _exactly(kind: type, given: Any) -> Any:
    if type(given) is not kind:
        raise TypeError
    return given

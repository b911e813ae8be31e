"""Check what a user can get wrong in the arguments of public functions: values out of their limits, and a path, a text
or a model in place of another."""

from __future__ import annotations

import contextlib
import math
import numbers
import os
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from charlstm.display import short
from charlstm.errors import CharLSTMError, GenerationError

Error = type[CharLSTMError]
N = TypeVar("N", int, float)


def number(
    name: str, value: N, low: float | None = None, high: float | None = None, *, error: Error = GenerationError
) -> N:
    """``value`` as a number of Python, if it is finite and from ``low`` to ``high``."""
    found = of_python(value)
    if not abs(found) < math.inf or (low is not None and found < low) or (high is not None and found > high):
        raise error(f"{name} takes a number{_between(low, high)}, not {short(value)}")
    return found  # type: ignore[no-any-return]


def of_python(value: Any) -> Any:
    """``value``, or if it is a number of another kind, such as numpy's, the same number as an int or a float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def whole_number(value: Any, least: int, most: int) -> int:
    """A whole number in these limits, such as from a JSON file. Raises :class:`ValueError`."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{str(value)[:50]} is not a whole number from {least} to {most}")
    return value


def one_of(name: str, value: object, choices: Collection[object], *, error: Error = GenerationError) -> None:
    """Raise ``error`` unless ``value`` is one of ``choices``."""
    if value not in choices:
        words = ", ".join(map(repr, choices))
        raise error(f"{name} takes one of {words}, not {short(value)}")


def instance(
    name: str,
    value: object,
    kind: type[Any] | tuple[type[Any], ...],
    takes: str,
    *,
    error: Error = GenerationError,
) -> None:
    """Raise ``error`` unless ``value`` is an object of ``kind``; ``takes`` says in words what is expected."""
    if not isinstance(value, kind):
        raise error(f"{name} takes {takes}, not {short(value)}")


@contextlib.contextmanager
def disk_errors(what: str, value: object, *, error: Error = CharLSTMError) -> Iterator[None]:
    """Inside the block an :class:`OSError` becomes ``error``, whose sentence says that ``what`` cannot be used.

    Values that no file system takes as a name, such as one with a NUL character, are treated in the same way.
    """
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
    except ValueError as problem:
        if not isinstance(problem, UnicodeError) and "null" not in str(problem):
            raise
        reason = "a name cannot have this character"
    else:
        return
    raise error(f"{what} {short(os.fspath(value))} cannot be used ({reason}): check its name")  # type: ignore[call-overload]


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {_figure(low)} to {_figure(high)}"
    return "" if low is None else f" of at least {_figure(low)}"


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.15g}"

"""Check the arguments of public functions, so that a wrong one is a :class:`CharLSTMError` that says what it takes."""

from __future__ import annotations

import contextlib
import math
import numbers
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

from charlstm.display import short
from charlstm.errors import CharLSTMError, GenerationError

Error = type[CharLSTMError]
T = TypeVar("T")


def whole(
    name: str, value: object, low: int | None = None, high: int | None = None, *, error: Error = GenerationError
) -> int:
    """``value`` as an int, if it is a whole number from ``low`` to ``high``; numpy's integers are."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
        if (low is None or number >= low) and (high is None or number <= high):
            return number
    raise error(f"{name} takes a whole number{_between(low, high)}, not {short(value)}")


def number(
    name: str, value: object, low: float | None = None, high: float | None = None, *, error: Error = GenerationError
) -> float:
    """``value`` as a float, if it is a finite number from ``low`` to ``high``."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:  # an int of more than 308 digits
            found = math.inf
        if math.isfinite(found) and (low is None or found >= low) and (high is None or found <= high):
            return found
    raise error(f"{name} takes a number{_between(low, high)}, not {short(value)}")


def of_python(value: Any) -> Any:
    """``value``, or if it is a number of another kind, such as numpy's, the same number as an int or a float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def whole_number(value: Any, least: int, most: int) -> int:
    """A number of a JSON file, if it is a whole one in these limits. Raises :class:`ValueError`."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{str(value)[:50]} is not a whole number from {least} to {most}")
    return value


def text(name: str, value: object, *, error: Error = GenerationError) -> str:
    """``value``, if it is a string."""
    if not isinstance(value, str):
        raise error(f"{name} takes a string, not {short(value)}")
    return value


def path(name: str, value: object, *, takes: str = "the path of a file", error: Error = GenerationError) -> Any:
    """``value``, if it is a string or a path, and so may be a name."""
    if not isinstance(value, (str, os.PathLike)):
        raise error(f"{name} takes {takes}, not {short(value)}")
    return value


def one_of(name: str, value: object, choices: Collection[object], *, error: Error = GenerationError) -> None:
    """Raise ``error`` unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        words = ", ".join(map(repr, choices))
        raise error(f"{name} takes one of {words}, not {short(value)}")


def instance(
    name: str,
    value: object,
    kind: type[T] | tuple[type[Any], ...],
    takes: str,
    *,
    error: Error = GenerationError,
) -> None:
    """Raise ``error`` unless ``value`` is an object of ``kind``; ``takes`` says in words what is expected."""
    if not isinstance(value, kind):
        raise error(f"{name} takes {takes}, not {short(value)}")


def flag(name: str, value: object, *, error: Error = GenerationError) -> None:
    """Raise ``error`` unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise error(f"{name} takes True or False, not {short(value)}")


def function(name: str, value: object, *, error: Error = GenerationError) -> None:
    """Raise ``error`` unless ``value`` can be called, or is None."""
    if value is not None and not callable(value):
        raise error(f"{name} takes a function, not {short(value)}")


def spans(name: str, value: object, stop: int) -> None:
    """Raise :class:`GenerationError` unless ``value`` is a sequence of pairs ``(start, stop)`` of positions from 0 to
    ``stop``."""
    pairs = value if isinstance(value, Sequence) and not isinstance(value, str) else [None]
    for each in pairs:
        pair = each if isinstance(each, Sequence) and len(each) == 2 else (-1, -1)
        if not all(isinstance(place, numbers.Integral) for place in pair) or not 0 <= pair[0] <= pair[1] <= stop:
            raise GenerationError(
                f"{name} takes pairs of positions, first start and then stop, from 0 to {stop:,}, not {short(value)}"
            )


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

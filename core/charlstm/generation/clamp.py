"""Hold or scale single cells of an LSTM while it runs.

Layers and cells count from 1, as everywhere that a user sees them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charlstm import arguments
from charlstm.display import cell_name, plural
from charlstm.errors import GenerationError

if TYPE_CHECKING:
    from charlstm.model.file import ModelConfig

MOST_VALUE = 1e6
"""The largest value to hold a cell at. States are float32, where a much larger one is infinite; the output gate reads
their tanh, so that states beyond some 10 differ no longer."""

_FORM = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*([=*])\s*(\S+)\s*")
_FACTOR_AND_VALUE = re.compile(r"(\S*[^eE+-])([+-][^+-]\S*)")
"""A sign after an e belongs to an exponent."""


@dataclass(frozen=True, slots=True)
class Clamp:
    """Replace the cell state c of one cell by ``factor`` · c + ``value`` in each step, before the output gate reads it.

    ``Clamp(2, 317, value=1.0)`` holds cell 317 of layer 2 at 1.0, ``Clamp(2, 317)`` silences it, and
    ``Clamp(2, 317, factor=0.5)`` halves it in each step.
    """

    layer: int
    cell: int
    value: float = 0.0
    factor: float = 0.0

    def __post_init__(self) -> None:
        value = arguments.number("The value of a clamp", self.value, -MOST_VALUE, MOST_VALUE)
        factor = arguments.number("The factor of a clamp", self.factor)
        layer, cell = operator.index(self.layer), operator.index(self.cell)
        for name, number in (("layer", layer), ("cell", cell), ("value", value), ("factor", factor)):
            object.__setattr__(self, name, number)
        if abs(self.factor) > 1:
            raise GenerationError(
                f"A cell that is multiplied by {abs(self.factor):g} in every step grows without limit: "
                "use a factor from -1 to 1, or hold the cell at a value"
            )

    def __str__(self) -> str:
        """What :func:`parse_clamp` reads as an equal clamp."""
        place = cell_name((self.layer, self.cell))
        value, factor = (repr(float(number)).removesuffix(".0") for number in (self.value, self.factor))
        if not self.factor:
            return f"{place}={value}"
        sign = "" if self.value < 0 else "+"
        return f"{place}*{factor}" + (f"{sign}{value}" if self.value else "")


def parse_clamp(text: str) -> Clamp:
    """Read ``LAYER:CELL=VALUE``, which holds a cell, ``LAYER:CELL*FACTOR``, which scales it, or
    ``LAYER:CELL*FACTOR+VALUE``, which does both, also with a minus.

    Raises:
        GenerationError: the text has another form, or a number is not accepted.
    """
    found = _FORM.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        layer, cell, sign, number = int(found[1]), int(found[2]), found[3], found[4]
        if sign == "=":
            return Clamp(layer, cell, value=float(number))
        both = _FACTOR_AND_VALUE.fullmatch(number)
        factor, value = (number, "0") if both is None else both.groups()
        return Clamp(layer, cell, float(value), float(factor))
    except ValueError:
        raise GenerationError(
            f"{text!r} is not a clamp: write LAYER:CELL=VALUE, such as 2:317=1.0, "
            "or LAYER:CELL*FACTOR, such as 2:317*0.5"
        ) from None


def existing_clamps(clamps: Iterable[Clamp], config: ModelConfig) -> tuple[Clamp, ...]:
    """Those of cells that a model has: a text may go on in a smaller one."""
    return tuple(each for each in clamps if each.layer <= config.num_layers and each.cell <= config.hidden_size)


def check_clamps(clamps: Sequence[Clamp], num_layers: int, hidden_size: int) -> None:
    """Raise :class:`GenerationError` for a cell that the network does not have, or that is named twice."""
    seen: set[tuple[int, int]] = set()
    for each in clamps:
        if not (1 <= each.layer <= num_layers and 1 <= each.cell <= hidden_size):
            raise GenerationError(
                f"The model has no cell {cell_name((each.layer, each.cell))}: it has {plural(num_layers, 'layer')} of "
                f"{hidden_size} cells, which count from 1"
            )
        if (each.layer, each.cell) in seen:
            raise GenerationError(f"Cell {cell_name((each.layer, each.cell))} is clamped twice: give it one clamp")
        seen.add((each.layer, each.cell))

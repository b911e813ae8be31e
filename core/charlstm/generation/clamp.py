"""Hold single cells of an LSTM while it runs.

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

_FORM = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*=\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Clamp:
    """Set the cell state c of one cell to ``value`` in each step, before the output gate reads it.

    ``Clamp(2, 317, value=1.0)`` holds cell 317 of layer 2 at 1.0, and ``Clamp(2, 317)`` silences it.
    """

    layer: int
    cell: int
    value: float = 0.0

    def __post_init__(self) -> None:
        value = arguments.number("The value of a clamp", self.value, -MOST_VALUE, MOST_VALUE)
        layer, cell = operator.index(self.layer), operator.index(self.cell)
        for name, number in (("layer", layer), ("cell", cell), ("value", value)):
            object.__setattr__(self, name, number)

    def __str__(self) -> str:
        """What :func:`parse_clamp` reads as an equal clamp."""
        value = repr(float(self.value)).removesuffix(".0")
        return f"{cell_name((self.layer, self.cell))}={value}"


def parse_clamp(text: str) -> Clamp:
    """Read ``LAYER:CELL=VALUE``, which holds a cell.

    Raises:
        GenerationError: the text has another form, or a number is not accepted.
    """
    found = _FORM.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        return Clamp(int(found[1]), int(found[2]), float(found[3]))
    except ValueError:
        raise GenerationError(f"{text!r} is not a clamp: write LAYER:CELL=VALUE, such as 2:317=1.0") from None


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
            raise GenerationError(f"Cell {cell_name((each.layer, each.cell))} is clamped twice: give a cell one clamp")
        seen.add((each.layer, each.cell))

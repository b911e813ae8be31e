"""Measure which cells matter: how much the loss of a text rises when a cell is silenced.

To silence a cell is to hold its state c at 0 in every step. For all cells at once it is estimated to first order: the
derivative of the loss by a factor on the cell state, computed by backpropagation through time in numpy, as in pruning
(Molchanov et al. 2017, arXiv:1611.06440). Exactly, the text is read again with each cell silenced, many cells side by
side.

A trained model has few cells that matter alone. On 2 × 512 models of a novel and of Python's reference, silencing one
of 64 random cells raised the loss by 0.0007 nats on average and by 0.003 at most, and the estimate from 4,000
characters ranked them with a correlation of 0.2 only: it serves to choose the cells that are then measured.
:func:`most_important` does both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.display import short_repr
from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.softmax import cross_entropy, softmax
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads
from charlstm.insight.activations import WARM_UP
from charlstm.insight.sample import spread_blocks
from charlstm.insight.side_by_side import Report, compute

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.intp]

STREAMS = 16
"""Parts of a text that are read side by side for the estimate."""

SIDE_BY_SIDE = 63
"""Silenced cells that are measured side by side, and the whole network beside them."""

ESTIMATE_CHARS = 4_000
"""Characters from all over a text on which :func:`most_important` estimates which cells matter."""

BLOCKS = 24
"""Blocks from all over a text in which these are then measured; their means give the standard error."""

SETTLING = 16
"""Characters of a block that are read with the cell silenced before its loss counts."""

COUNTED = 64
"""And those that count. 63 cells of 2 × 512 take some 10 s of one core in all blocks, 5 s of two."""

TELLS = 2
"""Standard errors beyond which a rise of the loss is one."""


@dataclass(frozen=True, slots=True)
class Lesions:
    """What silencing each cell does to the loss of a text.

    Attributes:
        loss: mean nats per character with all cells.
        estimates: ``(L, H)`` float32, the estimated rise of the loss in nats per character when the cell is silenced.
        chars: how many characters were predicted.
    """

    loss: float
    estimates: Floats
    chars: int

    __repr__ = short_repr

    def ranked(self, count: int = 20) -> list[tuple[tuple[int, int], float]]:
        """The cells that matter most, most important first: layer and cell, counted from 1, and their estimate."""
        arguments.number("count", count, 0)
        order = np.argsort(-self.estimates, axis=None, kind="stable")[:count]
        hidden = self.estimates.shape[1]
        return [
            ((int(which) // hidden + 1, int(which) % hidden + 1), float(self.estimates.flat[which])) for which in order
        ]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredLesions:
    """What silencing some cells does to the loss of a text.

    Attributes:
        cells: layer and cell, counted from 1, the one that matters most first.
        means: ``(K,)`` float32, the rise of the mean loss in nats per character.
        errors: ``(K,)`` float32, its standard error.
        chars: how many characters were predicted, in blocks from all over the text.
    """

    cells: tuple[tuple[int, int], ...]
    means: Floats
    errors: Floats
    chars: int

    __repr__ = short_repr

    @property
    def tells(self) -> list[bool]:
        """For each cell whether its rise is beyond :data:`TELLS` standard errors."""
        beyond: list[bool] = (np.abs(self.means) > TELLS * self.errors).tolist()
        return beyond


def most_important(
    model: Model,
    text: str,
    *,
    count: int = SIDE_BY_SIDE,
    also: Sequence[tuple[int, int]] = (),
    progress: Callable[[int, int], None] | None = None,
) -> MeasuredLesions:
    """Measure the ``count`` cells that the estimate finds most important, and others, in blocks from all over ``text``,
    and rank them.

    Args:
        also: cells that are among the ``count`` in any case.
        progress: called with ``(done, total)`` parts of the work; an exception ends it.

    Raises:
        GenerationError: the text is too short.
    """

    def part(begin: int, share: int) -> Callable[[int, int], None]:
        return lambda done, total: progress(begin + share * done // total, 100) if progress is not None else None

    ids = _ids(model, text, 4 * BLOCKS)
    estimates = _estimate(model, ids, ESTIMATE_CHARS, part(0, 20))
    likely = [cell for cell, _ in estimates.ranked(count)]
    cells = list(dict.fromkeys([*also, *likely]))[: max(count, len(also))]
    rises, chars = _rises_in_blocks(model, ids, cells, part(20, 80))
    means, errors = rises.mean(1), rises.std(1, ddof=1) / np.sqrt(np.float32(rises.shape[1]))
    order = np.argsort(-means, kind="stable")
    return MeasuredLesions(tuple(cells[index] for index in order), means[order], errors[order], chars)


def _rises_in_blocks(
    model: Model, ids: Ids, cells: Sequence[tuple[int, int]], progress: Callable[[int, int], None]
) -> tuple[Floats, int]:
    """``(K, B)`` float32: the rise of the mean loss in each block with each cell silenced, and how many characters all
    blocks have together. The whole network reads what stands before a block, the cell is silenced in it alone."""
    blocks = spread_blocks(len(ids), BLOCKS * (SETTLING + COUNTED + 1), BLOCKS)
    length = min(stop - start for start, stop in blocks)
    settling = min(SETTLING, length // 4)
    starts = np.array([start for start, _ in blocks])
    stepper, network = Stepper(model), _Network(model)
    state = stepper.zero_state(BLOCKS)
    with blas_threads(1):
        for step in range(-WARM_UP, 0):
            positions = starts + step
            stepper.step(ids[np.maximum(positions, 0)], state)
            state.unpack(np.where(positions >= 0, state.pack(), 0), state.matched)
    before = state.pack()

    def measure(block: int, stepper: Stepper, report: Report) -> Floats:
        part = ids[starts[block] : starts[block] + length]
        rises = []
        for first in range(0, len(cells), SIDE_BY_SIDE):
            some = cells[first : first + SIDE_BY_SIDE]

            def tell(at: int, first: int = first, count: int = len(some)) -> None:
                report(first + at * count // (length - 1))

            losses = network.losses(part, some, tell, before[..., block])
            rises.append(losses[1:, settling:].mean(1) - losses[0, settling:].mean())
        return np.concatenate(rises)

    jobs = [partial(measure, block) for block in range(BLOCKS)]
    found = compute(stepper, jobs, progress, BLOCKS * len(cells))
    return np.stack(found, 1), BLOCKS * (length - 1 - settling)


def estimate_lesions(model: Model, text: str) -> Lesions:
    """Estimate for every cell what silencing it does to the loss of ``text``, to first order.

    The text is read in :data:`STREAMS` parts, each from an empty state; memory grows with its length, some 50 KB per
    character at 2 × 512.

    Raises:
        GenerationError: the text has fewer than two characters per part that the model knows.
    """
    ids = _ids(model, text, 2 * STREAMS)
    return _estimate(model, ids, len(ids), lambda done, total: None)


def _estimate(model: Model, ids: Ids, read: int, progress: Callable[[int, int], None]) -> Lesions:
    """As :func:`estimate_lesions`, on ``read`` characters from all over ``ids``."""
    length = min(read, len(ids)) // STREAMS
    starts = np.array([start for start, _ in spread_blocks(len(ids), read, STREAMS)])
    with blas_threads(1):
        loss, slopes = _Network(model).loss_and_slopes(ids[starts[:, None] + np.arange(length)], progress)
    return Lesions(loss, -slopes, STREAMS * (length - 1))


def measure_lesions(
    model: Model,
    text: str,
    cells: Sequence[tuple[int, int]],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Measure what silencing each of ``cells`` does to each character of ``text``.

    Args:
        cells: layer and cell, both counted from 1.
        progress: called with ``(done, total)`` predicted characters of all cells; an exception ends the work.

    Returns:
        ``(K, N)`` float32: the rise of each character's loss in nats with each cell silenced. The first character is
        not predicted: not-a-number.
    """
    ids = _ids(model, text, 2)
    network = _Network(model)
    rises = np.full((len(cells), len(ids)), np.nan, np.float32)
    with blas_threads(1):
        for start in range(0, len(cells), SIDE_BY_SIDE):
            some = cells[start : start + SIDE_BY_SIDE]

            def report(at: int, start: int = start, count: int = len(some)) -> None:
                if progress is not None:
                    progress(start * (len(ids) - 1) + count * at, len(cells) * (len(ids) - 1))

            losses = network.losses(ids, some, report)
            rises[start : start + len(some), 1:] = losses[1:] - losses[0]
    return rises


def _ids(model: Model, text: str, least: int) -> Ids:
    if model.text_options.units is not None:  # whose state is emptied at each, which is not done here
        raise GenerationError("Silencing cells is not measured for a model that was trained on units")
    prepared = prepare_prime(model, text, empty_is_fine=True)
    if prepared.known < least:
        raise GenerationError(
            f"The text has {prepared.known:,} characters that the model knows: measuring its cells needs at least "
            f"{least}"
        )
    return prepared.ids


class _Network:
    """The LSTM in plain numpy, forwards and backwards, with torch's order of gates: i, f, g, o."""

    def __init__(self, model: Model) -> None:
        self.layers, self.hidden = model.config.num_layers, model.config.hidden_size
        weights = model.weights
        self.inputs = [weights[f"lstm.weight_ih_l{layer}"] for layer in range(self.layers)]
        self.recurrent = [weights[f"lstm.weight_hh_l{layer}"] for layer in range(self.layers)]
        self.biases = [
            weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"] for layer in range(self.layers)
        ]
        self.head, self.head_bias = weights["fc.weight"], weights["fc.bias"]

    def losses(
        self, ids: Ids, silenced: Sequence[tuple[int, int]], report: Callable[[int], None], before: Floats | None = None
    ) -> Floats:
        """``(1 + K, N - 1)``: the loss of each character but the first, with nothing silenced and with each of
        ``silenced``. ``report`` is called with the number of each character after it is predicted; ``before`` has the
        outputs and cell states ``(2, L, H)`` before the text, or is None for zeros."""
        streams = 1 + len(silenced)
        kept = np.ones((self.layers, streams, self.hidden), np.float32)
        for stream, (layer, cell) in enumerate(silenced, 1):
            kept[layer - 1, stream, cell - 1] = 0
        begun = np.zeros((2, self.layers, self.hidden), np.float32) if before is None else before
        hidden, cells = begun[:, :, None].repeat(streams, 2)
        found = np.empty((streams, len(ids) - 1), np.float32)
        for at, (char, target) in enumerate(pairwise(ids)):
            below: Floats | None = None
            for layer in range(self.layers):
                from_below = self.inputs[layer][:, char] if below is None else below @ self.inputs[layer].T
                gates = from_below + hidden[layer] @ self.recurrent[layer].T + self.biases[layer]
                i, f, g, o = _activated(gates)
                cells[layer] = (f * cells[layer] + i * g) * kept[layer]
                below = hidden[layer] = o * np.tanh(cells[layer])
            found[:, at] = cross_entropy(hidden[-1] @ self.head.T + self.head_bias, np.full(streams, target))
            report(at + 1)
        return found

    def loss_and_slopes(self, parts: Ids, progress: Callable[[int, int], None]) -> tuple[float, Floats]:
        """The mean loss of ``parts`` ``(B, T)``, each read from an empty state, and its derivative ``(L, H)`` by a
        factor on each cell state, which is 1."""
        streams, length = parts.shape
        steps = length - 1
        shape = (self.layers, steps, streams, self.hidden)
        gates = np.empty((self.layers, steps, 4, streams, self.hidden), np.float32)
        cells, hidden = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        zero = np.zeros((streams, self.hidden), np.float32)
        for at in range(steps):
            progress(at, 2 * steps)
            below: Floats | None = None
            for layer in range(self.layers):
                before, cell_before = (hidden[layer, at - 1], cells[layer, at - 1]) if at else (zero, zero)
                from_below = self.inputs[layer].T[parts[:, at]] if below is None else below @ self.inputs[layer].T
                i, f, g, o = _activated(from_below + before @ self.recurrent[layer].T + self.biases[layer])
                gates[layer, at] = i, f, g, o
                cells[layer, at] = f * cell_before + i * g
                below = hidden[layer, at] = o * np.tanh(cells[layer, at])
        logits = hidden[-1] @ self.head.T + self.head_bias
        flat, targets = logits.reshape(steps * streams, -1), parts[:, 1:].T.reshape(-1)
        loss = float(cross_entropy(flat, targets).mean())
        errors = softmax(flat)
        errors[np.arange(len(errors)), targets] -= 1
        from_above = ((errors / len(errors)).astype(np.float32) @ self.head).reshape(steps, streams, -1)
        slopes = np.zeros((self.layers, self.hidden), np.float32)
        for layer in reversed(range(self.layers)):
            to_hidden, to_cell = zero, zero
            down = np.zeros((steps, streams, self.hidden), np.float32)
            for at in reversed(range(steps)):
                progress(steps + (steps - at + (self.layers - 1 - layer) * steps) // self.layers, 2 * steps)
                i, f, g, o = gates[layer, at]
                cell = cells[layer, at]
                squashed = np.tanh(cell)
                hidden_slope = from_above[at] + to_hidden
                cell_slope = hidden_slope * o * (1 - squashed * squashed) + to_cell
                slopes[layer] += (cell_slope * cell).sum(0)
                cell_before = cells[layer, at - 1] if at else zero
                gate_slopes = np.concatenate(
                    [
                        cell_slope * g * i * (1 - i),
                        cell_slope * cell_before * f * (1 - f),
                        cell_slope * i * (1 - g * g),
                        hidden_slope * squashed * o * (1 - o),
                    ],
                    axis=1,
                )
                to_hidden = gate_slopes @ self.recurrent[layer]
                to_cell = cell_slope * f
                if layer:
                    down[at] = gate_slopes @ self.inputs[layer]
            from_above = down
        return loss, slopes


def _activated(gates: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The gates i, f, g, o of pre-activations ``(B, 4H)``."""
    i, f, g, o = np.split(gates, 4, axis=1)
    return _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)


def _sigmoid(values: Floats) -> Floats:
    result: Floats = np.float32(0.5) * np.tanh(np.float32(0.5) * values) + np.float32(0.5)
    return result

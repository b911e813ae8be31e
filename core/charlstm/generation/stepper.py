"""Compute a trained LSTM one character at a time, in numpy. The logits agree with ``nn.LSTM``'s to 1e-5.

How it is made fast:

- A character is one-hot, so the first layer's input product is a look-up of a column of its input matrix.
- Every layer needs one product ``W @ [h_below; h]``. For one stream it takes as long as reading ``W`` from memory.
- Gates are reordered to (i, f, o, g), so that one slice holds all sigmoids. sigmoid(x) = (tanh(x / 2) + 1) / 2, and the
  halves are already in the weights, so one call of tanh computes all four gates.
- Results are written into buffers that are allocated once.

Streams are columns, and ``W`` is stored column by column: the fastest order for one stream and nearly so for many
(measured with OpenBLAS).
"""

from __future__ import annotations

import copy
import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.generation.clamp import Clamp, check_clamps
from charlstm.text.unit_kinds import prefix, separator

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.integer]

BLOCK = 256
"""Characters whose input product is computed at once in :meth:`Stepper.outputs`. Products of another size may round
differently and change a text, so blocks always count from the start of the ids."""

LONG = 64 * BLOCK
"""Of a longer prime, :meth:`Stepper.consume` reads only the last so many characters if the model forgets those before
them. Trained models forget within 512 to 1,024 characters: states that began differently then differ by 2e-6, as much
as rounding makes of equal ones."""

_BATCHES_KEPT = 16
"""Numbers of streams for which buffers are kept: growing batches would fill the memory with them."""

_MOST_COPIED = 2**28
"""Bytes of weights beyond which no second copy is made."""
_FORGOTTEN = 1e-4
_LARGE_PAGE = 2 << 20
_HALF = np.float32(0.5)


@dataclass(slots=True)
class StepperState:
    """The hidden state of ``B`` streams.

    Attributes:
        inputs: float32, the right side of each layer's product. Layer 0: ``(H, B)``, its own last output. Others:
            ``(2H, B)``, the output of the layer below and their own.
        cells: ``(L, H, B)`` float32, the cell states.
        matched: ``(B,)``, how many characters of a separator each stream read last, if the model was trained on units.
    """

    inputs: list[Floats]
    cells: Floats
    matched: Ids

    @property
    def batch(self) -> int:
        """``B``, the number of streams."""
        return int(self.cells.shape[2])

    def repeat(self, batch: int) -> StepperState:
        """The state of ``batch`` streams, each equal to this single one."""
        return self.select([0] * batch)

    def select(self, streams: Sequence[int] | npt.NDArray[np.intp]) -> StepperState:
        """The state of the streams with these numbers, in this order; a stream may be taken several times."""
        inputs = [each.take(streams, 1) for each in self.inputs]
        return StepperState(inputs, self.cells.take(streams, 2), self.matched.take(streams))

    @staticmethod
    def concatenate(states: Sequence[StepperState]) -> StepperState:
        """One state with the streams of several."""
        inputs = [np.concatenate(columns, 1) for columns in zip(*(state.inputs for state in states), strict=True)]
        cells, matched = (
            np.concatenate(each, -1) for each in zip(*((s.cells, s.matched) for s in states), strict=True)
        )
        return StepperState(inputs, cells, matched)

    def pack(self) -> Floats:
        """The state as one new array ``(2, L, H, B)`` float32: outputs, then cell states."""
        packed = np.empty((2, *self.cells.shape), np.float32)
        size = self.cells.shape[1]
        for layer, columns in enumerate(self.inputs):
            packed[0, layer] = columns[-size:]
        packed[1] = self.cells
        return packed

    def unpack(self, packed: Floats, matched: Ids | int = 0) -> None:
        """Set the state to what :meth:`pack` returned. ``matched``: :meth:`Stepper.matched_by` what was read before."""
        self.matched[:] = matched
        size = self.cells.shape[1]
        for layer, output in enumerate(packed[0]):
            self.inputs[layer][-size:] = output
            if layer + 1 < len(self.inputs):
                self.inputs[layer + 1][:size] = output
        np.copyto(self.cells, packed[1])


class Stepper:
    """The network of ``model``, with its weights packed for computing one character at a time.

    One stepper can be used with any number of states, but by one thread at a time, as its buffers are shared.

    Raises:
        ModelError: the weights are so large that logits would not be finite.
    """

    def __init__(self, model: Model) -> None:
        model.check_computable()
        config = model.config
        self.vocab_size, self.hidden_size, self.num_layers = config.vocab_size, config.hidden_size, config.num_layers
        weights = model.weights
        self._products: list[Floats] = []
        self._biases: list[Floats] = []
        for layer in range(self.num_layers):
            from_below, from_self = weights[f"lstm.weight_ih_l{layer}"], weights[f"lstm.weight_hh_l{layer}"]
            bias = (weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"])[:, None]
            self._biases.append(_gates_packed([bias]))
            if layer == 0:
                self._rows: Floats = np.ascontiguousarray(_gates_packed([from_below + bias]).T)
                self._products.append(_gates_packed([from_self]))
            else:
                self._products.append(_gates_packed([from_below, from_self]))
        self._head = _by_columns(weights["fc.weight"].shape)
        self._head[:] = weights["fc.weight"]
        self._head_bias = np.ascontiguousarray(weights["fc.bias"], np.float32)
        self._buffers: dict[int, _Buffers] = {}
        self._clamps: tuple[Clamp, ...] = ()
        self._clamped: list[_ClampedCells | None] = [None] * self.num_layers
        self._units = _Units.of(model)

    def for_another_thread(self) -> Stepper:
        """A stepper with the same weights and clamps and with buffers of its own."""
        other = copy.copy(self)
        other._products_by_rows = self._products_by_rows
        other._buffers, other._clamped = {}, [*self._clamped]
        return other

    @property
    def clamps(self) -> tuple[Clamp, ...]:
        """Cells that are held in every step from now on, in every stream. Each is applied to the cell state
        c before the output gate, and what it becomes is also what the cell remembers.

        Raises :class:`GenerationError` when one is set that the network does not have.
        """
        return self._clamps

    @clamps.setter
    def clamps(self, clamps: Sequence[Clamp]) -> None:
        if tuple(clamps) == self._clamps:
            return
        check_clamps(clamps, self.num_layers, self.hidden_size)
        self._clamps = tuple(clamps)
        for layer in range(self.num_layers):
            here = [each for each in self._clamps if each.layer == layer + 1]
            self._clamped[layer] = _ClampedCells.of(here) if here else None

    def zero_state(self, batch: int = 1) -> StepperState:
        """The state of ``batch`` streams before the first character: zeros, or that at the beginning of a unit."""
        size, layers = self.hidden_size, self.num_layers
        inputs = [np.zeros((size if layer == 0 else 2 * size, batch), np.float32) for layer in range(layers)]
        state = StepperState(inputs, np.zeros((layers, size, batch), np.float32), np.zeros(batch, np.intp))
        if self._units is not None:
            self._layers(self._rows[self._units.last, :, None], state)
            state.matched[:] = self._units.at_begin
        return state

    def matched_by(self, ids: Ids) -> int:
        """How many characters of a separator of units a text ends with, of which ``ids`` are as many of the last as
        :attr:`separator_length`, or all; 0 for a model without units."""
        if self._units is None:
            return 0
        length = self._units.length
        matched = self._units.at_begin if len(ids) <= length else 0
        return int(self._units.follow(ids[-length:], matched)[-1]) if len(ids) else matched

    @property
    def separator_length(self) -> int:
        """Characters of a separator of units; 0 for a model that was not trained on them."""
        return 0 if self._units is None else self._units.length

    def _begin_units(self, ids: Ids | int, state: StepperState) -> None:
        """Empty the state of the streams that read the last character of a separator with ``ids``."""
        if self._units is not None:
            state.matched = np.broadcast_to(self._units.after[state.matched, ids], state.matched.shape).copy()
            for columns in (*state.inputs, state.cells):
                columns[..., state.matched == self._units.length] = 0

    def step(self, ids: Ids, state: StepperState) -> Floats:
        """Feed one character to each stream and return the logits of the next ones.

        Args:
            ids: ``(B,)`` integers below ``vocab_size``.
            state: of ``B`` streams; changed in place.

        Returns:
            ``(B, V)`` float32, a buffer that the next call overwrites.
        """
        self._begin_units(ids, state)
        if state.batch == 1:
            self._layers(self._rows[ids].T, state)
        else:
            looked_up = self._buffers_for(state.batch).looked_up
            self._layers(np.take(self._rows_across, ids, axis=1, out=looked_up, mode="clip"), state)
        return self.logits(state)

    def advance(self, which: int, state: StepperState) -> None:
        """Feed the character ``which`` to all streams, without computing logits."""
        self._begin_units(which, state)
        self._layers(self._rows[which, :, None], state)

    def advance_hiding(self, which: int, hidden: int, weights: Floats, state: StepperState) -> None:
        """Feed the character ``which`` to all streams but one, without computing logits.

        Args:
            hidden: the stream that gets a mixture of characters instead.
            weights: ``(V,)`` float32, the mixture; probabilities stand for a character that is only expected.
            state: of ``B`` streams; changed in place.
        """
        self._begin_units(which, state)
        looked_up = self._buffers_for(state.batch).looked_up
        looked_up[:] = self._rows[which, :, None]
        looked_up[:, hidden] = weights @ self._rows
        self._layers(looked_up, state)

    def first_logits(self, state: StepperState) -> Floats:
        """The logits ``(V,)`` float32 of the first stream alone."""
        return self.head(state.inputs[-1][-self.hidden_size :, 0])

    def logits(self, state: StepperState, out: Floats | None = None) -> Floats:
        """The logits of the next characters: ``(B, V)`` float32, in ``out`` or in a buffer that the next call
        overwrites."""
        if out is None:
            out = self._buffers_for(state.batch).logits
        np.dot(state.inputs[-1][-self.hidden_size :].T, self._head.T, out=out)
        np.add(out, self._head_bias, out=out)
        return out

    @cached_property
    def _rows_across(self) -> Floats:
        """``(4H, V)``: looking up many streams here is five times as fast as transposing looked-up rows."""
        return np.ascontiguousarray(self._rows.T)

    @cached_property
    def _products_by_rows(self) -> list[Floats]:
        """``_products`` stored row by row, unless that takes much memory: at 2 × 512 a product with 2 to 16 streams is
        1.4 to 2 times as fast, one with 100 still by a tenth; with a single stream it is an eighth slower."""
        if sum(product.nbytes for product in self._products) > _MOST_COPIED:
            return self._products
        copies = [_by_columns(product.shape[::-1]).T for product in self._products]
        for by_rows, product in zip(copies, self._products, strict=True):
            for at in range(0, len(by_rows), 64):
                by_rows[at : at + 64] = product[at : at + 64]
        return copies

    def _buffers_for(self, batch: int) -> _Buffers:
        buffers = self._buffers.get(batch)
        if buffers is None:
            while len(self._buffers) >= _BATCHES_KEPT:
                del self._buffers[next(iter(self._buffers))]
            buffers = self._buffers[batch] = _Buffers(batch, self.hidden_size, self.vocab_size)
        return buffers

    def _layers(self, looked_up: Floats, state: StepperState) -> None:
        """One time step of all layers; ``looked_up`` ``(4H, B)`` is the first layer's input product."""
        size, last = self.hidden_size, self.num_layers - 1
        buffers = self._buffers_for(state.batch)
        products = self._products if state.batch == 1 else self._products_by_rows
        for layer, columns in enumerate(state.inputs):
            np.dot(products[layer], columns, out=buffers.gates)
            np.add(buffers.gates, looked_up if layer == 0 else self._biases[layer], out=buffers.gates)
            output = columns[-size:]
            buffers.cell(state.cells[layer], output, self._clamped[layer])
            if layer < last:
                state.inputs[layer + 1][:size] = output

    def outputs(self, ids: Ids, state: StepperState) -> Iterator[tuple[slice, Floats]]:
        """Feed a long text to one stream, layer by layer in blocks of :data:`BLOCK` characters.

        Within a block each layer's input product is one large product, and one layer's recurrent matrix stays in a
        faster cache than those of all layers.

        Args:
            ids: ``(N,)`` integers below ``vocab_size``.
            state: of one stream; changed in place, one block at a time.

        Yields:
            ``(which, tops)`` per block: a slice of ``ids``, and the top layer's outputs after each of these
            characters, ``(n, H)`` float32, for :meth:`head`.

        Equal to :meth:`step` to about 1e-6, not bit for bit, since products of other shapes round differently.
        """
        for which, outputs, _ in self.traces(ids, state, cells=False):
            yield which, outputs[-1]

    def traces(self, ids: Ids, state: StepperState, *, cells: bool = True) -> Iterator[tuple[slice, Floats, Floats]]:
        """As :meth:`outputs`, with what every cell of every layer did.

        Yields:
            ``(which, outputs, cell_states)`` per block: a slice of ``ids``, and h and c after each of these characters,
            ``(L, n, H)`` float32. Without ``cells`` the cell states are not recorded, and the array is empty.
        """
        size = self.hidden_size
        buffers = self._buffers_for(1)
        for start in range(0, len(ids), BLOCK):
            which = slice(start, min(start + BLOCK, len(ids)))
            below = self._rows[ids[which]]
            outputs = np.empty((self.num_layers, len(below), size), np.float32)
            cell_states = np.empty(outputs.shape if cells else (0, 0, 0), np.float32)
            resets = self._resets(ids[which], state)
            for layer, columns in enumerate(state.inputs):
                if layer > 0:
                    below = outputs[layer - 1] @ self._products[layer][:, :size].T + self._biases[layer].T
                recurrent = self._products[layer][:, -size:]
                output, cell = columns[-size:], state.cells[layer]
                clamped = self._clamped[layer]
                for at, pre_activations in enumerate(below):
                    if at in resets:
                        output[:], cell[:] = 0, 0
                    np.dot(recurrent, output, out=buffers.gates)
                    np.add(buffers.gates, pre_activations[:, None], out=buffers.gates)
                    buffers.cell(cell, output, clamped)
                    outputs[layer, at] = output[:, 0]
                    if cells:
                        cell_states[layer, at] = cell[:, 0]
                if layer + 1 < self.num_layers:
                    state.inputs[layer + 1][:size] = output
            yield which, outputs, cell_states

    def _resets(self, ids: Ids, state: StepperState) -> frozenset[int]:
        """The indices in ``ids`` of the last characters of separators, where the state of the one stream is reset."""
        if self._units is None or not len(ids):
            return frozenset()
        matched = self._units.follow(ids, int(state.matched[0]))
        state.matched[0] = matched[-1]
        return frozenset(np.flatnonzero(matched == self._units.length).tolist())

    def head(self, tops: Floats) -> Floats:
        """The logits ``(n, V)`` float32 of the top layer's outputs ``(n, H)``."""
        logits: Floats = tops @ self._head.T
        logits += self._head_bias
        return logits

    def consume(self, ids: Ids, state: StepperState, progress: Callable[[int, int], None] | None = None) -> Floats:
        """Feed a prime of any length to one stream and return the logits ``(1, V)`` after it.

        The result depends on ``ids`` and ``state`` only. Of more than :data:`LONG` characters only the last are read if
        the model forgets those before; the result is then that of reading all to about 1e-5.

        Args:
            ids: ``(N,)`` integers below ``vocab_size``.
            state: of one stream; changed in place.
            progress: called with ``(done, total)`` characters after each block; an exception ends the work.
        """
        report = progress or (lambda done, total: None)
        if len(ids) > LONG and self._forgets(ids[-LONG:], lambda: report(0, LONG)):
            ids = ids[-LONG:]
        for which, _ in self.outputs(ids, state):
            report(which.stop, len(ids))
        return self.logits(state)

    def _forgets(self, ids: Ids, report: Callable[[], None]) -> bool:
        """Whether the state after ``ids`` is the same from a zero state and from one of ones, except for rounding."""
        empty, full = self.zero_state(), self.zero_state()
        full.unpack(np.ones_like(full.pack()))
        for _ in zip(self.outputs(ids, empty), self.outputs(ids, full), strict=True):
            report()
            if np.allclose(empty.pack(), full.pack(), rtol=_FORGOTTEN, atol=_FORGOTTEN):
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Units:
    """Where units begin for a model that was trained on them (:mod:`charlstm.text.units`), as an automaton.

    Attributes:
        after: ``(S + 1, V)``, how many of the S characters of the separator are read after so many and a character.
        at_begin: the same at the beginning of a text.
        last: the last character of the separator, which a unit is read from.
    """

    after: Ids
    at_begin: int
    last: int

    @classmethod
    def of(cls, model: Model) -> _Units | None:
        units = model.text_options.units
        if units is None:
            return None
        found = [model.vocabulary.index(char) for char in separator(units)]
        if None in found:
            return None  # there is none in the text
        ids = [which for which in found if which is not None]
        after = np.zeros((len(ids) + 1, len(model.vocabulary)), np.intp)
        for matched in range(len(ids) + 1):
            for which in set(ids):
                read = [*ids[:matched], which]
                ends = (n for n in range(min(len(read), len(ids)), -1, -1) if read[len(read) - n :] == ids[:n])
                after[matched, which] = next(ends)
        return cls(after, 1 if prefix(units) else len(ids), ids[-1])

    @property
    def length(self) -> int:
        return len(self.after) - 1

    def follow(self, ids: Ids, matched: int) -> Ids:
        """How many characters of the separator are read after each of ``ids``."""
        found = np.empty(len(ids), np.intp)
        for at, which in enumerate(ids):
            found[at] = matched = self.after[matched, which]
        return found


@dataclass(frozen=True, slots=True)
class _ClampedCells:
    """The clamps of one layer as arrays: ``which`` ``(K,)`` become ``values`` ``(K, 1)``."""

    which: Ids
    values: Floats

    @classmethod
    def of(cls, clamps: Sequence[Clamp]) -> _ClampedCells:
        which = np.array([each.cell - 1 for each in clamps], np.intp)
        return cls(which, np.array([[each.value] for each in clamps], np.float32))


class _Buffers:
    """Buffers for ``batch`` streams, and the element-wise part of a layer."""

    def __init__(self, batch: int, hidden: int, vocab: int) -> None:
        self.gates = np.empty((4 * hidden, batch), np.float32)
        self.looked_up = np.empty_like(self.gates)
        self.logits = np.empty((batch, vocab), np.float32)
        self._sigmoids = self.gates[: 3 * hidden]
        self._i, self._f, self._o, self._g = self.gates.reshape(4, hidden, batch)
        self._squashed = np.empty((hidden, batch), np.float32)

    def cell(self, cell: Floats, output: Floats, clamped: _ClampedCells | None = None) -> None:
        """Compute ``cell`` and ``output``, both ``(H, B)``, in place from the pre-activations in ``gates``."""
        np.tanh(self.gates, out=self.gates)
        sigmoids = self._sigmoids
        np.multiply(sigmoids, _HALF, out=sigmoids)
        np.add(sigmoids, _HALF, out=sigmoids)
        np.multiply(cell, self._f, out=cell)
        np.multiply(self._i, self._g, out=self._g)
        np.add(cell, self._g, out=cell)
        if clamped is not None:
            cell[clamped.which] = clamped.values
        np.tanh(cell, out=self._squashed)
        np.multiply(self._o, self._squashed, out=output)


def _gates_packed(matrices: list[Floats]) -> Floats:
    """Matrices ``(4H, K)`` side by side, with torch's gates (i, f, g, o) in the order (i, f, o, g) and the rows of
    sigmoid gates halved."""
    size = len(matrices[0]) // 4
    packed = _by_columns((4 * size, sum(matrix.shape[1] for matrix in matrices)))
    start = 0
    for matrix in matrices:
        columns = slice(start, start + matrix.shape[1])
        for gate, source in enumerate((0, 1, 3, 2)):
            rows = matrix[source * size : (source + 1) * size]
            for at in range(0, size, 64):  # transposing in bands of 64 rows is twice as fast
                stop = min(at + 64, size)
                packed[gate * size + at : gate * size + stop, columns] = rows[at:stop]
        start = columns.stop
    sigmoids = packed[: 3 * size].T
    np.multiply(sigmoids, _HALF, out=sigmoids)  # exact, since 2 is the base of floats
    return packed


def _by_columns(shape: tuple[int, ...]) -> Floats:
    """An uninitialised matrix that is stored column by column, in large memory pages where the system has them.

    Reading megabytes for every character, small pages and an unaligned start cost a tenth of the time each.
    """
    size = math.prod(shape)
    memory = mmap.mmap(-1, 4 * size + _LARGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without large pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    values = np.frombuffer(memory, np.float32)
    start = -(values.ctypes.data // 4) % (_LARGE_PAGE // 4)
    return values[start : start + size].reshape(shape[::-1]).T

"""The training kernel for CPUs: loss and gradients of the LSTM written out by hand, in bfloat16 or float32.

Parameters and equations are those of ``nn.LSTM`` and a linear output layer. The loops over time are in ``recurrence``.
This module prepares them and combines their results: weights are cast, scaled and packed once per step; the rows of the
batch are divided among threads that do not wait for one another; and the gradients of the weights between hidden units
are one matrix product over the characters of all threads. Master weights, cell state and sums keep the precision of the
parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from charlstm.engine import recurrence
from charlstm.engine.masks import NO_MASKS, Masks, StepResult, multiplier
from charlstm.engine.network import CharLSTM, LSTMState
from charlstm.engine.recurrence import GATE_FACTORS, GATE_SCALES, Loops
from charlstm.engine.thread_pool import thread_pool
from charlstm.text.batches import NO_TARGET

GATE_GRADIENTS = tuple(scale * factor for scale, factor in zip(GATE_SCALES, GATE_FACTORS, strict=True))
"""Factors for the rows of each gate: applied to a product of stored gate gradients they give the true gradient, and
applied to weights they do so for the products of these weights with stored gate gradients."""

ROWS_PER_THREAD = 4
"""Minimum number of rows for a thread: with fewer, reading the weights in each thread costs more than it gains."""

LOGITS_AT_ONCE = 2**20
"""Maximum number of logits that a thread computes at a time, so that memory does not grow with the vocabulary."""

ADDED_AT_ONCE = 2**17
"""Gate gradients that are converted at a time before they are added up, so that they stay in the cache."""


@dataclass(frozen=True, slots=True)
class _LayerWeights:
    """A layer's weights for matrix products: scaled, in the precision of the products, packed."""

    forward: Tensor  # (4H, D + H)
    backward: Tensor  # (H, 4H)
    to_below: Tensor  # (4H, D), for the gradients of the layer below
    bias: Tensor  # (4H,)
    table: Tensor  # layer 0: (V, 4H) in the cell's precision, a row to add for each character; other layers: empty


@dataclass(frozen=True, slots=True)
class _StepWeights:
    layers: list[_LayerWeights]
    head: Tensor  # (V, H)
    head_bias: Tensor  # (V,)


class FusedKernel:
    """The fused kernel. ``dtype`` is the precision of products and of what is kept from forward to backward."""

    def __init__(self, network: CharLSTM, name: str, dtype: torch.dtype) -> None:
        self.name = name
        self._network = network
        self._dtype = dtype
        self._loops = recurrence.loops()
        self._packs = packs(dtype)
        self._shards: list[_Shard] = []
        self._pool: ThreadPoolExecutor | None = None
        self._layout: tuple[int, int, int] | None = None
        # Each layer's inputs and gate gradients, those of all shards in one tensor, so that one product reads them.
        self._reads: list[Tensor] = []
        self._gradients: list[Tensor] = []
        # Buffers for weights before packing and for gradients; allocating them in each step would cost page faults.
        self._scratch: dict[tuple[int, str], Tensor] = {}

    @torch.no_grad()
    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: LSTMState,
        masks: Masks = NO_MASKS,
        resets: Tensor | None = None,
    ) -> StepResult:
        """See :class:`charlstm.engine.kernels.Kernel`."""
        length, rows = inputs.shape
        carried = state[0].new_empty(0, rows, 1) if resets is None else (~resets).to(state[0].dtype).unsqueeze(2)
        self._divide(length, rows)
        count = int((targets != NO_TARGET).sum())
        kept = [multiplier(mask, self._dtype) for mask in masks.recurrent]
        weights = self._pack(kept, masks.recurrent_scale)

        def run(shard: _Shard) -> float:
            some = slice(shard.start, shard.stop)
            rows_of_shard = slice((length + 1) * shard.start, (length + 1) * shard.stop)
            return shard.run(
                weights,
                inputs[:, some],
                targets[:, some],
                (state[0][:, some], state[1][:, some]),
                masks.rows(shard.start, shard.stop),
                carried[:, some],
                [reads[rows_of_shard].view(length + 1, -1, reads.size(1)) for reads in self._reads],
                [gradients[rows_of_shard].view(length + 1, -1, gradients.size(1)) for gradients in self._gradients],
                1 / max(count, 1),
            )

        nats = sum(self._map(run, self._shards))
        self._write_gradients(kept, masks.recurrent_scale)
        hidden = torch.cat([shard.hidden for shard in self._shards], 1).to(state[0].dtype)
        cell = torch.cat([shard.cell for shard in self._shards], 1)
        return StepResult(nats, count, (hidden, cell.mul_(0.5)))

    def _divide(self, length: int, rows: int) -> None:
        """Divide the rows among threads, by batch size and thread count alone, so that a resume is exact, and allocate
        buffers, which later training steps use again."""
        layout = (length, rows, torch.get_num_threads())
        if self._layout == layout:
            return
        self._layout, threads = layout, torch.get_num_threads()
        parts = max(1, min(threads, rows // ROWS_PER_THREAD))
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = thread_pool("fused", parts, threads // parts)
        bounds = [rows * part // parts for part in range(parts + 1)]
        self._shards = [
            _Shard(self._network, self._dtype, self._loops, length, start, stop) for start, stop in pairwise(bounds)
        ]
        hidden, characters = self._network.config.hidden_size, (length + 1) * rows
        layers = range(self._network.config.num_layers)
        # Zeros: unused elements are multiplied by gradients of zero, and must not be NaN for that.
        self._reads = [torch.zeros(characters, hidden * (2 if layer else 1), dtype=self._dtype) for layer in layers]
        self._gradients = [torch.empty(characters, 4 * hidden, dtype=self._dtype) for _ in layers]

    def _map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Call ``work`` for all ``items`` on the threads of the pool."""
        assert self._pool is not None
        return list(self._pool.map(torch.no_grad()(work), items))

    def _pack(self, kept: Sequence[Tensor], scale: float) -> _StepWeights:
        """Cast, scale and pack the weights, in parallel for layers and uses. ``kept``: each layer's mask of recurrent
        weights, (4H, H) of ones and zeros, or empty; what it keeps is multiplied by ``scale``."""
        network, dtype, rows = self._network, self._dtype, self._shards[0].stop - self._shards[0].start
        layers = range(network.config.num_layers)

        def low(index: int, use: str, *weights: Tensor, scales: Sequence[float]) -> Tensor:
            """``weights`` side by side, in the precision of the products."""
            widths = [weight.size(1) for weight in weights]
            joined = self._buffer(index, use, len(weights[0]), sum(widths))
            for columns, weight in zip(torch.split(joined, widths, 1), weights, strict=True):
                columns.copy_(weight)
            if kept and use != "to_below":
                # ``scale`` is not part of the mask: rounded to bfloat16 it would be wrong by up to 0.4 %.
                joined[:, -widths[-1] :].mul_(kept[index]).mul_(scale)
            return _scaled(joined, scales)

        def pack(job: tuple[int, str]) -> Tensor:
            index, use = job
            weight_ih, weight_hh, bias_ih, bias_hh = (weight.data for weight in network.layer(index))
            if use == "bias":
                return _scaled(bias_ih + bias_hh, GATE_SCALES).to(dtype)
            # The input weights of the first layer are a table, and not part of a product.
            table, inner = (weight_ih[:, :0], weight_ih) if index else (weight_ih, weight_ih[:, :0])
            if use == "table":
                return _scaled(table.clone(), GATE_SCALES).t().contiguous()
            if use == "to_below":
                return low(index, use, inner, scales=GATE_GRADIENTS)
            if use == "forward":
                return self._packed(low(index, use, inner, weight_hh, scales=GATE_SCALES), rows)
            weight = low(index, use, weight_hh, scales=GATE_GRADIENTS).t()
            return self._packed(self._buffer(index, "transposed", *weight.shape).copy_(weight), rows)

        uses = ("forward", "backward", "to_below", "table", "bias")
        jobs = [(index, use) for use in uses for index in reversed(layers)]
        jobs.sort(key=(0, "forward").__eq__)  # the shortest one last, so that the threads finish at the same time
        packs = dict(zip(jobs, self._map(pack, jobs), strict=True))
        return _StepWeights(
            [_LayerWeights(**{use: packs[index, use] for use in uses}) for index in layers],
            network.fc.weight.to(dtype),
            network.fc.bias.to(dtype),
        )

    def _packed(self, weight: Tensor, rows: int) -> Tensor:
        """``weight`` (N, K) in oneDNN's packed format for products with about ``rows`` rows, if this torch has it."""
        return torch.ops.mkldnn._reorder_linear_weight(weight, rows) if self._packs else weight

    def _buffer(self, layer: int, use: str, rows: int, columns: int) -> Tensor:
        """The buffer (rows, columns) for ``use`` of ``layer``; it is overwritten in every step."""
        if (layer, use) not in self._scratch:
            self._scratch[layer, use] = torch.empty(rows, columns, dtype=self._dtype)
        return self._scratch[layer, use]

    def _write_gradients(self, kept: Sequence[Tensor], scale: float) -> None:
        """Add up the gradients of all shards, undo their scaling, and write them to the parameters."""
        network, shards = self._network, self._shards
        _set_gradient(network.fc.weight, _sum([shard.head_gradients for shard in shards]))
        _set_gradient(network.fc.bias, _sum([shard.head_bias_gradients for shard in shards]))
        symbols = _sum([shard.symbol_gradients for shard in shards])
        for index, (reads, gradients) in enumerate(zip(self._reads, self._gradients, strict=True)):
            weight_ih, weight_hh, bias_ih, bias_hh = network.layer(index)
            product = self._buffer(index, "product", gradients.size(1), reads.size(1))
            torch.mm(gradients.t(), reads, out=product)
            inner = product.size(1) - weight_hh.size(1)
            if kept:
                product[:, inner:].mul_(kept[index]).mul_(scale)
            _scaled(product, GATE_GRADIENTS)
            _set_gradient(weight_hh, product[:, inner:])
            if index:
                _set_gradient(weight_ih, product[:, :inner])
                # The sum over rows as a product: torch's own sum takes three times as long.
                bias = _scaled((gradients.new_ones(1, len(gradients)) @ gradients)[0], GATE_GRADIENTS)
            else:
                _set_gradient(weight_ih, _scaled(symbols.t(), GATE_GRADIENTS))
                bias = symbols.sum(0)
            for parameter in (bias_ih, bias_hh):
                _set_gradient(parameter, bias)


class _Shard:
    """Forward, backward and gradients of the rows ``start`` to ``stop`` of the batch, in one thread."""

    def __init__(self, network: CharLSTM, dtype: torch.dtype, loops: Loops, length: int, start: int, stop: int) -> None:
        self.start, self.stop = start, stop
        self._dtype = dtype
        self._loops = loops
        self._hidden = network.config.hidden_size
        self._layers = network.config.num_layers
        self._symbols = network.config.vocab_size
        self._master = network.fc.weight.dtype
        rows, hidden = stop - start, self._hidden
        self.hidden = torch.empty(self._layers, rows, hidden, dtype=dtype)
        self.cell = torch.empty(self._layers, rows, hidden, dtype=self._master)
        self.symbol_gradients = torch.empty(self._symbols, 4 * hidden, dtype=self._master)
        self.head_gradients = torch.empty(self._symbols, hidden, dtype=self._master)
        self.head_bias_gradients = torch.empty(self._symbols, dtype=self._master)
        self._kept = [torch.empty(length, 6 * rows * hidden, dtype=dtype) for _ in range(self._layers)]
        self._top, self._above = (torch.empty(length, rows, hidden, dtype=dtype) for _ in range(2))
        self._scratch = torch.empty(rows, hidden, dtype=self._master)

    def run(
        self,
        weights: _StepWeights,
        inputs: Tensor,
        targets: Tensor,
        state: LSTMState,
        masks: Masks,
        carried: Tensor,
        reads: list[Tensor],
        gradients: list[Tensor],
        scale: float,
    ) -> float:
        """The summed loss in nats of (T, b) ``inputs`` and ``targets``; keeps the state and gradients times ``scale``.

        For each layer, its inputs are written to ``reads`` (T + 1, b, D + H) and its gate gradients to ``gradients``
        (T + 1, b, 4H).
        """
        length, layers = inputs.size(0), range(self._layers)
        inputs = inputs.contiguous()
        keep = [multiplier(mask, self._dtype, masks.layer_scale) for mask in masks.layers]
        top, above = self._top, self._above
        for layer in layers:
            own = reads[layer][:, :, -self._hidden :]
            own[0] = state[0][layer]
            torch.mul(state[1][layer], 2.0, out=self.cell[layer])
            self._loops.forward(
                weights.layers[layer].table,
                inputs,
                weights.layers[layer].forward,
                weights.layers[layer].bias,
                reads[layer][:length],
                self.cell[layer],
                own[1:],
                self._kept[layer],
                carried,
            )
            upper = top if layer == self._layers - 1 else reads[layer + 1][:length, :, : self._hidden]
            if keep:
                torch.mul(own[1:], keep[layer], out=upper)
            else:
                upper.copy_(own[1:])
            self.hidden[layer] = own[length]
            if len(carried):
                own[:length].mul_(carried)  # what the gradients of the recurrent weights are computed with

        nats = self._head(weights, top, targets, above, scale)
        for layer in reversed(layers):
            if keep:
                above.mul_(keep[layer])
            own = gradients[layer][:length]
            gradients[layer][length] = 0
            self._loops.backward(above, weights.layers[layer].backward, self._kept[layer], own, self._scratch, carried)
            if layer:
                torch.mm(own.flatten(0, 1), weights.layers[layer].to_below, out=above.flatten(0, 1))
        self._symbol_gradients(inputs, gradients[0][:length].flatten(0, 1))
        return nats

    def _head(self, weights: _StepWeights, top: Tensor, targets: Tensor, above: Tensor, scale: float) -> float:
        """The summed loss. Computes the gradients of the output layer, and those of ``top`` into ``above``, both times
        ``scale``."""
        self.head_gradients.zero_()
        self.head_bias_gradients.zero_()
        flat_top, flat_above, flat_targets = top.flatten(0, 1), above.flatten(0, 1), targets.flatten()
        at_once = max(1, LOGITS_AT_ONCE // self._symbols)
        nats = 0.0
        for first in range(0, len(flat_top), at_once):
            part = slice(first, first + at_once)
            rows, gradient, part_targets = flat_top[part], flat_above[part], flat_targets[part]
            logits = functional.linear(rows, weights.head, weights.head_bias).to(self._master)
            errors = functional.log_softmax(logits, 1)
            has_target = (part_targets != NO_TARGET).unsqueeze(1)
            index = part_targets.clamp(min=0).unsqueeze(1)
            nats -= (errors.gather(1, index) * has_target).sum(dtype=torch.float64).item()
            errors.exp_()
            errors.scatter_add_(1, index, errors.new_full((1, 1), -1.0).expand_as(index))
            errors.mul_(has_target.to(self._master).mul_(scale))
            self.head_bias_gradients.add_(errors.sum(0))
            low = errors.to(self._dtype)
            torch.mm(low, weights.head, out=gradient)
            self.head_gradients.add_(low.t() @ rows)
        return nats

    def _symbol_gradients(self, inputs: Tensor, gradients: Tensor) -> None:
        """The gradient of each character's input weights: the sum of the gate gradients (T·b, 4H) where it occurs."""
        ids = inputs.flatten()
        self.symbol_gradients.zero_()
        at_once = max(1, ADDED_AT_ONCE // gradients.size(1))
        for first in range(0, len(ids), at_once):
            some = slice(first, first + at_once)
            self.symbol_gradients.index_add_(0, ids[some], gradients[some].to(self._master))


def path(dtype: torch.dtype) -> str:
    """The implementation that the kernel for ``dtype`` uses on this machine."""
    loops = "Python" if recurrence.loops().problem else "TorchScript"
    return f"{loops} loops with {'packed' if packs(dtype) else 'plain'} weights"


def packs(dtype: torch.dtype) -> bool:
    """Whether this torch can pack weights of ``dtype`` for oneDNN's products, and multiply by them."""
    if dtype == torch.float64 or not recurrence.has_packed_products():
        return False
    try:
        weight = torch.ops.mkldnn._reorder_linear_weight(torch.zeros(16, 16, dtype=dtype), 4)
        recurrence.product(torch.zeros(4, 16, dtype=dtype), weight, None)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return True


def _sum(parts: Sequence[Tensor]) -> Tensor:
    """The sum of ``parts``, in place in the first of them."""
    for part in parts[1:]:
        parts[0].add_(part)
    return parts[0]


def _set_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Copy ``gradient`` to the gradient of ``parameter``."""
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    parameter.grad.copy_(gradient)


def _scaled(gates: Tensor, scales: Sequence[float]) -> Tensor:
    """Multiply the rows of each gate in ``gates`` (4H, …) by its scale, in place."""
    for rows, scale in zip(gates.chunk(4), scales, strict=True):
        if scale != 1:
            rows.mul_(scale)
    return gates

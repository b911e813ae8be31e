"""The training kernel for CPUs: the LSTM's loss and gradients by hand, in bfloat16 where that is fast.

Same parameters and equations as ``nn.LSTM`` plus a linear head; ``recurrence`` has the loops over time, this module
what stands around them: weights are cast, scaled and packed once a step, the rows of the batch are divided among
threads that work without waiting for each other, and each computes the weights' gradients as one product over all
its characters. Master weights, cell state and sums stay in the parameters' own precision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from charlstm.model.kernel.recurrence import (
    GATE_FACTORS,
    GATE_SCALES,
    backward_layer,
    compiled,
    forward_layer,
)
from charlstm.model.kernel.step import NO_MASKS, NO_TARGET, Masks, StepResult
from charlstm.model.network import CharLSTM, State

ROWS_PER_THREAD = 4
"""Fewer rows than these are not worth a thread of their own: the weights are read anew for each."""

LOGITS_AT_ONCE = 2**20
"""Elements of logits that a thread holds at a time, so that memory does not grow with the vocabulary."""

ADDED_AT_ONCE = 2**17
"""Elements of gate gradients that are widened at a time before they are added up: they stay in the cache."""


@dataclass(frozen=True, slots=True)
class _LayerWeights:
    """A layer's weights as products take them: scaled, in the products' precision, packed."""

    forward: Tensor  # (4H, D + H)
    backward: Tensor  # (D + H, 4H)
    table: Tensor  # layer 0: (V, 4H), a row to add for each symbol; else (4H,), a bias


@dataclass(frozen=True, slots=True)
class _Weights:
    layers: list[_LayerWeights]
    head: Tensor  # (V, H), reading stored outputs
    head_bias: Tensor  # (V,)


class FusedKernel:
    """See the module. ``dtype`` is the precision of products and of what is kept between forward and backward."""

    def __init__(self, network: CharLSTM, name: str, dtype: torch.dtype) -> None:
        self.name = name
        self._network = network
        self._dtype = dtype
        self._shards: list[_Shard] = []
        self._pool: ThreadPoolExecutor | None = None
        self._layout: tuple[int, int] | None = None

    @torch.no_grad()
    def step(self, inputs: Tensor, targets: Tensor, state: State, masks: Masks = NO_MASKS) -> StepResult:
        """See :class:`charlstm.model.kernel.Kernel`."""
        self._divide(inputs.size(1))
        count = int((targets != NO_TARGET).sum())
        weights = self._pack(masks)
        nats = sum(
            self._each(
                lambda shard: shard.run(
                    weights,
                    inputs[:, shard.start : shard.stop],
                    targets[:, shard.start : shard.stop],
                    (state[0][:, shard.start : shard.stop], state[1][:, shard.start : shard.stop]),
                    masks.rows(shard.start, shard.stop),
                    1 / max(count, 1),
                ),
                self._shards,
            )
        )
        self._gather(masks)
        hidden = torch.cat([shard.hidden for shard in self._shards], 1).to(state[0].dtype)
        cell = torch.cat([shard.cell for shard in self._shards], 1)
        return StepResult(nats, count, (hidden, cell.mul_(0.5)))

    def _divide(self, rows: int) -> None:
        """Give each thread its rows. Depends on nothing but the batch and the thread count, so a resume is exact."""
        threads = torch.get_num_threads()
        if self._layout == (rows, threads):
            return
        parts = max(1, min(threads, rows // ROWS_PER_THREAD))
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = ThreadPoolExecutor(parts, "fused", _start_thread, (threads // parts,))
        bounds = [rows * part // parts for part in range(parts + 1)]
        self._shards = [_Shard(self._network, self._dtype, start, stop) for start, stop in pairwise(bounds)]
        list(self._pool.map(lambda _: None, range(parts)))
        # A thread that sets its own number of threads sets what later threads begin with, too: set that back.
        torch.set_num_threads(threads)
        self._layout = (rows, threads)

    def _each(self, work: Callable[[Any], Any], things: Sequence[Any]) -> list[Any]:
        assert self._pool is not None
        return list(self._pool.map(torch.no_grad()(work), things))

    def _pack(self, masks: Masks) -> _Weights:
        """Cast, scale and pack the weights; layers and directions in parallel."""
        network, dtype, rows = self._network, self._dtype, self._shards[0].stop - self._shards[0].start
        layers = range(network.config.num_layers)

        def cast(index: int) -> tuple[Tensor, Tensor]:
            weight_ih, weight_hh, bias_ih, bias_hh = (weight.data for weight in network.layer(index))
            if masks.recurrent:
                weight_hh = weight_hh * masks.recurrent[index] * masks.recurrent_scale
            bias = _scaled(bias_ih + bias_hh, GATE_SCALES)
            if index == 0:
                table = _scaled(weight_ih.clone(), GATE_SCALES).t().add(bias).to(dtype)
                return _scaled(weight_hh.to(dtype, copy=True), GATE_SCALES), table
            weight = torch.empty(weight_hh.size(0), 2 * weight_hh.size(1), dtype=dtype)
            weight[:, : weight_hh.size(1)] = weight_ih
            weight[:, weight_hh.size(1) :] = weight_hh
            return _scaled(weight, GATE_SCALES), bias.to(dtype)

        casts = self._each(cast, layers)

        def pack(job: tuple[int, bool]) -> Tensor:
            weight = casts[job[0]][0]
            if job[1]:
                weight = weight.t().clone(memory_format=torch.contiguous_format)
                _scaled(weight.t(), GATE_FACTORS)
            return _packed(weight, rows)

        # The largest first, so that threads end together.
        jobs = [(index, transposed) for transposed in (True, False) for index in reversed(layers)]
        packs = dict(zip(jobs, self._each(pack, jobs), strict=True))
        return _Weights(
            [_LayerWeights(packs[index, False], packs[index, True], casts[index][1]) for index in layers],
            network.fc.weight.to(dtype),
            network.fc.bias.to(dtype),
        )

    def _gather(self, masks: Masks) -> None:
        """Sum the shards' gradients into the parameters', with the scales taken out again."""
        network, shards = self._network, self._shards
        sums: list[tuple[Tensor, list[Tensor], bool]] = [
            (network.fc.weight, [shard.head_gradients for shard in shards], False),
            (network.fc.bias, [shard.head_bias_gradients for shard in shards], False),
        ]
        for index in range(network.config.num_layers):
            weight_ih, weight_hh, bias_ih, bias_hh = network.layer(index)
            inner = weight_ih.size(1) if index else 0
            rows = [
                shard.weight_gradients[index][:, :inner] if index else shard.symbol_gradients.t() for shard in shards
            ]
            sums.append((weight_ih, rows, True))
            sums.append((weight_hh, [shard.weight_gradients[index][:, inner:] for shard in shards], True))
            sums.extend((bias, [shard.bias_gradients[index] for shard in shards], True) for bias in (bias_ih, bias_hh))
        self._each(lambda job: _sum(*job), sums)
        for index, mask in enumerate(masks.recurrent):
            _gradient(network.layer(index)[1]).mul_(mask).mul_(masks.recurrent_scale)


class _Shard:
    """The rows ``start`` to ``stop`` of the batch: their buffers, forward, backward and gradients, in one thread."""

    def __init__(self, network: CharLSTM, dtype: torch.dtype, start: int, stop: int) -> None:
        self.start, self.stop = start, stop
        self._dtype = dtype
        self._hidden = network.config.hidden_size
        self._layers = network.config.num_layers
        self._symbols = network.config.vocab_size
        self._master = network.fc.weight.dtype
        self._capacity = 0
        rows, hidden = stop - start, self._hidden
        self.hidden = torch.empty(self._layers, rows, hidden, dtype=dtype)
        self.cell = torch.empty(self._layers, rows, hidden, dtype=self._master)
        self.weight_gradients = [
            torch.empty(4 * hidden, hidden * (2 if layer else 1), dtype=dtype) for layer in range(self._layers)
        ]
        self.bias_gradients = [torch.empty(4 * hidden, dtype=self._master) for _ in range(self._layers)]
        self.symbol_gradients = torch.empty(self._symbols, 4 * hidden, dtype=self._master)
        self.head_gradients = torch.empty(self._symbols, hidden, dtype=self._master)
        self.head_bias_gradients = torch.empty(self._symbols, dtype=self._master)

    def run(
        self, weights: _Weights, inputs: Tensor, targets: Tensor, state: State, masks: Masks, scale: float
    ) -> float:
        """Loss (nats, summed) of (T, b) ``inputs`` and ``targets``; leaves new state and gradients, times ``scale``."""
        length, layers = inputs.size(0), range(self._layers)
        self._reserve(length)
        inputs = inputs.contiguous()
        multipliers = [self._multipliers(mask, length, masks.layer_scale) for mask in masks.layers]
        rolls = [self._inputs[layer][: length + 1].unbind(0) for layer in layers]
        kept = [self._kept[layer][:length].unbind(0) for layer in layers]
        top = self._top[:length]
        for layer in layers:
            own = self._inputs[layer][:, :, -self._hidden :]
            own[0] = state[0][layer]
            torch.mul(state[1][layer], 2.0, out=self.cell[layer])
            upper = top if layer == self._layers - 1 else self._inputs[layer + 1][:length, :, : self._hidden]
            _forward()(
                weights.layers[layer].table,
                [] if layer else list(inputs.unbind(0)),
                weights.layers[layer].forward,
                list(rolls[layer][:length]),
                self.cell[layer],
                list(own[1 : length + 1].unbind(0)),
                list(upper.unbind(0)),
                multipliers[layer] if multipliers else [],
                list(kept[layer]),
            )
            self.hidden[layer] = own[length]

        above = self._above[:length]
        nats = self._head(weights, top, targets, above, scale)
        if multipliers:
            for slot, multiplier in zip(above.unbind(0), multipliers[-1], strict=True):
                slot.mul_(multiplier)
        for layer in reversed(layers):
            gradients = self._gradients[:length]
            _backward()(
                list(above.unbind(0)),
                weights.layers[layer].backward,
                list(kept[layer]),
                list(gradients.unbind(0)),
                list(above.unbind(0)) if layer else [],
                multipliers[layer - 1] if multipliers and layer else [],
                self._scratch,
            )
            flat = gradients.flatten(0, 1)
            torch.mm(flat.t(), self._inputs[layer][:length].flatten(0, 1), out=self.weight_gradients[layer])
            if layer:
                # As a product: torch's own sum over rows takes three times as long.
                self.bias_gradients[layer] = (flat.new_ones(1, flat.size(0)) @ flat)[0]
        self._symbol_gradients(inputs, flat)
        torch.sum(self.symbol_gradients, 0, out=self.bias_gradients[0])
        return nats

    def _reserve(self, length: int) -> None:
        """Buffers for stretches up to ``length``; they are kept and reused by every later step."""
        if length <= self._capacity:
            return
        rows, hidden = self.stop - self.start, self._hidden

        def low(steps: int, width: int) -> Tensor:
            return torch.empty(steps, rows, width, dtype=self._dtype)

        self._inputs = [low(length + 1, hidden * (2 if layer else 1)) for layer in range(self._layers)]
        self._kept = [low(length, 6 * hidden) for _ in range(self._layers)]
        self._gradients = low(length, 4 * hidden)
        self._top, self._above = low(length, hidden), low(length, hidden)
        self._scratch = torch.empty(rows, hidden, dtype=self._master)
        self._capacity = length

    def _multipliers(self, mask: Tensor, length: int, scale: float) -> list[Tensor]:
        """T of (b, H): what outputs are multiplied by."""
        multiplier = mask.to(self._dtype).mul_(scale)
        return [multiplier] * length if mask.dim() == 2 else list(multiplier.unbind(0))

    def _head(self, weights: _Weights, top: Tensor, targets: Tensor, above: Tensor, scale: float) -> float:
        """Loss, summed; gradients of the head, and of ``top`` into ``above``, both times ``scale``."""
        self.head_gradients.zero_()
        self.head_bias_gradients.zero_()
        flat_top, flat_above, flat_targets = top.flatten(0, 1), above.flatten(0, 1), targets.flatten()
        at_once = max(1, LOGITS_AT_ONCE // self._symbols)
        nats = 0.0
        for first in range(0, len(flat_top), at_once):
            some = slice(first, first + at_once)
            rows, gradient, chosen = flat_top[some], flat_above[some], flat_targets[some]
            logits = functional.linear(rows, weights.head, weights.head_bias).to(self._master)
            errors = functional.log_softmax(logits, 1)
            wanted = (chosen != NO_TARGET).unsqueeze(1)
            index = chosen.clamp(min=0).unsqueeze(1)
            nats -= (errors.gather(1, index) * wanted).sum(dtype=torch.float64).item()
            errors.exp_()
            errors.scatter_add_(1, index, errors.new_full((1, 1), -1.0).expand_as(index))
            errors.mul_(wanted.to(self._master).mul_(scale))
            self.head_bias_gradients.add_(errors.sum(0))
            low = errors.to(self._dtype)
            torch.mm(low, weights.head, out=gradient)
            self.head_gradients.add_(low.t() @ rows)
        return nats

    def _symbol_gradients(self, inputs: Tensor, gradients: Tensor) -> None:
        """The gradient of each symbol's row: the sum of the gate gradients (T·b, 4H) wherever it was read."""
        ids = inputs.flatten()
        self.symbol_gradients.zero_()
        at_once = max(1, ADDED_AT_ONCE // gradients.size(1))
        for first in range(0, len(ids), at_once):
            some = slice(first, first + at_once)
            self.symbol_gradients.index_add_(0, ids[some], gradients[some].to(self._master))


@cache
def _forward() -> Callable[..., None]:
    return compiled(forward_layer)


@cache
def _backward() -> Callable[..., None]:
    return compiled(backward_layer)


def _start_thread(threads: int) -> None:
    torch.set_num_threads(threads)


def _packed(weight: Tensor, rows: int) -> Tensor:
    """``weight`` (N, K) in oneDNN's own order for products with about ``rows`` rows, where this torch has it."""
    if weight.dtype != torch.float64:
        with contextlib.suppress(AttributeError, RuntimeError):
            return torch.ops.mkldnn._reorder_linear_weight(weight, rows)  # type: ignore[no-any-return]
    return weight


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    return parameter.grad


def _sum(parameter: Tensor, parts: list[Tensor], gates: bool) -> None:
    """Make ``parameter``'s gradient the sum of ``parts``; with ``gates`` take the gates' scales out again."""
    gradient = _gradient(parameter)
    gradient.copy_(parts[0])
    for part in parts[1:]:
        gradient.add_(part)
    if gates:
        _scaled(gradient, [scale * factor for scale, factor in zip(GATE_SCALES, GATE_FACTORS, strict=True)])


def _scaled(gates: Tensor, scales: Sequence[float]) -> Tensor:
    """Multiply the rows of each gate in ``gates`` (4H, …) by its scale, in place."""
    for rows, scale in zip(gates.chunk(4), scales, strict=True):
        if scale != 1:
            rows.mul_(scale)
    return gates

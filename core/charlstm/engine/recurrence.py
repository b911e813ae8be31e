"""Forward and backward of one LSTM layer over time, as loops of tensor operations.

TorchScript compiles the two loops (:func:`loops`). Compiled, they run without Python's interpreter lock, so that
several threads run in parallel, and starting an operation takes half a microsecond. Uncompiled, they compute the same
more slowly.

The loops work on *scaled* quantities, so that every gate is a logistic function (torch's ``tanh`` is six times slower)
and the factors of the chain rule come from ``sigmoid_backward``. The cell gate is g = tanh(a) = 2σ(2a) − 1: its rows of
the weights are multiplied by 2 (:data:`GATE_SCALES`), and its stored gradient has to be multiplied by 4
(:data:`GATE_FACTORS`). The cell state is stored as C = 2c, so that tanh(c) = 2σ(C) − 1. All factors are powers of two,
so that no floating point format loses precision by them. ``fused`` scales weights and gradients.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import List, Optional, Union  # noqa: UP035 - TorchScript reads these

import torch
from torch import Tensor

GATE_SCALES = (1.0, 1.0, 2.0, 1.0)
"""Factors for the rows of the gates i, f, g, o in weights and biases."""

GATE_FACTORS = (1.0, 1.0, 4.0, 1.0)
"""Factors that turn stored gate gradients (i, f, g, o) into true ones."""


def has_packed_products() -> bool:
    """Whether this torch has oneDNN's products with packed weights; both operators are private and may be removed."""
    return hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _plain_product(x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:  # noqa: UP045
    return torch.nn.functional.linear(x, weight, bias)


def _packed_product(x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:  # noqa: UP045
    if weight.is_mkldnn:
        none: List[Optional[Union[int, float, complex]]] = []  # noqa: UP006, UP045, UP007
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", none, "")  # type: ignore[no-any-return]
    return torch.nn.functional.linear(x, weight, bias)


product = _packed_product if has_packed_products() else _plain_product
"""``x @ weight.T + bias``; ``bias`` is (N,) or None, ``weight`` (N, K) plain or packed by oneDNN. There are two
functions because TorchScript cannot compile one that names a missing operator."""


def forward_layer(
    table: Tensor,
    ids: Tensor,
    weight: Tensor,
    bias: Tensor,
    inputs: Tensor,
    cell: Tensor,
    outputs: Tensor,
    kept: Tensor,
    carried: Tensor,
) -> None:
    """Run a layer of H units over T time steps of b rows, with inputs of width D (0 for the first layer).

    ``weight``: (4H, D + H). ``bias``: (4H,). ``table``: (V, 4H) in the precision of the cell, or empty; its row for
    each of ``ids`` (T, b) is added to the gates, which is the product of a one-hot vector and a matrix.
    ``inputs``: (T, b, D + H), input and previous output side by side. ``cell``: (b, H), C; it is updated in place.
    ``outputs``: (T, b, H), written here (usually a view of the next step's ``inputs``). ``kept``: (T, 6bH), written for
    :func:`backward_layer`: the factors of i, f, g, o (b, 4H), then those of the cell and f (b, H) each. ``carried``:
    (T, b, 1), 0 where the state of a row is reset and 1 elsewhere, in the precision of the cell; empty without resets.
    """
    rows, hidden = cell.size(0), cell.size(1)
    gated, whole = 4 * cell.numel(), 5 * cell.numel()
    # Values of logistic functions, the factors of their derivatives, and the products of derivatives and factors.
    squashed, outer, factors = cell.new_empty((whole,)), cell.new_empty((whole,)), cell.new_empty((whole,))
    gates, exposing = squashed[:gated].view(rows, -1), squashed[gated:].view(rows, -1)
    i, f, g, o = gates.chunk(4, 1)
    candidate, before, outer_g, exposed = outer[:gated].view(rows, -1).chunk(4, 1)
    outer_c = outer[gated:].view(rows, -1)
    minus_one, minus_two = cell.new_full((), -1.0), cell.new_full((), -2.0)
    symbols, reads, writes, keeps = ids.unbind(0), inputs.unbind(0), outputs.unbind(0), kept.unbind(0)
    has_resets = carried.size(0) > 0
    for t in range(len(reads)):
        read = reads[t]
        if has_resets:
            read = read.clone()  # the output before is still that of the character before
            read[:, read.size(1) - hidden :].mul_(carried[t])
            cell.mul_(carried[t])
        if table.size(0) > 0:
            torch.index_select(table, 0, symbols[t], out=gates)
            gates.add_(product(read, weight, bias))
        else:
            gates.copy_(product(read, weight, bias))
        gates.sigmoid_()
        torch.add(minus_two, g, alpha=4.0, out=candidate)
        before.copy_(cell)
        cell.mul_(f)
        cell.addcmul_(i, candidate)
        torch.sigmoid(cell, out=exposing)
        torch.add(minus_one, exposing, alpha=2.0, out=exposed)
        torch.mul(o, exposed, out=writes[t])
        outer_g.copy_(i)
        outer_c.copy_(o)
        torch.ops.aten.sigmoid_backward(outer, squashed, grad_input=factors)
        keeps[t][:whole].copy_(factors)
        if has_resets:
            f.mul_(carried[t])  # what the gradient of the cell before is multiplied by
        keeps[t][whole:].view(rows, hidden).copy_(f)


def backward_layer(
    above: Tensor, weight: Tensor, kept: Tensor, gradients: Tensor, scratch: Tensor, carried: Tensor
) -> None:
    """Compute the gate gradients of :func:`forward_layer`.

    ``above``: (T, b, H), gradients of the outputs from the layer above. ``weight``: (H, 4H), the transposed recurrent
    weights, scaled (see ``fused.GATE_GRADIENTS``). ``kept``: from the forward pass. ``gradients``: (T, b, 4H), written
    here. ``scratch``: (b, H), a buffer in the precision of the cell. ``carried``: as there.
    """
    rows, hidden = scratch.size(0), scratch.size(1)
    gated = 4 * scratch.numel()
    cell = torch.zeros_like(scratch)
    cell_low = torch.empty_like(above[0])
    output = torch.empty_like(above[0])
    factors = scratch.new_empty((2 * scratch.numel(),))
    factor_c, f = factors.view(2, rows, hidden).unbind(0)
    given, keeps, writes = above.unbind(0), kept.unbind(0), gradients.unbind(0)
    steps = len(given)
    for s in range(steps):
        t = steps - 1 - s
        if s == 0:
            output.copy_(given[t])
        else:
            after = product(writes[t + 1], weight, None)
            if carried.size(0) > 0:
                after = after * carried[t + 1].to(after.dtype)
            torch.add(given[t], after, out=output)
            cell.mul_(f)
        scratch.copy_(output)
        factors.copy_(keeps[t][gated:])
        cell.addcmul_(scratch, factor_c, value=2.0)
        cell_low.copy_(cell)
        gates, factor = writes[t].view(rows, 4, hidden), keeps[t][:gated].view(rows, 4, hidden)
        torch.mul(factor[:, :3], cell_low.unsqueeze(1), out=gates[:, :3])
        torch.mul(factor[:, 3], output, out=gates[:, 3])


@dataclass(frozen=True, slots=True)
class Loops:
    """:func:`forward_layer` and :func:`backward_layer`, compiled; otherwise ``problem`` says why not."""

    forward: Callable[..., None]
    backward: Callable[..., None]
    problem: str | None = None


@functools.cache
def loops() -> Loops:
    """Both loops. The first call compiles them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.script is deprecated, and not supported from Python 3.14 on
            forward, backward = (torch.jit.script(function) for function in (forward_layer, backward_layer))
    except Exception as error:
        # Whatever the reason, the uncompiled functions compute the same.
        lines = str(error).strip().splitlines() or [""]
        return Loops(forward_layer, backward_layer, f"{type(error).__name__}: {lines[0][:100]}")
    if not isinstance(forward, torch.jit.ScriptFunction):
        return Loops(forward_layer, backward_layer, "TorchScript is switched off")
    return Loops(forward, backward)

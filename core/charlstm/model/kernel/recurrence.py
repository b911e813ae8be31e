"""One LSTM layer over a stretch of time, forward and backward by hand, as plain loops of tensor operations.

Knows nothing of networks, masks' origin, threads or losses: ``fused`` arranges those around it. The two loops are
written so that TorchScript compiles them (:func:`compiled`): then they run without the interpreter lock, several
rows' worth of them in parallel threads, and an operation costs half a microsecond to start. Uncompiled they do the
same, slower.

The loops are in *scaled* quantities, chosen so that every gate is a plain logistic function (torch's ``tanh`` is six
times slower) and the factors of the chain rule come from ``sigmoid_backward``: the candidate gate is
g = tanh(a) = 2σ(2a) − 1, so the weights of its rows are given twice as large (:data:`GATE_SCALES`) and its stored
gradient lacks a factor (:data:`GATE_FACTORS`); the cell is carried as C = 2c, so that tanh(c) = 2σ(C) − 1. All are
powers of two, so nothing is lost in any floating point format. ``fused`` scales weights and gradients.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, List, Optional, Union  # noqa: UP035 - TorchScript reads these

import torch
from torch import Tensor

GATE_SCALES = (1.0, 1.0, 2.0, 1.0)
"""What the rows of gates i, f, g, o of weights and biases are multiplied by."""

GATE_FACTORS = (1.0, 1.0, 4.0, 1.0)
"""What a stored gate gradient has to be multiplied by."""


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x @ weight.T + bias``; ``bias`` is (N,), ``weight`` plain or packed by oneDNN."""
    if weight.is_mkldnn:
        none: List[Optional[Union[int, float, complex]]] = []  # noqa: UP006, UP045, UP007
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", none, "")  # type: ignore[no-any-return]
    return torch.addmm(bias, x, weight.t())


def forward_layer(
    table: Tensor,
    ids: List[Tensor],  # noqa: UP006
    weight: Tensor,
    bias: Tensor,
    inputs: List[Tensor],  # noqa: UP006
    cell: Tensor,
    outputs: List[Tensor],  # noqa: UP006
    passed_on: List[Tensor],  # noqa: UP006
    masks: List[Tensor],  # noqa: UP006
    kept: List[Tensor],  # noqa: UP006
) -> None:
    """Run a layer of H units over T characters of b rows; D is the width of its input side in ``inputs``, or 0.

    ``weight``: (4H, D + H), ``bias``: (4H,). With ``ids``, T of (b,), that symbol's row of ``table`` (V, 4H), in the
    precision of the cell, is added besides: one-hot times a matrix is a row of it.
    ``inputs``: T of (b, D + H), input and previous output side by side. ``cell``: (b, H), C before and after.
    ``outputs``: T of (b, H), where the outputs go (usually the next step's ``inputs``). ``passed_on``: T of (b, H),
    where the masked outputs go for whatever reads them; ``masks``: T of (b, H) or none. ``kept``: T of (6bH,), for
    :func:`backward_layer`: the factors of i, f, g, o, (b, 4H), those of the cell and f, (b, H) each.
    """
    rows, hidden = cell.size(0), cell.size(1)
    gated, whole = 4 * cell.numel(), 5 * cell.numel()
    # What is a logistic function of something, what its derivative is to be multiplied by, and both together.
    squashed, outer, factors = cell.new_empty((whole,)), cell.new_empty((whole,)), cell.new_empty((whole,))
    gates, exposing = squashed[:gated].view(rows, -1), squashed[gated:].view(rows, -1)
    i, f, g, o = gates.chunk(4, 1)
    candidate, before, outer_g, exposed = outer[:gated].view(rows, -1).chunk(4, 1)
    outer_c = outer[gated:].view(rows, -1)
    minus_one, minus_two = cell.new_full((), -1.0), cell.new_full((), -2.0)
    for t in range(len(inputs)):
        if len(ids) > 0:
            torch.index_select(table, 0, ids[t], out=gates)
            gates.add_(product(inputs[t], weight, bias))
        else:
            gates.copy_(product(inputs[t], weight, bias))
        gates.sigmoid_()
        torch.add(minus_two, g, alpha=4.0, out=candidate)
        before.copy_(cell)
        cell.mul_(f)
        cell.addcmul_(i, candidate)
        torch.sigmoid(cell, out=exposing)
        torch.add(minus_one, exposing, alpha=2.0, out=exposed)
        torch.mul(o, exposed, out=outputs[t])
        if len(masks) > 0:
            torch.mul(outputs[t], masks[t], out=passed_on[t])
        else:
            passed_on[t].copy_(outputs[t])
        outer_g.copy_(i)
        outer_c.copy_(o)
        torch.ops.aten.sigmoid_backward(outer, squashed, grad_input=factors)
        kept[t][:whole].copy_(factors)
        kept[t][whole:].view(rows, hidden).copy_(f)


def backward_layer(
    above: List[Tensor],  # noqa: UP006
    weight: Tensor,
    kept: List[Tensor],  # noqa: UP006
    gradients: List[Tensor],  # noqa: UP006
    below: List[Tensor],  # noqa: UP006
    masks: List[Tensor],  # noqa: UP006
    scratch: Tensor,
) -> None:
    """The gradients of what :func:`forward_layer` did.

    ``above``: T of (b, H), of the outputs as far as others read them. ``weight``: (D + H, 4H), the transposed
    weights times :data:`GATE_FACTORS`. ``gradients``: T of (b, 4H), where the gates' gradients go. ``below``: T of
    (b, D), where the gradients of the input side go, times ``masks`` if there are any; none when D = 0.
    ``scratch``: (b, H) in the precision of the cell.
    """
    rows, hidden = scratch.size(0), scratch.size(1)
    gated = 4 * scratch.numel()
    zero = above[0].new_zeros((weight.size(0),))
    cell = torch.zeros_like(scratch)
    cell_low = torch.empty_like(above[0])
    output = torch.empty_like(above[0])
    factors = scratch.new_empty((2 * scratch.numel(),))
    factor_c, f = factors.view(2, rows, hidden).unbind(0)
    steps = len(above)
    for s in range(steps):
        t = steps - 1 - s
        if s == 0:
            output.copy_(above[t])
        else:
            both = product(gradients[t + 1], weight, zero)
            if len(below) > 0:
                _pass_below(both[:, :-hidden], t + 1, below, masks)
            torch.add(above[t], both[:, -hidden:], out=output)
            cell.mul_(f)
        scratch.copy_(output)
        factors.copy_(kept[t][gated:])
        cell.addcmul_(scratch, factor_c, value=2.0)
        cell_low.copy_(cell)
        gate_factors = kept[t][:gated].view(rows, 4, hidden)
        torch.mul(gate_factors[:, :3], cell_low.unsqueeze(1), out=gradients[t][:, : 3 * hidden].view(rows, 3, hidden))
        torch.mul(gate_factors[:, 3], output, out=gradients[t][:, 3 * hidden :])
    if len(below) > 0:
        _pass_below(product(gradients[0], weight, zero)[:, :-hidden], 0, below, masks)


def _pass_below(gradient: Tensor, t: int, below: List[Tensor], masks: List[Tensor]) -> None:  # noqa: UP006
    if len(masks) > 0:
        torch.mul(gradient, masks[t], out=below[t])
    else:
        below[t].copy_(gradient)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` without the interpreter around it, where this torch still has TorchScript; else itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script: Callable[..., Any] = torch.jit.script(function)
            return script
    except Exception:
        # Any failure to compile, of whatever kind, leaves the function that does the same.
        return function

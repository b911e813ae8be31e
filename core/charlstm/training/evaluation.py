"""What a network makes of a text: one function behind validation on the way, the final figure and ``eval``.

The text is read in parallel rows, each primed by what stands before it, so that the figure is that of reading from
beginning to end to within the noise of float32, at the speed of large products. Weights, gradients and the state
of training are not touched. Scores of single characters are the business of ``generation.scoring``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from charlstm.model.network import CharLSTM, State
from charlstm.text.batches import NO_TARGET

PRIMING = 200
"""Characters of the same span that a row reads, unscored, before its first target."""

ROWS = 32
"""Rows read side by side at most: float32 products on CPUs gain nothing from more (28,000 characters/s at 2 × 512
with 16 to 128 rows), and every row costs its priming."""

CHUNK = 100
"""Characters of each row that go through the network at once."""

LOOKUP_ABOVE = 800
"""Symbols from which looking up the first layer's input rows beats ``nn.LSTM`` over one-hot characters (measured:
equal at 1,000, three times as fast at 4,495)."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean loss in ``nats`` per character over ``chars`` targets; not-a-number over none."""

    nats: float
    chars: int

    @property
    def bits(self) -> float:
        """Bits per character."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """How many equally likely characters would be as hard to tell."""
        return math.exp(min(self.nats, 700.0))


@dataclass(frozen=True, slots=True)
class Row:
    """Targets ``first`` to ``last`` (exclusive), primed from input ``begin`` on; positions in the text."""

    begin: int
    first: int
    last: int


def evaluate(
    network: CharLSTM,
    ids: npt.NDArray[Any],
    spans: Sequence[tuple[int, int]],
    limit: int | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Mean loss of ``network`` over the targets of ``spans`` (start, stop) of ``ids``, in float32.

    A span of N characters has N − 1 targets, each counted once. ``limit`` reads at most about that many of them: slices
    spread evenly, the same at every call. ``progress`` is told ``(done, total)`` targets and may raise to give up.
    """
    rows = plan_rows(spans, limit)
    chars, done = sum(row.last - row.first for row in rows), 0

    def seen(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, chars)

    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            total = sum(_read(network, ids, rows[at : at + ROWS], seen) for at in range(0, len(rows), ROWS))
    finally:
        network.train(training)
    return Evaluation(total / chars if chars else math.nan, chars)


def plan_rows(spans: Sequence[tuple[int, int]], limit: int | None = None) -> list[Row]:
    """Cut the targets of ``spans`` into rows of about equal length, ``limit`` targets in all, or :data:`PRIMING`
    if that is more, and not a whole row beyond.

    Rows are :data:`PRIMING` targets or longer, but for the last of a span, so that each has its whole priming or
    stands at the beginning of its span.
    """
    targets = sum(max(0, stop - start - 1) for start, stop in spans)
    wanted = targets if limit is None else min(limit, targets)
    # Short rows would spend their time on priming.
    count = max(1, min(ROWS, wanted // (3 * PRIMING)))
    length = max(PRIMING, math.ceil(wanted / count))
    pieces = [
        Row(max(start, first - 1 - PRIMING), first, min(first + length, stop))
        for start, stop in spans
        for first in range(start + 1, stop, length)
    ]
    if wanted < targets:
        keep = max(1, round(wanted / length))
        pieces = [pieces[int((place + 0.5) * len(pieces) / keep)] for place in range(min(keep, len(pieces)))]
    return pieces


def _read(network: CharLSTM, ids: npt.NDArray[Any], rows: Sequence[Row], seen: Callable[[int], None]) -> float:
    """Nats over all targets of ``rows``, read side by side and aligned at their first target; ``seen`` counts them."""
    device = network.fc.weight.device
    begin, first, last = (np.array([getattr(row, name) for row in rows]) for name in ("begin", "first", "last"))
    lead = int((first - 1 - begin).max())
    steps = lead + int((last - first).max())
    # Time t of row r reads position first[r] - 1 - lead + t and, from t = lead on, predicts the one after it.
    joins = {int(lead - wait) for wait in first - 1 - begin}
    cuts = sorted({0, lead, steps, *joins, *range(0, lead, CHUNK), *range(lead, steps, CHUNK)})
    state = network.zero_state(len(rows))
    total = 0.0
    for start, stop in itertools.pairwise(cuts):
        if start in joins:
            joining = torch.from_numpy(first - 1 - begin == lead - start).to(device)
            state[0][:, joining] = 0.0
            state[1][:, joining] = 0.0
        positions = (first - 1 - lead)[None, :] + np.arange(start, stop)[:, None]
        inside = (positions >= begin) & (positions + 1 < last)
        window = ids[np.where(inside, positions, begin)].astype(np.int64)
        hidden, state = _hidden(network, torch.from_numpy(window).to(device), state)
        if start >= lead:
            following = np.where(inside, ids[np.where(inside, positions + 1, begin)].astype(np.int64), NO_TARGET)
            total += _nats(network, hidden.flatten(0, 1), torch.from_numpy(following.ravel()).to(device))
            seen(int(inside.sum()))
    return total


def _hidden(network: CharLSTM, ids: Tensor, state: State) -> tuple[Tensor, State]:
    """The last layer's output (T, B, H) for ``ids`` (T, B), and the new state."""
    if network.config.vocab_size < LOOKUP_ABOVE:
        inputs = functional.one_hot(ids, network.config.vocab_size).to(network.fc.weight.dtype)
        output, new_state = network.lstm(inputs, state)
        return output, new_state
    output, h, c = _first_layer(network, ids, state[0][0], state[1][0])
    if network.config.num_layers == 1:
        return output, (h[None], c[None])
    inner: list[Tensor] = [weight for index in range(1, network.config.num_layers) for weight in network.layer(index)]
    own = (state[0][1:].contiguous(), state[1][1:].contiguous())
    layers = network.config.num_layers - 1
    output, inner_h, inner_c = torch.lstm(output, own, inner, True, layers, 0.0, False, False, False)
    return output, (torch.cat([h[None], inner_h]), torch.cat([c[None], inner_c]))


def _first_layer(network: CharLSTM, ids: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first layer alone, its input side a lookup: output (T, B, H), last hidden and cell state (B, H)."""
    weight_ih, weight_hh, bias_ih, bias_hh = network.layer(0)
    recurrent = weight_hh.t()
    outputs = []
    for row in functional.embedding(ids, weight_ih.t().contiguous()).add_(bias_ih + bias_hh).unbind(0):
        i, f, g, o = torch.addmm(row, h, recurrent).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs), h, c


def _nats(network: CharLSTM, hidden: Tensor, targets: Tensor) -> float:
    """Summed loss over ``targets`` (N,), some of them none, in pieces so that the logits of large vocabularies fit."""
    piece = max(1, 4_000_000 // network.config.vocab_size)
    total = 0.0
    for part, wanted in zip(torch.split(hidden, piece), torch.split(targets, piece), strict=True):
        total += functional.cross_entropy(network.fc(part), wanted, ignore_index=NO_TARGET, reduction="sum").item()
    return total

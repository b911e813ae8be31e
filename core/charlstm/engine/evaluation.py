"""The mean loss of a network on a text: behind validation on the way, the final figure of a run, and ``eval``.

Over all of a text the figure is that of one hidden state carried from its first character to its last. With a limit it
is an estimate from slices, which is cheaper. Weights, gradients and the state of training are not touched. Scores of
single characters are in ``generation.scoring``.
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

from charlstm.engine.network import CharLSTM, LSTMState
from charlstm.text.batches import NO_TARGET

PRIMING = 200
"""Characters that a slice of an estimate reads, unscored, before its first target. The exact figure takes more, and how
many depends on the network: see :data:`SETTLED`."""

ROWS = 32
"""Rows read side by side at most: float32 products on CPUs gain nothing from more (28,000 characters/s at 2 × 512
with 16 to 128 rows)."""

CHUNK = 100
"""Characters of each row that go through the network at once in an estimate."""

STRETCH = 250
"""The same for the exact figure, and the characters over which two readings of a row are compared."""

SETTLED = 1e-5
"""Nats. A row is read again from another state until that changes the losses of a stretch by less than this on average.

Measured by reading on from an empty state at 62 places of a text and comparing with the state that had read all of it:
the mean change of the losses of 250 characters, after so many had been read, for the model in the box on the Python
reference and for a checkpoint of the reference script (2 × 256) on Anna Karenina.

=======  =====  =====  =====  =====  =====  =====  =====
read         0    250    500    750  1,000  1,250  2,000
=======  =====  =====  =====  =====  =====  =====  =====
box       5e-2   3e-4   9e-6   1e-6   3e-7   6e-7   3e-7
script    6e-2   9e-3   7e-4   4e-5   2e-6   7e-7   4e-7
=======  =====  =====  =====  =====  =====  =====  =====

From 1,250 on that is the noise of float32. Rows primed with a fixed 200 were up to 8e-3 nats off the exact figure of
20,000 characters."""

ROW_LEAST, ROW_MOST = 2500, 20_000
"""Characters of a row for the exact figure: twice what is usually read again, and what bounds the memory for losses."""

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


@dataclass(frozen=True, slots=True)
class Piece:
    """Inputs ``start`` to ``stop`` (exclusive); the target of each is the character after it. ``follows``: the state
    before ``start`` is the one that the piece before ends with, else it is empty."""

    start: int
    stop: int
    follows: bool


def evaluate(
    network: CharLSTM,
    ids: npt.NDArray[Any],
    spans: Sequence[tuple[int, int]],
    limit: int | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Mean loss of ``network`` over the targets of ``spans`` (start, stop) of ``ids``, in float32.

    A span of N characters has N − 1 targets, each counted once. Without a ``limit`` each span is read as by one hidden
    state from its first character to its last. A ``limit`` makes it an estimate over about that many targets at most:
    slices spread evenly, the same at every call, each primed with the :data:`PRIMING` characters before it.
    ``progress`` is told ``(done, total)`` targets and may raise to give up.
    """
    slices = [] if limit is None else plan_rows(spans, limit)
    pieces = _pieces(spans) if limit is None else []
    chars = sum(row.last - row.first for row in slices) + sum(piece.stop - piece.start for piece in pieces)
    done, total = 0, 0.0

    def seen(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, chars)

    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for at in range(0, len(slices), ROWS):
                total += _read(network, ids, slices[at : at + ROWS], seen)
            state = torch.stack(network.zero_state(1))
            for at in range(0, len(pieces), ROWS):
                nats, state = _read_in_order(network, ids, pieces[at : at + ROWS], state, seen)
                total += nats
    finally:
        network.train(training)
    return Evaluation(total / chars if chars else math.nan, chars)


def plan_rows(spans: Sequence[tuple[int, int]], limit: int) -> list[Row]:
    """Cut the targets of ``spans`` into rows of about equal length, ``limit`` targets in all, or :data:`PRIMING`
    if that is more, and not a whole row beyond.

    Rows are :data:`PRIMING` targets or longer, but for the last of a span, so that each has its whole priming or
    stands at the beginning of its span.
    """
    targets = sum(max(0, stop - start - 1) for start, stop in spans)
    wanted = min(limit, targets)
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


def _pieces(spans: Sequence[tuple[int, int]]) -> list[Piece]:
    """Cut ``spans`` into pieces of one length, but for the last of each span, which may be shorter."""
    inputs = sum(max(0, stop - start - 1) for start, stop in spans)
    length = min(ROW_MOST, max(ROW_LEAST, math.ceil(inputs / ROWS)))
    return [
        Piece(begin, min(begin + length, stop - 1), begin > start)
        for start, stop in spans
        for begin in range(start, stop - 1, length)
    ]


def _read_in_order(
    network: CharLSTM, ids: npt.NDArray[Any], pieces: Sequence[Piece], before: Tensor, seen: Callable[[int], None]
) -> tuple[float, Tensor]:
    """Nats over ``pieces`` as if they were read one after the other, and the state (2, L, 1, H) after the last;
    ``before`` is the state that the first one follows.

    They are read side by side, at first from empty states. A piece that follows one is then read again from the state
    that this one ended with, until its losses are what they were (:data:`SETTLED`). One that is read again to its end
    ends in another state, so the next has to be read once more. That comes to an end: the first piece is right, and
    after each round one more is.
    """
    device, rows = before.device, list(range(len(pieces)))
    first, last = (np.array([getattr(piece, name) for piece in pieces]) for name in ("start", "stop"))
    length = int((last - first).max())
    losses = torch.full((length, len(pieces)), math.inf, device=device)
    ends = torch.zeros_like(before).repeat(1, 1, len(pieces), 1)
    state = ends.clone()
    if pieces[0].follows:
        state[:, :, :1] = before
    while rows:
        changed: list[int] = []
        for start in range(0, length, STRETCH):
            stop = min(start + STRETCH, length)
            positions = first[rows] + np.arange(start, stop)[:, None]
            inside = positions < last[rows]
            window, following = (ids[np.where(inside, positions + ahead, 0)].astype(np.int64) for ahead in (0, 1))
            targets = torch.from_numpy(np.where(inside, following, NO_TARGET)).to(device)
            hidden, new = _hidden(network, torch.from_numpy(window).to(device), (state[0], state[1]))
            state = torch.stack(new)
            found = _losses(network, hidden.flatten(0, 1), targets.flatten()).view_as(targets)
            known = losses[start:stop, rows]
            losses[start:stop, rows] = found
            seen(int((inside & known.isinf().cpu().numpy()).sum()))
            # What is not a number stays that, and need not be read again.
            moved = ((found - known).abs().mean(0) > SETTLED).tolist()
            ended = [place for place, row in enumerate(rows) if moved[place] and last[row] <= first[row] + stop]
            ends[:, :, [rows[place] for place in ended]] = state[:, :, ended]
            changed += [rows[place] for place in ended]
            going_on = [place for place, row in enumerate(rows) if moved[place] and last[row] > first[row] + stop]
            if len(going_on) < len(rows):
                rows, state = [rows[place] for place in going_on], state[:, :, going_on]
            if not rows:
                break
        rows = [row + 1 for row in changed if row + 1 < len(pieces) and pieces[row + 1].follows]
        state = ends[:, :, [row - 1 for row in rows]]
    total = sum(
        losses[: piece.stop - piece.start, row].sum(dtype=torch.float64).item() for row, piece in enumerate(pieces)
    )
    return total, ends[:, :, -1:].clone()


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
            targets = torch.from_numpy(following.ravel()).to(device)
            total += _losses(network, hidden.flatten(0, 1), targets).sum(dtype=torch.float64).item()
            seen(int(inside.sum()))
    return total


def _hidden(network: CharLSTM, ids: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
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


def _losses(network: CharLSTM, hidden: Tensor, targets: Tensor) -> Tensor:
    """The loss of each of ``targets`` (N,), 0 where there is none, in pieces so that the logits of large vocabularies
    fit."""
    piece = max(1, 4_000_000 // network.config.vocab_size)
    parts = [
        functional.cross_entropy(network.fc(part), wanted, ignore_index=NO_TARGET, reduction="none")
        for part, wanted in zip(torch.split(hidden, piece), torch.split(targets, piece), strict=True)
    ]
    return torch.cat(parts)

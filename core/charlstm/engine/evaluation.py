"""Compute the mean loss of a network on a text, for validation and for the command ``eval``.

The exact loss is that of one hidden state carried from the first character of the text to the last. With a limit the
loss is estimated from slices of the text, which is cheaper. Losses of single characters are in ``generation.scoring``.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from charlstm.engine.network import CharLSTM, LSTMState
from charlstm.engine.thread_pool import thread_pool
from charlstm.text.batches import NO_TARGET
from charlstm.text.batches import targets as targets_of
from charlstm.text.vocabulary import TextIds

PRIMING = 200
"""Characters that a slice of an estimate reads before its first target. The exact loss needs more, and how many depends
on the network: see :data:`SETTLED`."""

ROWS = 32
"""Maximum number of rows in a batch: float32 products on CPUs gain nothing from more (28,000 characters/s at 2 × 512
with 16 to 128 rows)."""

ROWS_PER_THREAD = 4
"""Minimum number of rows for a thread."""

FEWEST_ROWS = 8
"""An estimate is from so many places of the text, or from as many as its limit allows."""

CHUNK = 100
"""Characters of each row per call of the network, for an estimate."""

FACTORS = tuple(0.05 * count for count in range(12, 25))
"""The factors of the logits that :func:`best_logit_factor` tries."""

STRETCH = 250
"""The same for the exact loss; the losses of two readings of a row are compared over as many characters."""

SETTLED = 1e-5
"""Nats. A row is read again from another initial state until the losses of :data:`STRETCH` characters change by less
than this on average.

Measured by reading from a zero state at 62 places of a text, in comparison with a state that had read the whole text
before: the mean change of the losses of 250 characters, after so many characters, for the model that came with
version 0.1 on the Python reference and for a checkpoint of the reference script (2 × 256) on Anna Karenina.

=======  =====  =====  =====  =====  =====  =====  =====
read         0    250    500    750  1,000  1,250  2,000
=======  =====  =====  =====  =====  =====  =====  =====
demo      5e-2   3e-4   9e-6   1e-6   3e-7   6e-7   3e-7
script    6e-2   9e-3   7e-4   4e-5   2e-6   7e-7   4e-7
=======  =====  =====  =====  =====  =====  =====  =====

From 1,250 on that is the rounding of float32. With a fixed priming of 200 characters the loss of 20,000 characters was
up to 8e-3 nats off."""

ROW_LEAST, ROW_MOST = 2500, 20_000
"""Minimum and maximum characters of a row for the exact loss: twice what is usually read again, and a limit to the
memory for losses."""

LOOKUP_ABOVE = 800
"""Vocabulary size from which looking up the first layer's input weights is faster than ``nn.LSTM`` over one-hot
characters (measured: equally fast at 1,000, three times as fast at 4,495)."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a model predicts a text.

    Attributes:
        loss: the mean in nats per character; not-a-number without targets.
        chars: how many targets there are.
        unknown: characters that the model does not know and that count in no figure, with their counts.
        read_share: the share of the text, 0 to 1, that the model was trained on; None if unknown.
        read_by: the model from which its run started, if that one has read it; empty where the training part has the
            same words; else None.
    """

    JSON_FIELDS: ClassVar = ("loss", "bits_per_char", "perplexity", "chars", "unknown", "read_share", "read_by")

    loss: float
    chars: int
    unknown: Mapping[str, int] = field(default_factory=dict)
    read_share: float | None = None
    read_by: str | None = None

    @property
    def bits_per_char(self) -> float:
        """Bits per character."""
        return self.loss / math.log(2)

    @property
    def perplexity(self) -> float:
        """The exponential of the loss: the number of equally likely characters that would be as hard to predict."""
        return math.exp(min(self.loss, 700.0))


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """A slice of the text for an estimate: targets ``first`` to ``last`` (exclusive), read from input ``begin`` on."""

    begin: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ExactPiece:
    """A piece of the text for the exact loss: inputs ``start`` to ``stop`` (exclusive), each with the character after
    it as target. ``follows``: its initial state is the final state of the piece before; otherwise it is zero."""

    start: int
    stop: int
    follows: bool


def evaluate(
    network: CharLSTM,
    ids: TextIds,
    spans: Sequence[tuple[int, int]],
    limit: int | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Mean loss of ``network`` over the targets of ``spans`` (start, stop) of ``ids``, in float32.

    A span of N characters has N − 1 targets, each counted once, without characters that the network reads as others.
    Without a ``limit`` the loss is exact: one hidden state
    is carried through each span. With a ``limit`` it is estimated from about that many targets: evenly spaced slices,
    the same at every call, each after the :data:`PRIMING` characters before it.

    ``progress`` is called with the numbers ``(done, total)`` of targets and may raise to cancel. Weights, gradients and
    torch's generators are not changed.
    """
    slices = [] if limit is None else plan_rows(spans, limit)
    pieces = _pieces(spans) if limit is None else []
    chars = sum(row.last - row.first for row in slices) + sum(piece.stop - piece.start for piece in pieces)
    done = 0
    total = 0.0

    def count_targets(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, chars)

    def summed(hidden: Tensor, targets: Tensor) -> Tensor:
        return _sum(_losses(network, hidden, targets))

    with torch.inference_mode():
        for at in range(0, len(slices), ROWS):
            total += _read(network, ids, slices[at : at + ROWS], summed, count_targets).item()
        state = torch.stack(network.zero_state(1))
        for at in range(0, len(pieces), ROWS):
            nats, state = _read_in_order(network, ids, pieces[at : at + ROWS], state, count_targets)
            total += nats
    parts = [*((row.first, row.last) for row in slices), *((piece.start + 1, piece.stop + 1) for piece in pieces)]
    known = sum(int(np.count_nonzero(targets_of(ids, slice(*part)) != NO_TARGET)) for part in parts)
    return Evaluation(total / known if known else math.nan, known)


def best_logit_factor(
    network: CharLSTM,
    ids: TextIds,
    spans: Sequence[tuple[int, int]],
    limit: int,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> float:
    """The factor by which to multiply the logits of ``network`` so that its loss on ``spans`` is the lowest, estimated
    from about ``limit`` targets, between the first and the last of :data:`FACTORS`. It is the inverse of a temperature
    (temperature scaling: Guo et al. 2017, arXiv 1706.04599). 1.0 where no loss is a number.

    ``progress`` is called with the number of targets that are done and may raise to cancel.
    """
    rows, done = plan_rows(spans, limit), 0

    def count_targets(count: int) -> None:
        nonlocal done
        done += count
        progress(done)

    def losses(hidden: Tensor, targets: Tensor) -> Tensor:
        parts = [
            torch.stack([_sum(_cross_entropy(logits * factor, wanted)) for factor in FACTORS])
            for logits, wanted in _logits(network, hidden, targets)
        ]
        return torch.stack(parts).sum(0)

    with torch.inference_mode():
        parts = [_read(network, ids, rows[at : at + ROWS], losses, count_targets) for at in range(0, len(rows), ROWS)]
    found: list[float] = torch.stack(parts).sum(0).tolist() if parts else []
    if not found or not all(map(math.isfinite, found)):
        return 1.0
    best = found.index(min(found))
    if best in (0, len(found) - 1):
        return FACTORS[best]
    before, here, after = found[best - 1 : best + 2]
    # the lowest point of the parabola through the three losses
    return FACTORS[best] + 0.5 * (FACTORS[1] - FACTORS[0]) * (before - after) / (before - 2 * here + after)


def plan_rows(spans: Sequence[tuple[int, int]], limit: int) -> list[EstimateRow]:
    """Choose rows of about equal length, with ``limit`` targets of ``spans`` in all (or :data:`PRIMING`, if that is
    more), exceeded by less than one row.

    A row has at least :data:`PRIMING` targets, unless it is the last of its span. So each row can be read either from
    the start of its span or after :data:`PRIMING` characters.
    """
    targets = sum(max(0, stop - start - 1) for start, stop in spans)
    wanted = min(limit, targets)
    # Short rows spend most of their time on priming, but what a single place of a text is like says little of the rest.
    count = max(1, min(ROWS, wanted // (3 * PRIMING)), min(FEWEST_ROWS, wanted // PRIMING))
    length = max(PRIMING, math.ceil(wanted / count))
    pieces = [
        EstimateRow(max(start, first - 1 - PRIMING), first, min(first + length, stop))
        for start, stop in spans
        for first in range(start + 1, stop, length)
    ]
    if wanted < targets:
        keep = max(1, round(wanted / length))
        if len(spans) > ROWS:  # units, most of which are shorter than a row
            keep = max(1, len(pieces) * wanted // targets)
        pieces = [pieces[int((number + 0.5) * len(pieces) / keep)] for number in range(min(keep, len(pieces)))]
    return pieces


def _pieces(spans: Sequence[tuple[int, int]]) -> list[ExactPiece]:
    """Cut ``spans`` into pieces of one length; the last of a span may be shorter."""
    inputs = sum(max(0, stop - start - 1) for start, stop in spans)
    length = min(ROW_MOST, max(ROW_LEAST, math.ceil(inputs / ROWS)))
    return [
        ExactPiece(begin, min(begin + length, stop - 1), begin > start)
        for start, stop in spans
        for begin in range(start, stop - 1, length)
    ]


def _read_in_order(
    network: CharLSTM,
    ids: TextIds,
    pieces: Sequence[ExactPiece],
    before: Tensor,
    count_targets: Callable[[int], None],
) -> tuple[float, Tensor]:
    """The loss in nats over ``pieces`` as if they were read one after the other, and the state (2, L, 1, H) after the
    last. ``before`` is the state before the first.

    They are read in parallel, at first from states of zero. A piece that follows another is then read again, from the
    state in which the other ended, until its losses no longer change (:data:`SETTLED`). If they change up to its end,
    it ends in another state, and the next piece is read once more. This terminates, because the first piece is exact
    and each round makes at least one more piece exact.
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
            window = ids[np.where(inside, positions, 0)].astype(np.int64)
            following = targets_of(ids, np.where(inside, positions + 1, 0))
            targets = torch.from_numpy(np.where(inside, following, NO_TARGET)).to(device)
            hidden, new = _hidden(network, torch.from_numpy(window).to(device), (state[0], state[1]))
            state = torch.stack(new)
            found = _losses(network, hidden.flatten(0, 1), targets.flatten()).view_as(targets)
            known = losses[start:stop, rows]
            losses[start:stop, rows] = found
            count_targets(int((inside & known.isinf().cpu().numpy()).sum()))
            # A loss that is not a number never changes, so that it needs no second reading.
            moved = ((found - known).abs().mean(0) > SETTLED).tolist()
            ended = [index for index, row in enumerate(rows) if moved[index] and last[row] <= first[row] + stop]
            ends[:, :, [rows[index] for index in ended]] = state[:, :, ended]
            changed += [rows[index] for index in ended]
            unfinished = [index for index, row in enumerate(rows) if moved[index] and last[row] > first[row] + stop]
            if len(unfinished) < len(rows):
                rows, state = [rows[index] for index in unfinished], state[:, :, unfinished]
            if not rows:
                break
        rows = [row + 1 for row in changed if row + 1 < len(pieces) and pieces[row + 1].follows]
        state = ends[:, :, [row - 1 for row in rows]]
    total = sum(_sum(losses[: piece.stop - piece.start, row]).item() for row, piece in enumerate(pieces))
    return total, ends[:, :, -1:].clone()


def _read(
    network: CharLSTM,
    ids: TextIds,
    rows: Sequence[EstimateRow],
    losses: Callable[[Tensor, Tensor], Tensor],
    count_targets: Callable[[int], None],
) -> Tensor:
    """The sum, in float64, of what ``losses`` returns for outputs (N, H) and targets (N,) of ``rows``, which are read
    in parallel and aligned at their first target."""
    device = network.fc.weight.device
    begin, first, last = (np.array([getattr(row, name) for row in rows]) for name in ("begin", "first", "last"))
    lead = int((first - 1 - begin).max())
    steps = lead + int((last - first).max())
    # Time t of row r reads position first[r] - 1 - lead + t and, from t = lead on, predicts the one after it.
    joins = {int(lead - wait) for wait in first - 1 - begin}
    cuts = sorted({0, lead, steps, *joins, *range(0, lead, CHUNK), *range(lead, steps, CHUNK)})
    state = network.zero_state(len(rows))
    total = _sum(torch.zeros(1, device=device))
    for start, stop in itertools.pairwise(cuts):
        if start in joins:
            joining = torch.from_numpy(first - 1 - begin == lead - start).to(device)[:, None]
            for part in state:
                part.masked_fill_(joining, 0.0)
        positions = (first - 1 - lead)[None, :] + np.arange(start, stop)[:, None]
        inside = (positions >= begin) & (positions + 1 < last)
        window = ids[np.where(inside, positions, begin)].astype(np.int64)
        hidden, state = _hidden(network, torch.from_numpy(window).to(device), state)
        if start >= lead:
            following = np.where(inside, targets_of(ids, np.where(inside, positions + 1, begin)), NO_TARGET)
            targets = torch.from_numpy(following.ravel()).to(device)
            total = total + losses(hidden.flatten(0, 1), targets)
            count_targets(int(inside.sum()))
    return total


def _sum(losses: Tensor) -> Tensor:
    """The sum in float64, which MPS does not have: from there it is computed on the processor."""
    return (losses.cpu() if losses.device.type == "mps" else losses).sum(dtype=torch.float64)


def _hidden(network: CharLSTM, ids: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
    """The last layer's output (T, B, H) for ``ids`` (T, B), and the new state. On a processor the rows are divided
    among threads."""
    if ids.device.type != "cpu" or torch.get_num_threads() == 1:
        return _run(network, ids, state)
    parts = max(1, min(torch.get_num_threads(), ids.size(1) // ROWS_PER_THREAD))

    def run(ids: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, LSTMState]:
        with torch.inference_mode():
            return _run(network, ids, (h.contiguous(), c.contiguous()))

    divided = (part.tensor_split(parts, 1) for part in (ids, *state))
    outputs, states = zip(*_pool(torch.get_num_threads()).map(run, *divided), strict=True)
    h, c = (torch.cat(part, 1) for part in zip(*states, strict=True))
    return torch.cat(outputs, 1), (h, c)


@functools.lru_cache(maxsize=2)
def _pool(threads: int) -> ThreadPoolExecutor:
    return thread_pool("evaluation", threads)


def _run(network: CharLSTM, ids: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
    """The same for all rows at once."""
    if network.config.vocab_size < LOOKUP_ABOVE:
        inputs = functional.one_hot(ids, network.config.vocab_size).to(network.fc.weight.dtype)
        return _upper_layers(network, 0, inputs, state)
    output, h, c = _first_layer(network, ids, state[0][0], state[1][0])
    if network.config.num_layers == 1:
        return output, (h[None], c[None])
    output, upper = _upper_layers(network, 1, output, (state[0][1:].contiguous(), state[1][1:].contiguous()))
    return output, (torch.cat([h[None], upper[0]]), torch.cat([c[None], upper[1]]))


def _upper_layers(network: CharLSTM, first: int, inputs: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
    """The layers from ``first`` on, not as in training, where torch would keep what gradients need."""
    layers = range(first, network.config.num_layers)
    weights: list[Tensor] = [weight for index in layers for weight in network.layer(index)]
    output, h, c = torch.lstm(inputs, state, weights, True, len(layers), 0.0, False, False, False)
    return output, (h, c)


def _first_layer(network: CharLSTM, ids: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first layer, with its input weights looked up: output (T, B, H), last hidden and cell state (B, H)."""
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
    """The loss of each of ``targets`` (N,), 0 for NO_TARGET."""
    return torch.cat([_cross_entropy(*part) for part in _logits(network, hidden, targets)])


def _logits(network: CharLSTM, hidden: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The logits for outputs ``hidden`` (N, H), and their targets; in pieces, so that those of large vocabularies fit
    into memory."""
    piece = max(1, 4_000_000 // network.config.vocab_size)
    for part, wanted in zip(torch.split(hidden, piece), torch.split(targets, piece), strict=True):
        yield network.fc(part), wanted


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets, ignore_index=NO_TARGET, reduction="none")

"""The reference script with which the benchmarks compare, rewritten from its description, without charlstm.

Text → character maps → one-hot → ``nn.LSTM`` (2 × 512) → dropout → linear; Adam 1e-3, clipping at 5, batches of
64 × 100, split 90/10 in order. It keeps two faults of the original, because they are part of what is measured: the last
target of every row is the first character of that row, and ``sample`` tracks gradients and calls the network for each
character.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, Tensor]
Ids = npt.NDArray[np.int64]


def one_hot(ids: Ids, size: int) -> npt.NDArray[np.float32]:
    """(…) character ids → (…, size)."""
    rows = np.zeros((ids.size, size), dtype=np.float32)
    rows[np.arange(ids.size), ids.ravel()] = 1.0
    return rows.reshape(*ids.shape, size)


def batches(ids: Ids, batch_size: int, seq_length: int) -> Iterator[tuple[Ids, Ids]]:
    """Inputs and targets (B, T) of one epoch; an incomplete last batch is dropped."""
    columns = len(ids) // (batch_size * seq_length) * seq_length
    rows = ids[: batch_size * columns].reshape(batch_size, columns)
    for start in range(0, columns, seq_length):
        x = rows[:, start : start + seq_length]
        y = np.zeros_like(x)
        y[:, :-1] = x[:, 1:]
        # The fault: at the end of the row, the target is the first character of the same row.
        y[:, -1] = rows[:, start + seq_length] if start + seq_length < columns else rows[:, 0]
        yield x, y


class CharRNN(nn.Module):
    """The script's network; ``tokens`` are the distinct characters in the order of their ids."""

    def __init__(
        self, tokens: tuple[str, ...], n_hidden: int = 512, n_layers: int = 2, drop_prob: float = 0.5, lr: float = 1e-3
    ) -> None:
        super().__init__()
        self.chars = tokens
        self.int2char = dict(enumerate(tokens))
        self.char2int = {char: number for number, char in self.int2char.items()}
        self.n_hidden, self.n_layers, self.lr = n_hidden, n_layers, lr
        self.lstm = nn.LSTM(
            len(tokens), n_hidden, n_layers, dropout=drop_prob if n_layers > 1 else 0.0, batch_first=True
        )
        self.dropout = nn.Dropout(drop_prob)
        self.fc = nn.Linear(n_hidden, len(tokens))

    def forward(self, x: Tensor, hidden: State) -> tuple[Tensor, State]:
        """(B, T, V) one-hot → logits (B·T, V)."""
        output, hidden = self.lstm(x, hidden)
        return self.fc(self.dropout(output).reshape(-1, self.n_hidden)), hidden

    def init_hidden(self, batch_size: int) -> State:
        """A state of zeros, (L, B, H) each."""
        weight = next(self.parameters())
        return (
            weight.new_zeros(self.n_layers, batch_size, self.n_hidden),
            weight.new_zeros(self.n_layers, batch_size, self.n_hidden),
        )


class Training:
    """The script's training loop, one step per call, so that it can be timed in turns with another."""

    def __init__(self, net: CharRNN, *, clip: float = 5.0) -> None:
        self.net, self.clip = net, clip
        self.optimizer = torch.optim.Adam(net.parameters(), lr=net.lr)
        self.hidden: State | None = None

    def step(self, x: Ids, y: Ids) -> float:
        """Train on one batch (B, T): forward, backward, clip, update; returns the loss in nats per character."""
        net = self.net
        inputs, targets = torch.from_numpy(one_hot(x, len(net.chars))), torch.from_numpy(y)
        hidden = self.hidden or net.init_hidden(len(x))
        hidden = (hidden[0].data, hidden[1].data)
        net.zero_grad()
        output, self.hidden = net(inputs, hidden)
        loss = functional.cross_entropy(output, targets.reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), self.clip)
        self.optimizer.step()
        return loss.item()


def validate(net: CharRNN, ids: Ids, batch_size: int, seq_length: int) -> float:
    """Mean loss in nats over the held-out batches, with carried state; not-a-number for less than one batch."""
    net.eval()
    hidden = net.init_hidden(batch_size)
    losses = []
    with torch.no_grad():
        for x, y in batches(ids, batch_size, seq_length):
            output, hidden = net(torch.from_numpy(one_hot(x, len(net.chars))), hidden)
            losses.append(functional.cross_entropy(output, torch.from_numpy(y).reshape(-1)).item())
    net.train()
    return float(np.mean(losses)) if losses else math.nan


def train(
    text: str,
    *,
    n_hidden: int = 512,
    n_layers: int = 2,
    epochs: int = 3,
    batch_size: int = 64,
    seq_length: int = 100,
    lr: float = 1e-3,
    val_frac: float = 0.1,
    seed: int = 0,
    max_seconds: float | None = None,
    report: Callable[[dict[str, Any]], None] = lambda record: None,
) -> CharRNN:
    """Train on ``text``, with a validation at the end of each epoch.

    ``report`` is called after each with epoch, steps, train_seconds (without validations) and val_loss. Ends early
    after ``max_seconds`` of training.
    """
    torch.manual_seed(seed)
    tokens = tuple(sorted(set(text)))
    net = CharRNN(tokens, n_hidden, n_layers, lr=lr)
    ids = np.array([net.char2int[char] for char in text], dtype=np.int64)
    held_out = int(len(ids) * (1 - val_frac))
    per_epoch = held_out // (batch_size * seq_length)
    training = Training(net)
    seconds, steps = 0.0, 0
    for epoch in range(1, epochs + 1):
        training.hidden = None
        for place, (x, y) in enumerate(batches(ids[:held_out], batch_size, seq_length), 1):
            before = time.perf_counter()
            training.step(x, y)
            seconds += time.perf_counter() - before
            steps += 1
            timed_out = max_seconds is not None and seconds >= max_seconds
            if timed_out or place == per_epoch:
                loss = validate(net, ids[held_out:], batch_size, seq_length)
                report({"epoch": epoch, "steps": steps, "train_seconds": seconds, "val_loss": loss})
                if timed_out:
                    return net
    return net


def predict(net: CharRNN, char: str, hidden: State, top_k: int | None = None) -> tuple[str, State]:
    """Sample the character after ``char`` from the ``top_k`` most probable ones."""
    x = torch.from_numpy(one_hot(np.array([[net.char2int[char]]]), len(net.chars)))
    output, hidden = net(x, (hidden[0].data, hidden[1].data))
    p = functional.softmax(output, dim=1).data
    if top_k is None:
        numbers = np.arange(len(net.chars))
    else:
        top, indices = p.topk(top_k)
        p, numbers = top, indices.numpy().squeeze()
    weights = p.numpy().squeeze().astype(np.float64)
    return net.int2char[int(np.random.choice(numbers, p=weights / weights.sum()))], hidden


def sample(net: CharRNN, size: int, prime: str = "The", top_k: int | None = None) -> str:
    """Generate ``size`` characters after ``prime`` as the script does, with one call of the network for each."""
    net.eval()
    chars = list(prime)
    hidden = net.init_hidden(1)
    for char in prime:
        following, hidden = predict(net, char, hidden, top_k)
    chars.append(following)
    for _ in range(size - 1):
        following, hidden = predict(net, chars[-1], hidden, top_k)
        chars.append(following)
    return "".join(chars)

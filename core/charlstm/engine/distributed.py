"""Several processes that train one network together, started by torchrun: who they are and what they tell each other.

Rank 0 *leads*: it alone has the text, the run and every decision, and gives orders. The others, in ``following``, have
the network and their rows of each batch, and do as they are told. Each rank makes the gradients of its own rows; their
sum over all ranks, weighted by targets, is the gradient that one process would have found, and every rank then makes
the same update. A process by itself is :class:`Ranks`, which does nothing. torch is loaded by those who join only.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from charlstm.errors import RunError, SettingsError
from charlstm.text.batches import Batch
from charlstm.training.torchrun import TorchrunRank, torchrun_rank

if TYPE_CHECKING:
    from torch import Tensor, nn

    from charlstm.engine.network import CharLSTM, LSTMState
    from charlstm.training.settings import Settings


LEADER_PATIENCE = 300.0
"""Seconds after which rank 0 takes a silent rank for gone: they owe it no more than a step. A process that dies is
noticed at once, by its closed connection; this is for machines and networks that vanish."""

FOLLOWER_PATIENCE = 6 * 3600.0
"""Seconds for which the others wait for an order: rank 0 may read a large text or validate on all that is held out."""

IDLE_SECONDS = 1.0
"""Seconds between signs of life from a leader that pauses."""


class Ranks:
    """What training asks of the processes that share it. This one is alone: the null object."""

    size = 1
    asked = False
    """Whether another rank was told to end (a signal)."""

    def rows(self, batch_size: int) -> slice:
        """This rank's rows of a batch. Raises :class:`SettingsError` when there are fewer rows than ranks."""
        return slice(0, batch_size)

    def threads(self, cores: int) -> int:
        """This rank's part of the ``cores`` that all ranks on this machine share."""
        return cores

    def learn(self, network: CharLSTM, batch_size: int, seq_length: int, settings: Settings, kernel: str) -> None:
        """A learner begins: all ranks make one, with the weights of ``network``."""

    def step(self, step: int, rate: float, batch: Batch) -> None:
        """All ranks take step ``step``, each on its rows of ``batch``."""

    def reduce(self, parameters: Sequence[nn.Parameter], nats: float, count: int, total: int) -> float:
        """Turn gradients of the mean over this rank's ``count`` targets into those of the mean over all ``total``.

        ``nats`` is this rank's summed loss; returns that of all ranks.
        """
        return nats

    def gather(self, state: LSTMState, batch_size: int) -> LSTMState:
        """The carried state of all ``batch_size`` rows, each (L, B, H), on rank 0; what others get means nothing."""
        return state

    def load(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """All ranks take up the exact state ``tensors``."""

    def idle(self) -> None:
        """Nothing is done for now, but this process is there."""

    def close(self) -> None:
        """Training is over."""


ALONE = Ranks()


def lead() -> Ranks:
    """Join as rank 0; :data:`ALONE` without torchrun. Raises :class:`RunError` when the others are not found."""
    here = torchrun_rank()
    return ALONE if here is None else Leader(Wire(here))


class Order(IntEnum):
    """What rank 0 tells the others to do next."""

    END = 0
    LEARN = 1
    LOAD = 2
    STEP = 3
    GATHER = 4
    IDLE = 5


class Wire:
    """The collectives. Each raises :class:`RunError` in one sentence when a rank is gone.

    Orders, text and states go over gloo from CPU to CPU, gradients over NCCL where they lie on CUDA.
    """

    def __init__(self, here: TorchrunRank) -> None:
        import torch
        from torch import distributed

        self.here = here
        self.broken = False
        self._distributed = distributed
        cuda = torch.cuda.is_available()
        if cuda and here.local_rank < torch.cuda.device_count():
            torch.cuda.set_device(here.local_rank)  # so that "cuda" is another card for each
        backend = "cpu:gloo,cuda:nccl" if cuda and distributed.is_nccl_available() else "gloo"
        patience = FOLLOWER_PATIENCE if here.rank else LEADER_PATIENCE
        try:
            distributed.init_process_group(
                backend, rank=here.rank, world_size=here.size, timeout=timedelta(seconds=patience)
            )
        except (RuntimeError, ValueError) as error:
            raise RunError(
                f"The {here.size} processes did not find each other: see the address and port given to torchrun, and "
                "name the network card in GLOO_SOCKET_IFNAME where a machine has several"
            ) from error

    def spread(self, tensor: Tensor) -> None:
        """Rank 0's ``tensor``, to all."""
        with self._together():
            self._distributed.broadcast(tensor, 0)

    def add(self, tensor: Tensor) -> None:
        """The sum over all ranks, in place, to all and the same bits for all."""
        with self._together():
            self._distributed.all_reduce(tensor)

    def collect(self, tensor: Tensor) -> None:
        """The sum over all ranks, in place, to rank 0."""
        with self._together():
            self._distributed.reduce(tensor, 0)

    def say(self, order: Order, first: int = 0, second: int = 0) -> None:
        """Rank 0's side of :meth:`hear`."""
        import torch

        self.spread(torch.tensor([order, first, second], dtype=torch.int64))

    def hear(self) -> tuple[Order, int, int]:
        """Wait for the next order and its two numbers."""
        import torch

        header = torch.zeros(3, dtype=torch.int64)
        self.spread(header)
        order, first, second = header.tolist()
        return Order(order), first, second

    def close(self) -> None:
        """Let go of the connections; the other side takes that for the end of this process."""
        with contextlib.suppress(RuntimeError, ValueError):
            self._distributed.destroy_process_group()

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            self.broken = True
            raise RunError(
                f"One of the {self.here.size} processes that train together is gone, so training ends here: resume the "
                "run from its last checkpoint, with any number of processes"
            ) from error


class Member(Ranks):
    """What every rank does, whoever leads. ``told`` says whether this process was told to end."""

    def __init__(self, wire: Wire, told: Callable[[], bool] = lambda: False) -> None:
        self.size = wire.here.size
        self._wire = wire
        self._told = told

    def rows(self, batch_size: int) -> slice:
        """As even as can be; the same rows whenever the number of ranks is the same."""
        if batch_size < self.size:
            raise SettingsError(
                f"A step of this run reads too few rows of text ({batch_size}) for {self.size} processes to share: "
                "start fewer, or a run with a larger batch_size or text"
            )
        rank = self._wire.here.rank
        return slice(batch_size * rank // self.size, batch_size * (rank + 1) // self.size)

    def threads(self, cores: int) -> int:
        """See :class:`Ranks`; at least one."""
        return max(1, cores // self._wire.here.local_size)

    def reduce(self, parameters: Sequence[nn.Parameter], nats: float, count: int, total: int) -> float:
        """See :class:`Ranks`. Two collectives: a small one first, in which a rank that is gone is noticed before
        anything waits on a card, then all gradients as one piece."""
        import torch

        nats = self.report(nats)
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        flat = torch.cat([part.flatten() for part in parts]).mul_(count / max(total, 1))
        shared = flat if flat.device.type in ("cpu", "cuda") else flat.cpu()
        self._wire.add(shared)
        pieces = torch.split(shared.to(flat.device), [each.numel() for each in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        return nats

    def report(self, nats: float = 0.0) -> float:
        """Add up the ranks' losses, and hear whether one was told to end."""
        import torch

        figures = torch.tensor([nats, float(self._told())], dtype=torch.float64)
        self._wire.add(figures)
        nats, told = figures.tolist()
        self.asked = told > 0
        return nats

    def gather(self, state: LSTMState, batch_size: int) -> LSTMState:
        """See :class:`Ranks`. Added up, each rank's rows in a field of zeros: rows need not be equally many."""
        import torch

        layers, _, hidden = state[0].shape
        whole = torch.zeros(2, layers, batch_size, hidden, dtype=state[0].dtype)
        whole[:, :, self.rows(batch_size)] = torch.stack(state).cpu()
        self._wire.collect(whole)
        return whole[0], whole[1]

    def close(self) -> None:
        """Let go of the others."""
        self._wire.close()


class Leader(Member):
    """Rank 0: everything that it does with others begins with an order."""

    _last_sign = 0.0

    def learn(self, network: CharLSTM, batch_size: int, seq_length: int, settings: Settings, kernel: str) -> None:
        """See :class:`Ranks`. Raises :class:`SettingsError` for what cannot be shared."""
        self.rows(batch_size)
        if ":" in settings.device:
            raise SettingsError(f"device takes cuda, not {settings.device}, here: each process has a card of its own")
        config, device = network.config, network.fc.weight.device.type
        self._send(
            Order.LEARN,
            {
                "network": [config.vocab_size, config.hidden_size, config.num_layers],
                "device": device,
                "batch_size": batch_size,
                "seq_length": seq_length,
                "settings": settings.to_dict(),
                "kernel": kernel,
            },
        )
        for parameter in network.parameters():
            self._wire.spread(parameter.detach().cpu())

    def step(self, step: int, rate: float, batch: Batch) -> None:
        """See :class:`Ranks`. The text goes with the order, so that rank 0 alone needs it."""
        import torch

        self._wire.say(Order.STEP, step, int(np.float64(rate).view(np.int64)))
        lines = np.concatenate([batch.inputs, batch.targets, batch.fresh[None]]).astype(np.int32)
        self._wire.spread(torch.from_numpy(lines))

    def gather(self, state: LSTMState, batch_size: int) -> LSTMState:
        """See :class:`Ranks`."""
        self._wire.say(Order.GATHER)
        return super().gather(state, batch_size)

    def load(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """See :class:`Ranks`. What only rank 0 has (the average, the best model) stays with it."""
        import torch

        shared = {name: array for name, array in tensors.items() if name.startswith(SHARED)}
        self._send(Order.LOAD, {name: array.shape for name, array in shared.items()})
        for array in shared.values():
            self._wire.spread(torch.from_numpy(np.array(array, np.float32)))

    def idle(self) -> None:
        """See :class:`Ranks`. May be called at any rate."""
        if time.monotonic() - self._last_sign >= IDLE_SECONDS:
            self._wire.say(Order.IDLE)
            self.report()
            self._last_sign = time.monotonic()

    def close(self) -> None:
        """Send the others home, unless one is lost."""
        with contextlib.suppress(RunError):
            if not self._wire.broken:
                self._wire.say(Order.END)
        super().close()

    def _send(self, order: Order, values: Any) -> None:
        import torch

        words = json.dumps(values).encode()
        self._wire.say(order, len(words))
        self._wire.spread(torch.frombuffer(bytearray(words), dtype=torch.uint8))


SHARED = ("network.", "optimizer.", "state.")
"""How the names begin of those tensors of an exact state that every rank takes up."""

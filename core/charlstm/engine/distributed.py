"""Train one network with several processes that torchrun started, each on its own rows of every batch.

Rank 0 alone has the text, the run and every decision: it runs the ``Trainer``. The other ranks run
:func:`charlstm.engine.other_ranks.run_other_rank`. They need no text, because rank 0 sends them every batch, and they
write nothing.

Each rank computes the gradients of its own rows. Their sum over all ranks, weighted by the number of targets, is the
gradient that a single process would have computed, and every rank then makes the same update.

The ranks run in lockstep: before anything that they do together, rank 0 tells the others which method of their
``TrainStep`` to call (:meth:`Ranks.call`). Then all call the same collectives of torch.distributed in the same order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from charlstm.engine.network import CharLSTM, LSTMState
from charlstm.errors import RunError, SettingsError
from charlstm.model.file import ModelConfig
from charlstm.training.settings import Settings
from charlstm.training.torchrun import TorchrunRank, torchrun_rank

RANK_0_TIMEOUT = 300.0
"""Seconds after which rank 0 treats a rank that does not answer as lost. No rank takes longer for a step. This is for
a machine or network that fails; a process that dies is noticed at once, by its closed connection."""

OTHER_RANKS_TIMEOUT = 7 * 24 * 3600.0
"""Seconds for which the other ranks wait: rank 0 may read a large text, validate on all of it, or pause."""

Call = tuple[str, tuple[Any, ...]]
"""What rank 0 has the other ranks do: a method of their ``TrainStep``, and its arguments."""


@dataclass(frozen=True, slots=True)
class Start:
    """Build a training step of a network with these weights (on the CPU), for batches of this size: that of the
    measurement, then that of the run."""

    config: ModelConfig
    weights: dict[str, Tensor]
    device: str
    batch_size: int
    seq_length: int
    settings: Settings
    kernel: str


class Ranks:
    """The processes that train a network together. This class is for a single process, which shares nothing."""

    rank = 0
    world_size = 1
    stop_requested = False
    """Whether another rank has received a signal to stop."""

    def rows(self, batch_size: int) -> slice:
        """This rank's rows of a batch. Raises :class:`SettingsError` when there are fewer rows than ranks."""
        return slice(0, batch_size)

    def threads(self, cores: int) -> int:
        """The threads of this rank, of ``cores`` that all ranks on this machine share."""
        return cores

    def start_training(
        self, network: CharLSTM, batch_size: int, seq_length: int, settings: Settings, kernel: str
    ) -> None:
        """Build the same training step on all ranks, with the weights of ``network``."""

    def call(self, method: str, *arguments: Any) -> None:
        """Make the other ranks call this method of their ``TrainStep``."""

    def all_reduce_gradients(self, parameters: Sequence[nn.Parameter], nats: float, count: int, total: int) -> float:
        """Turn gradients of the mean over this rank's ``count`` targets into those of the mean over all ``total``.
        ``nats`` is this rank's summed loss; returns the sum over all ranks."""
        return nats

    def gather_state(self, state: LSTMState, batch_size: int) -> LSTMState:
        """On rank 0 the carried state of all ``batch_size`` rows, each (L, B, H); meaningless on other ranks."""
        return state

    def close(self) -> None:
        """End the training of the other ranks."""


SINGLE_PROCESS = Ranks()


def join_as_rank_0() -> Ranks:
    """Join the processes that torchrun started, as rank 0; :data:`SINGLE_PROCESS` without torchrun.

    Raises :class:`RunError` when the processes cannot connect.
    """
    torchrun = torchrun_rank()
    return SINGLE_PROCESS if torchrun is None else join_process_group(torchrun)


def join_process_group(torchrun: TorchrunRank, signalled: Callable[[], bool] = lambda: False) -> ProcessGroup:
    """Connect this process with the others that torchrun started, and wait for them.

    Objects and states travel over gloo from CPU to CPU, gradients over NCCL where they are on CUDA. ``signalled`` says
    whether this process has received a signal to stop. Raises :class:`RunError` when the processes cannot connect.
    """
    cuda = torch.cuda.is_available()
    if cuda and torchrun.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(torchrun.local_rank)  # so that "cuda" is a different card on each rank
    timeout = OTHER_RANKS_TIMEOUT if torchrun.rank else RANK_0_TIMEOUT
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda and dist.is_nccl_available() else "gloo",
            rank=torchrun.rank,
            world_size=torchrun.world_size,
            timeout=timedelta(seconds=timeout),
        )
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"The {torchrun.world_size} processes could not connect: check the address and port given to torchrun, and "
            "set GLOO_SOCKET_IFNAME to the network card where a machine has several"
        ) from error
    return ProcessGroup(torchrun, signalled)


class ProcessGroup(Ranks):
    """The ranks of torch's default process group.

    The methods are the same on every rank, but only rank 0 sends messages: the other ranks call a method because they
    have received its message. A method raises :class:`RunError` when another rank is lost.
    """

    def __init__(self, torchrun: TorchrunRank, signalled: Callable[[], bool] = lambda: False) -> None:
        self.rank = torchrun.rank
        self.world_size = torchrun.world_size
        self.torchrun = torchrun
        self._signalled = signalled
        self._rank_lost = False

    def rows(self, batch_size: int) -> slice:
        """See :class:`Ranks`. Some ranks may have one row more than others. A rank has the same rows in every batch."""
        if batch_size < self.world_size:
            raise SettingsError(
                f"A step of this run reads too few rows of text ({batch_size}) for {self.world_size} processes to "
                "share: start fewer processes, or a run with a larger batch_size or text"
            )
        return slice(batch_size * self.rank // self.world_size, batch_size * (self.rank + 1) // self.world_size)

    def threads(self, cores: int) -> int:
        """See :class:`Ranks`; at least one."""
        return max(1, cores // self.torchrun.local_world_size)

    def receive(self) -> Start | Call | None:
        """Wait for the next message of rank 0; ``None`` is the end."""
        message: Start | Call | None = self._broadcast_object(None)
        return message

    def start_training(
        self, network: CharLSTM, batch_size: int, seq_length: int, settings: Settings, kernel: str
    ) -> None:
        """See :class:`Ranks`. Raises :class:`SettingsError` for settings that several processes cannot share."""
        if self.rank > 0:
            return
        self.rows(batch_size)
        if ":" in settings.device:
            raise SettingsError(
                f"With several processes device takes cuda, not {settings.device}: each has its own card"
            )
        device = network.fc.weight.device.type
        weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
        self._send(Start(network.config, weights, device, batch_size, seq_length, settings, kernel))

    def call(self, method: str, *arguments: Any) -> None:
        """See :class:`Ranks`."""
        self._send((method, arguments))

    def all_reduce_gradients(self, parameters: Sequence[nn.Parameter], nats: float, count: int, total: int) -> float:
        """See :class:`Ranks`. The losses go first, between the processors, with which rank was signalled: that small
        collective notices a lost rank before anything waits on a graphics card. Then all gradients go as one tensor."""
        sums = torch.tensor([nats, float(self._signalled())], dtype=torch.float64)
        with self._rank_loss_as_run_error():
            dist.all_reduce(sums)
        summed, signalled = sums.tolist()
        self.stop_requested = signalled > 0
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        flat = torch.cat([gradient.flatten() for gradient in gradients]).mul_(count / max(total, 1))
        reduced = flat if flat.device.type in ("cpu", "cuda") else flat.cpu()
        with self._rank_loss_as_run_error():
            dist.all_reduce(reduced)
        reduced = reduced.to(flat.device)
        pieces = torch.split(reduced, [each.numel() for each in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        return float(summed)

    def gather_state(self, state: LSTMState, batch_size: int) -> LSTMState:
        """See :class:`Ranks`. A sum of tensors that are zero outside a rank's rows, since ``gather`` would need equally
        many rows on every rank."""
        layers, _, hidden = state[0].shape
        whole = torch.zeros(2, layers, batch_size, hidden, dtype=state[0].dtype)
        whole[:, :, self.rows(batch_size)] = torch.stack(state).cpu()
        with self._rank_loss_as_run_error():
            dist.reduce(whole, 0)
        return whole[0], whole[1]

    def close(self) -> None:
        """See :class:`Ranks`; then leave the process group."""
        with contextlib.suppress(RunError):
            if not self._rank_lost:
                self._send(None)
        with contextlib.suppress(RuntimeError, ValueError):
            dist.destroy_process_group()

    def _send(self, message: Start | Call | None) -> None:
        """Broadcast ``message`` if this is rank 0."""
        if self.rank == 0:
            self._broadcast_object(message)

    def _broadcast_object(self, message: Start | Call | None) -> Any:
        """Rank 0's ``message``, on all ranks. It is pickled: as always with torch.distributed, the processes trust one
        another and the network between them."""
        objects = [message]
        with self._rank_loss_as_run_error():
            dist.broadcast_object_list(objects, 0, device=torch.device("cpu"))
        return objects[0]

    @contextlib.contextmanager
    def _rank_loss_as_run_error(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            self._rank_lost = True
            raise RunError(
                f"One of the {self.world_size} processes that train together was lost, so training ends here: resume "
                "the run from its last checkpoint, with any number of processes"
            ) from error

"""Choose the device to train on, and exchange numbers with a graphics card without waiting for it."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from charlstm.errors import SettingsError


def choose_device(name: str) -> torch.device:
    """The device called ``name``; for ``auto`` CUDA, else the CPU. Raises :class:`SettingsError` if it is not there.

    A Mac's graphics card has to be named: torch's LSTM there takes more memory with each step, and its gradients have
    been wrong (pytorch/pytorch issues 145374, 190056).
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if cuda:
        # cuDNN's LSTM repeats its results bit for bit, as a resume needs, only with this workspace of cuBLAS, which is
        # read when a card is first used (documentation of torch.nn.LSTM).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:2")
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError):  # not the name of a device
        device = torch.device("meta")
    available = {"cpu": True, "mps": mps, "cuda": cuda and (device.index or 0) < torch.cuda.device_count()}
    if not available.get(device.type):
        raise SettingsError(f"This machine has no device {name}: device=auto takes the best one that there is")
    return device


def queues_work(device: torch.device) -> bool:
    """Whether a training step on ``device`` is only queued there, and its loss is read a step later.

    To read a number from a card is to wait until it has done everything that was queued before. It would then have
    nothing to do while the processor prepares the next operations. MPS queues work too, but steps wait for it: what
    leaves out an update there, after a loss that is not finite, is torch's fused optimiser, which is not used on MPS.
    """
    return device.type not in ("cpu", "mps")


def copy_to(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``. From the processor to a card it is copied while both go on with other work.

    That needs pinned memory. torch's allocator gives pinned memory to another tensor only after the copy.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
    return tensor.to(device, non_blocking=queues_work(device))


def random_generator(device: torch.device) -> torch.Generator:
    """A generator of random numbers on ``device`` if it is a card, else on the processor."""
    return torch.Generator(device if device.type == "cuda" else "cpu")


class LateNumbers:
    """Numbers from a card, which are copied to the processor's memory as soon as they are computed.

    Nothing waits for them until :meth:`read`, and that does not wait for what is queued after them.
    """

    def __init__(self, numbers: Tensor) -> None:
        self._here = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
        self._here.copy_(numbers, non_blocking=True)
        # A thread that waits for a blocking event sleeps; else it would keep a core busy.
        self._copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._copied.record(torch.cuda.current_stream(numbers.device))

    def read(self) -> list[float]:
        """Wait for the numbers, and return them."""
        self._copied.synchronize()
        numbers: list[float] = self._here.tolist()
        return numbers


def wait_for(device: torch.device) -> None:
    """Wait until ``device`` has done all that is queued there, to measure its time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

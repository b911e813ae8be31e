"""Choose the device to train on, and send numbers to a graphics card without waiting for it."""

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
    """Whether copies to ``device`` and random numbers there are queued, so that the processor prepares what comes next
    meanwhile. MPS queues work too; there nothing relies on it."""
    return device.type not in ("cpu", "mps")


def copy_to(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``. From the processor to a card it is copied while both go on with other work.

    That needs pinned memory. torch's allocator gives pinned memory to another tensor only after the copy.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
    return tensor.to(device, non_blocking=queues_work(device))


def wait_for(device: torch.device) -> None:
    """Wait until ``device`` has done all that is queued there, to measure its time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

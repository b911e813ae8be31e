"""Choose the device to train on."""

from __future__ import annotations

import os

import torch

from charlstm.errors import SettingsError


def choose_device(name: str) -> torch.device:
    """The device called ``name``; for ``auto`` CUDA, else the CPU. Raises :class:`SettingsError` for a missing device.

    A Mac's graphics card has to be named: torch's LSTM there takes more memory with each step (pytorch/pytorch issue
    145374).
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
        raise SettingsError(f"This machine has no device {name}: device=auto takes the best device")
    return device

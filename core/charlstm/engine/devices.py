"""Choose the device to train on."""

from __future__ import annotations

import torch

from charlstm.errors import SettingsError


def choose_device(name: str) -> torch.device:
    """The device called ``name``; for ``auto`` CUDA, else MPS, else the CPU. Raises :class:`SettingsError` if this
    machine lacks it."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError):  # not the name of a device
        device = torch.device("meta")
    available = {"cpu": True, "mps": mps, "cuda": cuda and (device.index or 0) < torch.cuda.device_count()}
    if not available.get(device.type):
        raise SettingsError(f"This machine has no device {name}: device=auto takes the best one that there is")
    return device

"""The devices that this machine trains on, and its number of CPU cores."""

from __future__ import annotations

import os

import torch

from charlstm.errors import SettingsError


def choose_device(asked: str) -> torch.device:
    """``auto``: CUDA, else MPS, else the CPU. Raises :class:`SettingsError` for a device that is not there."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if asked == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, ValueError):  # no device at all: a plan that was written by hand
        device = torch.device("meta")
    there = {"cpu": True, "mps": mps, "cuda": cuda and (device.index or 0) < torch.cuda.device_count()}
    if not there.get(device.type):
        raise SettingsError(f"There is no device {asked} here; device=auto takes what there is")
    return device


def cpu_count() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

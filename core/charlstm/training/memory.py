"""How much memory this machine has for a process: RAM, and the limits of the control groups that it runs in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that this process could have at the very most (``total``, swap included), and without pushing anything else
    out (``available``)."""

    total: int
    available: int


def machine_memory(root: Path = Path("/")) -> Memory | None:
    """What there is now; ``None`` where the system does not say. ``root`` holds Linux's ``proc`` and ``sys``."""
    try:
        found = _meminfo(root) or _physical()
    except (OSError, ValueError, KeyError):
        return None
    for limit, used in _limits(root):
        found = Memory(min(found.total, limit), min(found.available, max(0, limit - used)))
    return found


def _meminfo(root: Path) -> Memory | None:
    """proc_meminfo(5), whose figures are in units of 1,024 bytes."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except FileNotFoundError:
        return None
    figures = {name: 1024 * int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return Memory(figures["MemTotal"] + figures.get("SwapTotal", 0), figures["MemAvailable"])


def _physical() -> Memory:
    """All of the RAM: how much of it is free is told elsewhere on each of the other systems."""
    if not hasattr(os, "sysconf"):
        raise OSError
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Memory(total, total)


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group around this process that sets one (cgroups(7), both versions). Files that
    were read count as used; those that the kernel would drop first are taken off."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            mount, dropped = "memory", "total_inactive_file"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        elif not controllers:
            mount, dropped = "", "inactive_file"
            names = ("memory.max", "memory.current")
        else:
            continue
        top = root / "sys/fs/cgroup" / mount
        inner = top / path.lstrip("/")
        for folder in (inner, *inner.parents):
            if (limit := _limit(folder, names, dropped)) is not None:
                yield limit
            if folder == top:
                break


def _limit(folder: Path, names: tuple[str, str], dropped: str) -> tuple[int, int] | None:
    """What the control group ``folder`` says; ``None`` when it sets no limit, or in a container is not to be seen."""
    try:
        limit, used = ((folder / name).read_text() for name in names)
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(limit), int(used) - int(stat.get(dropped, 0))
    except (OSError, ValueError):
        return None

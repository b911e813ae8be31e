"""The memory for this process: RAM, limited by the control groups that the process is in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that this process can have in total, swap included, and those that are free now (``available``), ``None``
    where the system does not tell."""

    total: int
    available: int | None


def machine_memory(root: Path = Path("/")) -> Memory | None:
    """The current memory; ``None`` if the system does not tell. ``root`` contains Linux's ``proc`` and ``sys``."""
    try:
        found = _meminfo(root) or _physical()
    except (OSError, ValueError, KeyError):
        return None
    for limit, used in _limits(root):
        left = max(0, limit - used)
        found = Memory(min(found.total, limit), left if found.available is None else min(found.available, left))
    return found


def _meminfo(root: Path) -> Memory | None:
    """From /proc/meminfo, in units of 1,024 bytes (proc_meminfo(5)); ``None`` on other systems than Linux."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except FileNotFoundError:
        return None
    figures = {name: 1024 * int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return Memory(figures["MemTotal"] + figures.get("SwapTotal", 0), figures["MemAvailable"])


def _physical() -> Memory:
    """The size of the RAM, for other systems: each has another way to tell how much of it is free."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Memory(total, None)


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group of this process that has a limit, for both versions of cgroups(7).

    The use includes cached files; those that the kernel would drop first are subtracted.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            mount, droppable = "memory", "total_inactive_file"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        elif not controllers:
            mount, droppable = "", "inactive_file"
            names = ("memory.max", "memory.current")
        else:
            continue
        top = root / "sys/fs/cgroup" / mount
        inner = top / path.lstrip("/")
        for folder in (inner, *inner.parents):
            if (limit := _limit(folder, names, droppable)) is not None:
                yield limit
            if folder == top:
                break


def _limit(folder: Path, names: tuple[str, str], droppable: str) -> tuple[int, int] | None:
    """Limit and use of the control group ``folder``; ``None`` if it has no limit or is not visible in a container."""
    try:
        limit, used = ((folder / name).read_text() for name in names)
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(limit), int(used) - int(stat.get(droppable, 0))
    except (OSError, ValueError):
        return None

"""Read what a run's folder says beyond its line in the table, on a background thread, and keep the last few."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.errors import RunError
from charlstm.runs.folder import RunFolder
from charlstm.runs.log import EventTail
from charlstm_tui.background import in_thread
from charlstm_tui.run_watcher import RunView

if TYPE_CHECKING:
    from charlstm.runs.series import RunSeries


@dataclass(frozen=True, slots=True, eq=False)
class RunDetails:
    """What the folder of a run says. ``problem`` is a message if a part of it cannot be read, else empty."""

    series: RunSeries
    snapshots: int
    tail: EventTail
    problem: str = ""


def read_details(run: RunFolder, known: RunDetails | None = None) -> RunDetails:
    """Read the run's log from where ``known`` ended, and count its snapshots.

    Nothing that a folder may hold raises: what cannot be read is said in ``problem``.
    """
    from charlstm.runs.series import RunSeries  # 0.2 s, for numpy: not before the first paint of the table

    if known is None or known.problem:  # after a failed read the position in the log is not certain
        tail, series = EventTail(run.events_path), RunSeries()
    else:
        tail, series = known.tail, known.series.copy()
    snapshots, problem = 0, ""
    try:
        snapshots = len(run.snapshots())
        series.feed(tail.read())
    except RunError as error:
        problem = str(error)
    except OSError as error:
        problem = f"The run {run.name} cannot be read: {error.strerror or error}"
    return RunDetails(series, snapshots, tail, problem)


class DetailsCache:
    """The details of the runs that were read last. A run is read again when it trains or its state changed.

    Use it from the event loop only.
    """

    KEPT = 32
    """Runs whose details are kept: more than a chart shows. The curves of a long run take 1 MB."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[RunDetails, RunView]] = OrderedDict()
        self._reading: dict[Path, asyncio.Task[RunDetails]] = {}

    def known(self, path: Path) -> RunDetails | None:
        """The details of the run in this folder as they were last read."""
        return self._kept[path][0] if path in self._kept else None

    async def read(self, view: RunView) -> RunDetails:
        """The details of a run, read now unless nothing changed since they were."""
        path = view.path
        if path in self._kept:
            self._kept.move_to_end(path)
            details, before = self._kept[path]
            same = (view.created, view.status) == (before.created, before.status)
            if same and not view.live and not details.problem:
                return details
        if path not in self._reading:  # a long log may take longer than until the next call: wait for the same read
            self._reading[path] = asyncio.create_task(self._read(view))
        return await asyncio.shield(self._reading[path])

    async def _read(self, view: RunView) -> RunDetails:
        """Read, and keep the result even if the call that asked for it was cancelled: the log was read that far."""
        known, before = self._kept.get(view.path, (None, None))
        if before is not None and before.created != view.created:
            known = None  # a new run with the name of a deleted run
        try:
            details = await in_thread(lambda check: read_details(view.run, known))
        finally:
            del self._reading[view.path]
        self._kept[view.path] = details, view
        self._kept.move_to_end(view.path)
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return details

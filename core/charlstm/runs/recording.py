"""What a worker does with its run's folder while it trains: check that it is still its own, read commands, and record
events in the log and the heartbeat, waiting while the disk is full.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from charlstm import storage
from charlstm.runs.control import ControlReader
from charlstm.runs.folder import RunFolder
from charlstm.runs.liveness import Heartbeat, RunLock
from charlstm.runs.log import EventLog
from charlstm.runs.series import RunSeries
from charlstm.runs.status import state_after
from charlstm.system import StopSignals
from charlstm.training.commands import Command
from charlstm.training.ending import divergence_message
from charlstm.training.events import Controlled, Event, Failed, Finished, Paused, Resumed, Started

T = TypeVar("T")

FIRST_ESTIMATE_SECONDS = 2.0
"""Seconds of the final validation after which its own speed tells how long the rest of it takes."""


ShowValidation = Callable[[float, float | None], None]


class StoppedEarlyError(Exception):
    """The run has to end without its last events: it was stopped before training began, or while nothing can be
    written."""


@dataclass(slots=True)
class CommandInbox:
    """What a worker is asked to do: by lines of ``control.jsonl``, and to stop by the first signal or because something
    was done to its folder, its lock or its log."""

    _reader: ControlReader
    signals: StopSignals
    _lock: RunLock
    _log: EventLog
    problem: str = ""
    """What was done to the folder, so that the run has to end, in a sentence."""
    _waiting: list[Command] = field(default_factory=list)
    _stop_read: bool = False
    _signal_taken: bool = False

    def check_folder(self) -> str:
        """Request a stop when something was done to the folder, which saves the state where the folder is now. Returns
        :attr:`problem`. Cheap: called between two steps. Raises :class:`StoppedEarlyError` when the folder is deleted,
        as nothing can be saved then."""
        found = self._lock.problem()
        if not found and self._log.removed:
            found = "its event log was removed while it trained; resume it"
        if found:
            self.problem = found
            self.signals.request_stop("folder")
        if self._lock.folder_is_deleted:
            raise StoppedEarlyError(found)
        return self.problem

    def stop_requested(self) -> bool:
        """Read new commands; whether one of them, or a signal, requests a stop.

        The trainer takes commands between two steps only. This method is for waits without steps.
        """
        if not self.check_folder():  # else the file at this path may be another run's
            self._waiting += self._reader.read()
        self._stop_read = self._stop_read or any(command.command == "stop" for command in self._waiting)
        return self._stop_read or self.signals.requested is not None

    def take(self) -> list[Command]:
        """The new commands, oldest first."""
        self.stop_requested()
        commands, self._waiting = self._waiting, []
        if self.signals.requested and not self._signal_taken:
            self._signal_taken = True
            commands.append(Command(self.signals.requested, "stop"))
        return commands


@dataclass(slots=True)
class EventRecorder:
    """Writes events into the log and what they say into the heartbeat. ``series`` are the events of earlier workers.
    ``show_validation`` is told how far the final validation is: a fraction, and the seconds left once they are known.
    """

    _run: RunFolder
    _log: EventLog
    _heartbeat: Heartbeat
    series: RunSeries
    _inbox: CommandInbox
    _show_validation: ShowValidation | None = None
    any_recorded: bool = False
    """Whether this worker has recorded an event."""
    _validates_since: float | None = None

    def record(self, event: Event) -> Event:
        """Write ``event``, and return it as it is in the log: the last one also says where the run began, how much it
        has read and what other programs took. Those that a resume or a person relies on are synced at once.

        Raises :class:`OSError` when a stop is requested while the disk is full.
        """
        if isinstance(event, Finished):
            event = replace(event, first_val=self.series.first_val, epochs=self.series.epochs(event.step))
            if (slowdown := self._heartbeat.slowdown) is not None:
                event = replace(event, slowdown=round(slowdown, 2))
        self.retry(lambda: self._log.append(event))
        if isinstance(event, (Started, Controlled, Resumed, Finished, Failed)):
            self.retry(self._log.sync)
        self.series.feed([event])
        self.any_recorded = True
        self._heartbeat.update(**_state_after_event(event), **self.series.figures().by_name())
        return event

    def report_validation(self, validated: float) -> None:
        """Show in the heartbeat that this fraction of the final validation is done."""
        now = time.monotonic()
        since = self._validates_since = self._validates_since or now
        left = None  # until its own pace is known: that of the training steps says little on a busy machine
        if validated and now - since >= FIRST_ESTIMATE_SECONDS:
            left = (now - since) * (1 - validated) / validated
        self._heartbeat.update(validated=validated, progress=self.series.progress(validated), seconds_left=left)
        if self._show_validation is not None:
            self._show_validation(validated, left)

    def retry(self, write: Callable[[], T]) -> T:
        """Call ``write``, and again while the disk is full, read-only or gone; return what it returns. Raises
        :class:`OSError` as :func:`charlstm.storage.reason_to_wait` does."""
        before = self._heartbeat.record
        while True:
            try:
                written = write()
                break
            except OSError as error:
                reason = storage.reason_to_wait(error, self._inbox.stop_requested)
                message = f"waiting until {self._run.path} can be written again: {reason}"
                self._heartbeat.update(state="waiting", message=message)
                time.sleep(storage.RETRY_SECONDS)
        if self._heartbeat.record.state == "waiting" and before.state != "waiting":
            self._heartbeat.update(state=before.state, message=before.message)
        return written


def _state_after_event(event: Event) -> dict[str, Any]:
    """The state and message of the heartbeat after ``event``; empty when it changes neither."""
    match event:
        case Started() | Resumed():
            return {"state": "running", "message": ""}
        case Paused(reason="asked"):
            return {"state": "paused", "message": ""}
        case Paused():
            return {"state": "waiting", "message": event.reason}
        case Finished(reason="diverged"):
            return {"state": state_after("diverged"), "message": divergence_message(event.step)}
        case Finished():
            return {"state": state_after(event.reason), "message": ""}
        case Failed():
            return {"state": "failed", "message": event.message}
        case _:
            return {}

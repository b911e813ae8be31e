"""Messages that cross from the watcher thread, or between screens and the app."""

from __future__ import annotations

from textual.message import Message


class RunsChanged(Message):
    """The watcher has a newer state of the runs. At most one of these messages waits at a time."""

    bubble = False

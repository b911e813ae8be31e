"""Messages that cross from the data thread, or between screens and the app."""

from __future__ import annotations

from textual.message import Message


class SnapshotReady(Message):
    """A newer snapshot of the runs lies ready in the backend; at most one of these is under way at a time."""

    bubble = False

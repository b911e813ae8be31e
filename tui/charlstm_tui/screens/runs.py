"""Runs: all of them, with state and best, to open, compare, resume and tidy. It reads folders, and trains nothing."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from charlstm_tui.actions import bindings
from charlstm_tui.screens.base import ModeScreen


class RunsScreen(ModeScreen):
    """One line a run."""

    MODE = "runs"
    BINDINGS = bindings("runs")

    def compose_body(self) -> ComposeResult:
        yield Static(Content("No run yet: 1 chooses a text"))

"""Corpus: choose what to learn from, and see what it is made of. Reading and counting is ``charlstm.text``'s."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from charlstm_tui.actions import bindings
from charlstm_tui.screens.base import ModeScreen


class CorpusScreen(ModeScreen):
    """The texts there are, and the one under the cursor."""

    MODE = "corpus"
    BINDINGS = bindings("corpus")

    def compose_body(self) -> ComposeResult:
        yield Static(Content("o opens a text"))

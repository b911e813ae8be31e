"""Corpus: choose a text to train on, and see its figures."""

from __future__ import annotations

from charlstm_tui.actions import bindings
from charlstm_tui.corpus.texts_view import TextsView
from charlstm_tui.mode_screen import ModeScreen


class CorpusScreen(ModeScreen):
    """The mode Corpus, with one view."""

    MODE = "corpus"
    CSS_PATH = "screen.tcss"
    BINDINGS = bindings("corpus")

    def __init__(self) -> None:
        super().__init__()
        self.texts_view = TextsView(id="corpus-texts")
        self.use_views(self.texts_view)

    def entered(self) -> None:
        self.texts_view.entered()

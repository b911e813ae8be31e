"""Train: choose how to train, then watch it happen and steer it. The views are in ``setup_pane`` and ``watch_view``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from charlstm.runs.folder import RunSpec
from charlstm_tui.actions import bindings
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.mode_screen import ModeScreen
from charlstm_tui.train.setup_pane import SetupPane
from charlstm_tui.train.watch_view import WatchView


class TrainScreen(ModeScreen):
    """The mode: the settings for a run, or with a ``run_path`` that run."""

    MODE = "train"
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("train")]

    def __init__(self) -> None:
        super().__init__()
        self.setup = SetupPane(self.charlstm.config.preset, id="setup")
        self.watching = WatchView(self.charlstm.remembered.smoothing, id="watch")
        self.use_views(self.setup, self.watching)

    def has(self) -> dict[str, bool]:
        previous, following = (self._index_of_run(by) is not None for by in (1, -1))
        return {**super().has(), "previous run": previous, "next run": following}

    def entered(self) -> None:
        """Without a text to train on, show a run that trains, else the last one."""
        app = self.charlstm
        if app.corpus is None and app.run_path is None:
            state = app.runs_state
            last = next((run for run in (*state.live, *state.runs) if not run.problem), None)
            if last is not None:
                app.attach(last.path, show=False, play=app.to_play.chosen is None)
        self.setup.show_text(app.corpus)

    def dialog_closed(self) -> None:
        """Nothing has changed meanwhile."""

    def watch_run_path(self, path: Path | None) -> None:
        """Show another run, or the settings for a new one."""
        self.minimize()
        if path is None:
            self.setup.show_text(self.charlstm.corpus)
        self.show_view("setup" if path is None else "watch")
        if self.is_current:
            self.focus_main()

    # ---- from run to run
    def do_another_run(self, by: int) -> None:
        """To the next earlier (1) or later (-1) run; after the latest come the settings for a new one."""
        index = self._index_of_run(by)
        if index is not None:
            self.charlstm.attach(None if index < 0 else self.runs_state.runs[index].path, show=False)

    def _index_of_run(self, by: int) -> int | None:
        """The index of the next earlier (1) or later (-1) run in the list; -1 stands for the settings of a new run.
        ``None`` if there is nothing to go to."""
        paths = [run.path for run in self.runs_state.runs]
        here = paths.index(self.run_path) if self.run_path in paths else -1
        index = here + by
        exists = index < len(paths) if index >= 0 else here >= 0 and self.charlstm.corpus is not None
        return index if exists else None

    def do_new(self) -> None:
        """The settings for another run; after one whose learning rate was too high, on its text and with a smaller
        one."""
        spec, lower_rate = self.watching.pane.shown.spec, self.watching.rate_for_next_run
        text = None if spec is None else _choice(spec)
        chosen = self.charlstm.corpus
        if chosen is None or (lower_rate is not None and text is not None and chosen.source != text.source):
            self.charlstm.corpus = text
        self.charlstm.attach(None, show=False)
        if lower_rate is not None and text is not None:
            self.setup.show_text(self.charlstm.corpus)
            self.setup.limit_rate(lower_rate)


def _choice(spec: RunSpec) -> CorpusChoice | None:
    """The text of a run as if it had been chosen in Corpus; ``None`` when it came from several files or a pipe."""
    sources = list(spec.corpus.get("sources") or [])
    if len(sources) != 1 or "-" in (*sources, *spec.validation_sources):
        return None
    options = spec.corpus.get("options") or {}
    return CorpusChoice(
        str(sources[0]),
        spec.corpus_name,
        strip_boilerplate=bool(options.get("strip_boilerplate")),
        lines="auto" if options.get("lines") == "auto" else "keep",
        units=units if isinstance(units := options.get("units"), str) else None,
        split=spec.settings.split,
        encoding=encoding if isinstance(encoding := options.get("encoding"), str) else None,
        validation=spec.validation_sources,
    )

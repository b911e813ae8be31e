"""The tests of the app style widgets that are alike once; what they get is what Textual itself gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode

from charlstm_tui.app import CharLSTMApp
from driven_app import driven
from kept_styles import APPLY, APPLY_TO_COMPONENTS, FLAGS
from recorded_run import record


def styles(app: CharLSTMApp) -> dict[DOMNode, list[Any]]:
    """The rules of each widget and of its components, and what is noted of them."""
    return {
        node: [
            dict(node.styles.base._rules),
            {name: dict(style.base._rules) for name, style in node._component_styles.items()},
            [getattr(node, name) for name in FLAGS],
        ]
        for node in app.walk_children()
    }


@pytest.mark.parametrize("mode", ["corpus", "train", "generate", "runs"])
async def test_kept_styles_are_those_of_textual(places: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr("charlstm_tui.corpus.texts_view.PAUSE", 3600)
    record(places, "finished").close()
    for size in ((60, 20), (80, 24), (200, 60)):
        async with driven(places, size) as app:
            app.app.go(mode)
            await app.in_mode(mode)
            for keys in (("tab",), ("tab", "down"), ("f1",)):
                await app.press(*keys)
                await app.pilot.pause()
                kept = styles(app.app)
                with monkeypatch.context() as patch:
                    patch.setattr(Stylesheet, "apply", APPLY)
                    patch.setattr(Stylesheet, "_process_component_classes", APPLY_TO_COMPONENTS)
                    app.app.stylesheet.update(app.screen)
                assert kept == styles(app.app)
                app.app.stylesheet.update(app.screen)  # the second time from what is kept
                assert kept == styles(app.app)

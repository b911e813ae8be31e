"""The web page of the command ``report`` about the model that is played and the text at hand, and opening it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import webbrowser
from pathlib import Path

from charlstm import paths, storage
from charlstm.insight.cells import SHORTEST
from charlstm_tui.background import run_command
from charlstm_tui.player.opening import ModelFacts


def page_file(facts: ModelFacts) -> Path:
    """Where the page about a model is written: the next page about it takes its place."""
    name = re.sub(r"[^\w.-]+", "-", facts.name).strip(".-") or "model"
    return paths.state_dir(make=False) / "pages" / f"{name}.html"


def is_too_short(facts: ModelFacts, text: str) -> bool:
    """Whether a page cannot be about ``text``, and is about the run's own text instead."""
    return facts.run is not None and len(text) < SHORTEST


async def make_page(facts: ModelFacts, model: str, step: int | None, text: str) -> Path:
    """Write the page about ``model``, or its snapshot of ``step``, on ``text``; on the run's own text where that is
    too short. Takes up to a minute. Raises :class:`~charlstm.errors.CharLSTMError` when it fails, and
    :class:`OSError`."""
    page = page_file(facts)
    page.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
    name = model if facts.run is None else str(facts.run)
    snapshot = () if step is None else ("--snapshot", str(step))
    with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
        if is_too_short(facts, text):
            texts = []
        else:
            file = Path(folder) / "text-in-the-app.txt"
            file.write_text(text, encoding="utf-8", newline="")
            texts = [str(file)]
        await run_command("report", name, *texts, "--out", str(page), *snapshot)
    return page


def has_browser() -> bool:
    """Whether a web browser with a window of its own can be opened here: neither over ssh, where it would open on the
    other machine or never, nor in the terminal, which the app needs itself."""
    if "SSH_CONNECTION" in os.environ or "SSH_TTY" in os.environ:
        return False
    if sys.platform != "darwin" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return False
    try:
        return type(webbrowser.get()) is not webbrowser.GenericBrowser  # those run in the terminal
    except webbrowser.Error:
        return False


def open_page(page: Path) -> bool:
    """Open a page in the browser, whose start may take seconds. Returns whether a browser was opened."""
    return has_browser() and webbrowser.open(page.absolute().as_uri())

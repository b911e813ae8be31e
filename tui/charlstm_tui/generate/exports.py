"""What Play saves: the text, the session, and a web page about the models of a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from charlstm import user_files
from charlstm.display import visible
from charlstm.insight.checkpoints import checkpoint_texts, checkpoints_page
from charlstm.runs.folder import Run
from charlstm.runs.models import models_of_run
from charlstm_tui.player.opening import ModelFacts
from charlstm_tui.player.played import Played
from charlstm_tui.save_dialog import Format

SESSION_FORMATS = (
    Format(".txt", "the text", joins_lines=True),
    Format(".md", "Markdown, with the settings", joins_lines=True),
    Format(".html", "the text in its colours", joins_lines=True),
    Format(".tree.html", "all branches as a web page"),
    Format(".json", "the session, which goes on there"),
)
"""What Play writes of the text."""
CHECKPOINTS = Format(".checkpoints.html", "all models of the run, side by side")
LONGEST_NAME = 60
"""Characters of a title that the name of a file has."""
CHECKPOINTS_LENGTH = 400
"""Characters that each of these models generates."""


def file_name(title: str) -> str:
    """A title as the name of a file without its ending, which every system takes; empty if nothing is left of it."""
    words = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', " ", title)
    return " ".join(words.split())[:LONGEST_NAME].strip(" .~-")


def formats(facts: ModelFacts) -> list[Format]:
    """What can be saved while this model is played."""
    return [*SESSION_FORMATS, CHECKPOINTS] if len(facts.checkpoint_steps) > 1 else [*SESSION_FORMATS]


def write_checkpoints(path: Path, state: Played, prime: str, run: Run, progress: Callable[[int, int], None]) -> None:
    """Continue ``prime`` with every model of the run, and write the texts as a page. Takes seconds; ``progress``
    is called with the number of models that are done and of all, and may raise to end it."""
    texts = checkpoint_texts(models_of_run(run), prime, CHECKPOINTS_LENGTH, state.recipe, progress=progress)
    title = f"How {visible(run.name, keep='')} learnt"
    user_files.save_text(path, checkpoints_page(list(texts), title=title, facts=state.recipe.facts()))

"""Continue one prime with the models of a run, from its first steps to its best, to read side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from charlstm.display import as_html
from charlstm.generation.recipe import DEFAULT, Recipe
from charlstm.generation.rows import in_bits
from charlstm.generation.session import Session
from charlstm.generation.threads import blas_threads
from charlstm.insight.page import facts_table, page
from charlstm.model.file import load_model


@dataclass(frozen=True, slots=True)
class CheckpointText:
    """What the model of ``step`` generates after ``prime``. ``loss`` is its validation loss in nats, where its file has
    it, and ``bits_per_char`` how surprising its own text is to it."""

    step: int
    loss: float | None
    prime: str
    text: str
    bits_per_char: float


def checkpoint_texts(
    models: Sequence[tuple[int, Path]],
    prime: str = "",
    length: int = 400,
    recipe: Recipe = DEFAULT,
    *,
    stop: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[CheckpointText]:
    """Generate with each of ``models``, which are steps and files: the same prime and recipe.

    Args:
        progress: called with how many of them are done, and all.
    """
    for done, (step, path) in enumerate(models, 1):
        model = load_model(path)
        with blas_threads(1):
            session = Session.of(model, prime, recipe)
            text = "".join(each.char for each in session.stream(length, stop=stop))
        bits = in_bits(session.rows()["probability"])
        loss = model.info.get("val_loss")
        shown = loss if isinstance(loss, float) and math.isfinite(loss) else None
        yield CheckpointText(step, shown, session.prime, text, float(bits.mean()) if len(bits) else 0.0)
        if progress is not None:
            progress(done, len(models))


def checkpoints_page(texts: Sequence[CheckpointText], *, title: str, facts: Sequence[tuple[str, str]] = ()) -> str:
    """The texts side by side as a web page; ``facts`` are names and values for the table at its top."""
    columns = "".join(
        f"<section><h3>step {each.step:,} <small>{as_html(_figures(each))}</small></h3>"
        f"<pre><b>{as_html(each.prime)}</b>{as_html(each.text)}</pre></section>"
        for each in texts
    )
    about = (
        "The same beginning, random numbers and sampler with the models of one run, from the first to the last step."
    )
    return page(title, f"{facts_table(facts)}<p>{about}</p><div class=columns>{columns}</div>")


def _figures(text: CheckpointText) -> str:
    loss = "" if text.loss is None else f"validation loss {text.loss:.3f} nats · "
    return f"{loss}{text.bits_per_char:.2f} bits per character of its own text"

"""Make the model that comes with charlstm from a run: half the size, with passages of the books it has read.

    python checkpoints/pack_demo.py RUN BOOKS HELD_OUT OUT

``RUN`` is the folder of the run, ``BOOKS`` that of the books. The loss that the model says is that on all of the books
in ``HELD_OUT``, read as paragraphs: what the run held out, the run that it began from had read. The symbol for rare
characters is left out: played, it would be a question mark in a box. The model says that it reads texts as paragraphs:
those that the run read had been joined before. ``make demo`` calls this.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from charlstm.engine.network import extend_vocabulary
from charlstm.library import evaluate
from charlstm.model.file import load_model, save_model
from charlstm.text.corpus import open_corpus
from charlstm.text.passages import passages_of
from charlstm.text.vocabulary import REPLACEMENT, Vocabulary
from charlstm.training.settings import Settings

PRIME = "It was a cold bright day, and "
"""What the app suggests to begin with."""
START = "He went away.\n\n"
"""What it reads before a text without a prime. After two line ends alone, 9 of 24 texts began with spaces only."""


def main(run: str, books: str, held_out: str, out: str) -> None:
    model = load_model(Path(run) / "model.safetensors")
    symbols = [symbol for symbol in model.vocabulary.symbols if symbol != REPLACEMENT]
    model = extend_vocabulary(model, Vocabulary(symbols))
    texts = (file.read_text(encoding="utf-8") for file in sorted(Path(books).glob("*.txt")))
    reading = dataclasses.replace(model.text_options, lines="auto")
    loss = evaluate(model, open_corpus(held_out, reading), "all").loss
    info = model.info | {
        "run": "demo",
        "corpus": "books",
        "prime": PRIME,
        "start": START,
        "val_loss": loss,
        "val_whole": True,
    }
    info |= {"lineage": None, "read_by": "", "read_share": 0.0}
    # what `eval` holds out of another text; of the books it was a hundredth
    info["settings"] = model.info.get("settings", {}) | {"val_fraction": Settings().val_fraction}
    save_model(out, dataclasses.replace(model, info=info, text_options=reading, passages=passages_of(texts)), half=True)
    print(f"{out}: {model}, {Path(out).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Texts are played by recorded lists of what a person does, as they were before: text, cursor, branches, figures.

A sequence is what was done, and after each operation three digests:

- of the text: the characters and who wrote them, cursor, prime, seed, and the texts of all branches;
- of the ranks: how many characters were likelier than each one after the prime, as all of the text is read;
- of the candidates: which of the ten likeliest the sampler would have kept at each of these places. It depends on the
  settings at the time when a place was read.

At its end there are the probabilities of the text and of what could come at the cursor, which are compared with a
tolerance: other processors round differently. Where a random number lies within rounding of the boundary between two
characters, another processor could draw the other one; among these sequences none was found.

What a person does is the name of a method of ``Today`` and its arguments, with positions from the first character of
the prime on. A script invented the sequences, which is in commit 4535445e.
"""

import hashlib
import json
import lzma
import math
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import Rows
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model, load_model
from charlstm_tui.player.opening import LoadedModel, ModelFacts, OpenText, PlayRequest
from charlstm_tui.player.played import FULL, Continuations
from stepped_player import SteppedPlayer

pytestmark = [pytest.mark.numeric, pytest.mark.torture]

DATA = Path(__file__).parents[1] / "data"
RECORD = DATA / "played_texts.json.xz"
MODELS = tuple(DATA / "played_models" / f"{name}.safetensors" for name in ("first", "second"))
"""Both know the same characters."""


class Today:
    """A text as this version plays it. What is no method here is one of the player."""

    def __init__(self, models: list[Model], prime: str, seed: int, sampler: dict[str, Any]) -> None:
        self.models = [LoadedModel((Path(), None), model, Stepper(model), "") for model in models]
        self.player = SteppedPlayer()
        about = OpenText(PlayRequest(""), self.models[0], ModelFacts("", Path()))
        self.player._play(Document(prime, seed), about, Recipe(seed, 0, SamplerSettings(**sampler)))
        self.player.changed()

    def do(self, name: str, *values: Any) -> None:
        """Do what a person does. What cannot be done changes nothing."""
        name = {"one": "generate_one", "paste": "insert", "write": "set_writing"}.get(name, name.replace(" ", "_"))
        getattr(self if hasattr(self, name) else self.player, name)(*values)
        self.player.finish()

    def regenerate(self, position: int, count: int) -> None:
        self.player.speed = FULL if count else 0  # then nothing is streamed
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("charlstm_tui.player.text_player.PAUSE_AFTER", count)
            self.player.regenerate(position)
            self.player.finish()
        self.player.speed = FULL

    def continuation(self, place: int) -> None:
        found: list[Continuations] = []
        self.player.ways_on(3, 12, 2, 0, found.append)
        self.player.finish()
        texts = found[-1].found
        self.player.put_in(texts[place % len(texts)].text)

    def choose(self, position: int, chars: str) -> None:
        self.player.choose(chars, position)

    def write_at(self, position: int, text: str) -> None:
        self.player.insert_at(text, position)

    def type(self, text: str) -> None:
        for char in text:
            self.player.insert(char)

    def switch(self, place: int) -> None:
        self.player.switch(self._branches()[place][1])

    def prune(self, place: int) -> None:
        self.player.prune(self._branches()[place][1])

    def settings(self, sampler: dict[str, Any]) -> None:
        self.player.change_settings(SamplerSettings(**sampler))

    def cells(self, clamps: list[list[Any]]) -> None:
        self.player.change_clamps([Clamp(*each) for each in clamps])

    def model(self, place: int) -> None:
        player = self.player
        assert player.open_text is not None
        player._play(player.document, replace(player.open_text, loaded=self.models[place]), player.recipe)
        player.changed()

    def _branches(self) -> list[tuple[str, int]]:
        """The texts of the branches, sorted, each with the lowest of its numbers."""
        texts: dict[str, int] = {}
        for number, branch in self.player.document.branches.items():
            texts.setdefault(branch.text.read(), number)
        return sorted(texts.items())

    # ---- what is compared

    def figures(self) -> Rows:
        """Of the characters after the prime."""
        document = self.player.document
        return self.player.thread._works[0].reading.rows(document.prime_length, len(document))

    def digests(self) -> str:
        rows, document = self.figures(), self.player.document
        text = {
            "text": document.text.read(), "sources": document.text.sources().tolist(), "cursor": document.cursor,
            "prime": document.prime_length, "seed": document.seed, "branches": [text for text, _ in self._branches()],
        }  # fmt: skip
        parts = ((text, 8), (rows["rank"].tolist(), 4), (rows["kept"].tolist(), 4))
        return "".join(hashlib.sha256(json.dumps(part).encode()).hexdigest()[:length] for part, length in parts)

    def end(self, likely: list[str]) -> list[float]:
        """The figures of the end of a sequence, and of what is ``likely`` there, before and after the sampler."""
        rows, reading = self.figures(), self.player.thread._works[0].reading
        found = reading.distribution(self.player.document.cursor, 6).alternatives
        chars = {each.char: (each.probability, each.sampled) for each in found}
        entropy = rows["entropy"].mean() if len(rows) else 0.0
        return [*rows["probability"], entropy, *chain(*(chars.get(each, (math.nan,) * 2) for each in likely))]


def check(models: list[Model], sequence: dict[str, Any]) -> None:
    """Play a recorded sequence."""
    seed, end = sequence["seed"], sequence["end"]
    player = Today(models, sequence["prime"], seed, sequence["sampler"])
    for number, (expected, *operation) in enumerate(sequence["done"]):
        player.do(*operation)
        found = player.digests()
        assert found == expected, f"sequence {seed}, operation {number} {operation}"
    likely = end["candidates"]
    expected_end = [*end["probability"], end["entropy"], *chain(*(figures for _, *figures in likely))]
    found_end = player.end([char for char, *_ in likely])
    assert np.allclose(found_end, expected_end, rtol=2e-3, atol=1e-6), f"end of sequence {seed}"


def test_recorded_sequences_have_the_texts_and_figures_of_before(times: int) -> None:
    models = [load_model(path) for path in MODELS]
    for sequence in json.loads(lzma.decompress(RECORD.read_bytes()))[:: max(1, 34 // times)]:
        check(models, sequence)

"""Play texts by recorded lists of what a person does, and compare text, cursor, branches and figures with a record.

``python tests/torture/record_played_texts.py --check`` plays ``tests/data/played_texts_0_3.json.xz``, which version 0.3
wrote, and names the first operation of each sequence after which something is different. Without ``--check`` it invents
sequences and writes that file. A sequence is what was done, and after each operation three digests:

- of the text: the characters and who wrote them, cursor, prime, seed, and the texts of all branches;
- of the ranks: how many characters were likelier than each one after the prime, as all of the text is read;
- of the candidates: which of the ten likeliest the sampler would have kept at each of these places. It depends on the
  settings at the time when a place was read.

At its end there are the probabilities of the text and of what could come at the cursor, which are compared with a
tolerance: other processors round differently. OPENBLAS_CORETYPE=Nehalem, or Haswell, shows that this is enough. Where a
random number lies within rounding of the boundary between two characters, another processor could draw the other one;
among these sequences none was found.

What a person does is written as in ``OPERATIONS``, with positions from the first character of the prime on. Only the
class ``Today`` knows how this version plays: another implementation needs another class with these methods.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import NO_DISTRIBUTION
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model, load_model
from charlstm_tui.player.model_thread import Work
from charlstm_tui.player.opening import LoadedModel, ModelFacts, OpenText, PlayRequest
from charlstm_tui.player.played import FULL, Continuations

sys.path.insert(0, str(Path(__file__).parents[1]))

from played_desk import PlayedDesk

DATA = Path(__file__).parents[1] / "data"
RECORD = DATA / "played_texts_0_3.json.xz"
MODELS = tuple(DATA / version / "run" / "model.safetensors" for version in ("version_0_3", "version_0_2"))
"""Both know the same characters."""
PRIME = "The old boat"
OPERATIONS = {
    "stream": 3,  # [count]: stream so many characters at the end of the text
    "one": 2,  # generate one character at the end
    "regenerate": 2,  # [position, count]: other text from there on, of which so many characters are streamed
    "alternative": 2,  # [direction, position]: the next less likely or likelier character there, to the end of its line
    "continuation": 2,  # [place]: put in one of up to three continuations of 12 characters at the cursor
    "choose": 3,  # [position, characters]: what follows stays as a branch, or behind them while writing
    "write at": 1,  # [position, text]: one's own text; what follows stays as a branch
    "move": 4,  # [position]
    "type": 4,  # [text]: letter by letter at the cursor
    "paste": 1,  # [text]: at the cursor
    "erase": 2,  # [before, after]: so many characters before and after the cursor
    "replace": 1,  # [start, stop, text]
    "undo": 4, "redo": 1,  # also several times one after the other
    "switch": 2, "prune": 2,  # [place]: the branch whose text is at this place among all texts of branches, sorted
    "write": 1,  # [whether]: begin or end writing
    "settings": 2,  # [sampler settings]
    "cells": 1,  # [[layer, cell, value, factor], …]: hold these from the next character on
    "model": 1,  # [place in MODELS]: the text goes on with it
}  # fmt: skip
"""What is done, how often in relation to the others, and its arguments."""
SAMPLERS: tuple[dict[str, Any], ...] = (
    {}, {"temperature": 1.0, "min_p": None}, {"top_k": 5}, {"top_p": 0.9}, {"typical": 0.9}, {"temperature": 0.0},
    {"repetition": 1.0, "repetition_length": 2}, {"mirostat": 3.0}, {"mirostat": 1.5, "mirostat_rate": 0.3},
)  # fmt: skip
CELLS: tuple[list[Any], ...] = ([], [[1, 2, 0.5, 0.0]], [[1, 5, 0.0, 0.5], [1, 11, -1.0, 0.0]])

DIFFERENT = {
    8: 19, 10: 5, 17: 12, 37: 21, 42: 9, 82: 11, 88: 3, 116: 9, 136: 16, 182: 15, 185: 15, 238: 17, 248: 11, 252: 3,
    308: 16, 324: 5, 332: 15, 354: 16,
}  # fmt: skip
"""Sequences that differ from the record, each with the first operation after which it does. Version 0.3 kept text that
was undone twice, or undone before something else was done, as a hidden part of its branch, from where it could come
back: as a branch, or as who wrote the same character later. In 17, 88 and 252 cells are held shortly before: 0.3 read
up to 31 characters before again, with these cells, where nothing needs to be read again now."""


class Today:
    """A text as this version plays it."""

    def __init__(self, models: list[Model], prime: str, seed: int, sampler: dict[str, Any]) -> None:
        self.models = [LoadedModel((Path(), None), model, Stepper(model), "") for model in models]
        self.desk = PlayedDesk()
        about = OpenText(PlayRequest(""), self.models[0], ModelFacts("", Path()))
        self.desk._play(Document(prime, seed), about, Recipe(seed, 0, SamplerSettings(**sampler)))
        self.desk._changed()

    def do(self, name: str, *values: Any) -> None:
        """Do what a person does. What cannot be done changes nothing. Candidates and suggestions are not asked for, as
        they were not for the record: up to 31 characters are read for them, with the cells that are held then."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Work, "_ahead", lambda work, position, count: NO_DISTRIBUTION)
            patch.setattr(Work, "suggest", lambda work: "")
            getattr(self, name.replace(" ", "_"))(*values)
            self.desk.finish()

    def stream(self, count: int) -> None:
        self.desk.stream(count)

    def one(self) -> None:
        self.desk.generate_one()

    def regenerate(self, position: int, count: int) -> None:
        self.desk.speed = FULL if count else 0  # then nothing is streamed
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("charlstm_tui.player.desk.PAUSE_AFTER", count)
            self.desk.regenerate(position)
            self.desk.finish()
        self.desk.speed = FULL

    def alternative(self, direction: int, position: int) -> None:
        self.desk.alternative(direction, position)

    def continuation(self, place: int) -> None:
        found: list[Continuations] = []
        self.desk.ways_on(3, 12, 2, 0, found.append)
        self.desk.finish()
        texts = found[-1].found
        self.desk.put_in(texts[place % len(texts)].text)

    def choose(self, position: int, chars: str) -> None:
        self.desk.choose(chars, position)

    def write_at(self, position: int, text: str) -> None:
        self.desk.insert_at(text, position)

    def move(self, position: int) -> None:
        self.desk.move(position)

    def type(self, text: str) -> None:
        for char in text:
            self.desk.insert(char)

    def paste(self, text: str) -> None:
        self.desk.insert(text)

    def erase(self, before: int, after: int) -> None:
        self.desk.erase(before, after)

    def replace(self, start: int, stop: int, text: str) -> None:
        self.desk.replace(start, stop, text)

    def undo(self) -> None:
        self.desk.undo()

    def redo(self) -> None:
        self.desk.redo()

    def switch(self, place: int) -> None:
        self.desk.switch(self._branches()[place][1])

    def prune(self, place: int) -> None:
        self.desk.prune(self._branches()[place][1])

    def write(self, writing: bool) -> None:
        self.desk.set_writing(writing)

    def settings(self, sampler: dict[str, Any]) -> None:
        self.desk.change_settings(lambda before: SamplerSettings(**sampler))

    def cells(self, clamps: list[list[Any]]) -> None:
        self.desk.change_clamps(lambda before: [Clamp(*each) for each in clamps])

    def model(self, place: int) -> None:
        desk = self.desk
        assert desk.about is not None
        desk.thread._works[0].readings.clear()  # version 0.3 read all of the text anew, with the settings of now
        desk._play(desk.document, replace(desk.about, loaded=self.models[place]), desk.recipe)
        desk._changed()

    def _branches(self) -> list[tuple[str, int]]:
        """The texts of the branches, sorted, each with the lowest of its numbers."""
        texts: dict[str, int] = {}
        for number, branch in self.desk.document.branches.items():
            texts.setdefault(branch.text.read(), number)
        return sorted(texts.items())

    # ---- what is compared

    @property
    def reading(self) -> Reading:
        return self.desk.thread._works[0].reading

    def text(self) -> dict[str, Any]:
        document = self.desk.document
        return {
            "text": document.text.read(),
            "sources": document.text.sources().tolist(),
            "cursor": document.cursor,
            "prime": document.prime_length,
            "seed": document.seed,
            "branches": [text for text, _ in self._branches()],
        }

    def figures(self) -> dict[str, list[Any]]:
        """Of the characters after the prime."""
        document = self.desk.document
        rows = self.reading.rows(document.prime_length, len(document))
        return {name: rows[name].tolist() for name in ("rank", "kept", "probability", "entropy")}

    def candidates(self) -> list[list[Any]]:
        """What could come at the cursor: character, probability before and after the sampler."""
        found = self.reading.distribution(self.desk.document.cursor, 6).alternatives
        return [[each.char, each.probability, each.sampled] for each in found]


def digests(player: Today) -> str:
    figures = player.figures()
    parts = ((player.text(), 8), (figures["rank"], 4), (figures["kept"], 4))
    return "".join(hashlib.sha256(json.dumps(part).encode()).hexdigest()[:length] for part, length in parts)


def end(player: Today) -> dict[str, Any]:
    """Figures of the end of a sequence, with four significant digits."""
    figures = player.figures()
    mean = float(np.mean(figures["entropy"])) if figures["entropy"] else 0.0
    return {
        "probability": [short(each) for each in figures["probability"]],
        "entropy": short(mean),
        "candidates": [[char, short(model), short(sampled)] for char, model, sampled in player.candidates()],
    }


def short(value: float) -> float:
    return float(f"{value:.4g}")


def invent(numbers: random.Random, player: Today, symbols: list[str], before: str) -> list[Any]:
    """Something that can be done now; ``before`` was done last."""
    text = player.text()
    name = numbers.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
    if before in ("undo", "redo") and numbers.random() < 0.6:
        name = numbers.choice(("undo", "redo"))
    length, cursor, branches = len(text["text"]), text["cursor"], len(text["branches"])
    at = numbers.choice((cursor, numbers.randint(text["prime"], length), numbers.randint(0, length)))
    after_prime = max(at, text["prime"])
    own = "".join(numbers.choices(symbols, k=numbers.randint(1, 6)))
    there = text["text"][at : at + numbers.randint(1, 3)]
    values: dict[str, list[Any]] = {
        "stream": [numbers.randint(1, 25)],
        "regenerate": [after_prime, numbers.randint(0, 12)],
        "alternative": [numbers.choice((1, 1, -1)), after_prime],
        "continuation": [numbers.randrange(3)],
        "choose": [after_prime, numbers.choice((own[0], own[:2], there or own))],
        "write at": [after_prime, own],
        "move": [at],
        "type": [numbers.choice((own, f"{own} ", numbers.choice(("over the hill, ", "a café – ", "and\n"))))],
        "paste": [own * 3],
        "erase": [numbers.randint(0, 3), numbers.randint(0, 2)],
        "replace": [at, min(length, at + numbers.randint(0, 6)), numbers.choice(("", own))],
        "switch": [numbers.randrange(branches)],
        "prune": [numbers.randrange(branches)],
        "write": [numbers.random() < 0.5],
        "settings": [numbers.choice(SAMPLERS)],
        "cells": [numbers.choice(CELLS)],
        "model": [numbers.randrange(len(MODELS))],
    }
    return [name, *values.get(name, [])]


def record(models: list[Model], count: int, length: int = 24) -> list[dict[str, Any]]:
    symbols, sequences = sorted(models[0].vocabulary.symbols), []
    for seed in range(count):
        numbers = random.Random(seed)
        sampler, prime = numbers.choice(SAMPLERS), "" if seed % 10 == 9 else PRIME
        player, done, operation = Today(models, prime, seed, sampler), [], ["stream", 20]
        for _ in range(length):
            player.do(*operation)
            done.append([digests(player), *operation])
            operation = invent(numbers, player, symbols, operation[0])
        sequences.append({"prime": prime, "seed": seed, "sampler": sampler, "done": done, "end": end(player)})
    return sequences


def check(models: list[Model], sequence: dict[str, Any], kind: type[Today] = Today) -> str:
    """Play a recorded sequence; what is different, or nothing."""
    player = kind(models, sequence["prime"], sequence["seed"], sequence["sampler"])
    about = f"sequence {sequence['seed']}"
    for number, (expected, *operation) in enumerate(sequence["done"]):
        player.do(*operation)
        found = digests(player)
        if found != expected:
            if DIFFERENT.get(sequence["seed"]) == number:
                return ""
            names = (("text", 0, 8), ("ranks", 8, 12), ("candidates", 12, 16))
            which = ", ".join(name for name, start, stop in names if found[start:stop] != expected[start:stop])
            return f"{about}, operation {number} {operation}: {which} differ"
    found_end, expected_end = end(player), sequence["end"]
    for name in ("probability", "entropy"):
        if not np.allclose(found_end[name], expected_end[name], rtol=2e-3, atol=1e-6):
            return f"{about}: {name} differs at its end"
    likely = {char: values for char, *values in found_end["candidates"]}
    for char, *values in expected_end["candidates"][:4]:
        if char not in likely or not np.allclose(likely[char], values, rtol=2e-3, atol=1e-6):
            return f"{about}: the candidates at the cursor differ at its end"
    return ""


def read() -> list[dict[str, Any]]:
    sequences: list[dict[str, Any]] = json.loads(lzma.decompress(RECORD.read_bytes()))
    return sequences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--sequences", type=int, default=400)
    options = parser.parse_args()
    models = [load_model(path) for path in MODELS]
    if not options.check:
        made = json.dumps(record(models, options.sequences), ensure_ascii=False, separators=(",", ":"))
        RECORD.write_bytes(lzma.compress(made.encode(), preset=9 | lzma.PRESET_EXTREME))
        return 0
    sequences = read()[: options.sequences]
    different = [found for found in (check(models, each) for each in sequences) if found]
    print(*different, f"{len(sequences)} sequences, {len(different)} differ", sep="\n")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())

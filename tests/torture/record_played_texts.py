"""Invent lists of what a person does in a text, and record what the text is then: ``tests/data/played_texts.json.xz``.

``PYTHONPATH=tests python tests/torture/record_played_texts.py``. The sequences depend on their numbers alone.
"""

from __future__ import annotations

import json
import lzma
import random
from typing import Any

from test_played_texts import MODELS, RECORD, Today

from charlstm.model.file import Model, load_model

SEQUENCES, LENGTH = 400, 24
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
    "cells": 1,  # [[layer, cell, value], …]: hold these from the next character on
    "model": 1,  # [place in MODELS]: the text goes on with it
}  # fmt: skip
"""What is done, how often in relation to the others, and its arguments."""
SAMPLERS: tuple[dict[str, Any], ...] = (
    {}, {"temperature": 1.0, "min_p": None}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.2}, {"temperature": 0.0},
    {"temperature": 0.0, "repetition": 2.0}, {"top_p": 0.5, "min_p": None, "repetition": 8.0},
    {"kind": "reference", "top_k": 3},
)  # fmt: skip
CELLS: tuple[list[Any], ...] = ([], [[1, 2, 0.5]], [[1, 5, 0.75], [1, 11, -1.0]])


def invent(numbers: random.Random, player: Today, symbols: list[str], before: str) -> list[Any]:
    """Something that can be done now; ``before`` was done last."""
    document = player.desk.document
    text, prime, cursor = document.text.read(), document.prime_length, document.cursor
    name = numbers.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
    if before in ("undo", "redo") and numbers.random() < 0.6:
        name = numbers.choice(("undo", "redo"))
    length, branches = len(text), len(player._branches())
    at = numbers.choice((cursor, numbers.randint(prime, length), numbers.randint(0, length)))
    after_prime = max(at, prime)
    own = "".join(numbers.choices(symbols, k=numbers.randint(1, 6)))
    there = text[at : at + numbers.randint(1, 3)]
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


def record(models: list[Model], seed: int) -> dict[str, Any]:
    """A sequence with what the text is after each of its operations."""
    symbols, numbers = sorted(models[0].vocabulary.symbols), random.Random(seed)
    sampler, prime = numbers.choice(SAMPLERS), "" if seed % 10 == 9 else PRIME
    player, done, operation = Today(models, prime, seed, sampler), [], ["stream", 20]
    for _ in range(LENGTH):
        player.do(*operation)
        done.append([player.digests(), *operation])
        operation = invent(numbers, player, symbols, operation[0])
    return {"prime": prime, "seed": seed, "sampler": sampler, "done": done, "end": end(player)}


def end(player: Today) -> dict[str, Any]:
    """Figures of the end of a sequence, with four significant digits."""
    rows, reading = player.figures(), player.desk.thread._works[0].reading
    found = reading.distribution(player.desk.document.cursor, 6).alternatives
    return {
        "probability": [short(each) for each in rows["probability"]],
        "entropy": short(rows["entropy"].mean() if len(rows) else 0.0),
        "candidates": [[each.char, short(each.probability), short(each.sampled)] for each in found[:4]],
    }


def short(value: float) -> float:
    return float(f"{value:.4g}")


if __name__ == "__main__":
    models = [load_model(path) for path in MODELS]
    sequences = [record(models, seed) for seed in range(SEQUENCES)]
    made = json.dumps(sequences, ensure_ascii=False, separators=(",", ":"))
    RECORD.write_bytes(lzma.compress(made.encode(), preset=9 | lzma.PRESET_EXTREME))

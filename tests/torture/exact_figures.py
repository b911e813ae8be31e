"""Compares the losses that the program reports with those of torch's ``nn.LSTM``, reading a text in one row.

``python tests/torture/exact_figures.py [--short]`` takes three models: the one in the box, a checkpoint of the
reference script where the shared data is there, and one that it trains. It asks ``eval`` and ``score`` for their mean
loss on the last 20,000 and 200,000 characters of a text, and a run for its final figure on as many held-out ones. All
have to be within 1e-4 nats of the direct computation: one hidden state, carried from the first character to the last.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from charlstm.cli.main import run as command_line
from charlstm.model.file import Model, load_model
from charlstm.runs.models import find_model
from charlstm.text.builtin import pieces

SHARED = Path(__file__).parents[3] / "shared" / "data"
CHECKPOINT = SHARED / "checkpoints" / "zip_cuda_256x2.net"
CLOSE = 1e-4
"""Nats per character."""

STEPS = 500
BETTER = ("--max-steps", "30", "--set", "lr=2e-4", "--set", "val_every=10")
"""How a model becomes a little better on more of its text: the loss of one that does not stays an estimate."""
SETTINGS = ("--threads", "2", "--kernel", "nn", "--max-minutes", "none", "--plain")


def asked(*arguments: str) -> str:
    """What ``charlstm`` with these arguments writes to stdout."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line(list(arguments))
    if code:
        raise RuntimeError(f"charlstm {' '.join(arguments)} ended with {code}: {err.getvalue()}")
    return out.getvalue()


def direct(model: Model, text: str) -> float:
    """Mean loss of ``text`` by ``nn.LSTM`` and ``nn.Linear`` with the model's weights, in one row from empty states."""
    config = model.config
    lstm = nn.LSTM(config.vocab_size, config.hidden_size, config.num_layers)
    linear = nn.Linear(config.hidden_size, config.vocab_size)
    weights = {name: torch.from_numpy(array) for name, array in model.weights.items()}
    lstm.load_state_dict({name[5:]: tensor for name, tensor in weights.items() if name.startswith("lstm.")})
    linear.load_state_dict({name[3:]: tensor for name, tensor in weights.items() if name.startswith("fc.")})
    ids = torch.from_numpy(model.vocabulary.encode(text)[0].astype(np.int64))
    total, state = 0.0, None
    with torch.inference_mode():
        for start in range(0, len(ids) - 1, 1000):
            inputs, targets = ids[start : start + 1000][: len(ids) - 1 - start], ids[start + 1 : start + 1001]
            output, state = lstm(nn.functional.one_hot(inputs, config.vocab_size).float(), state)
            losses = nn.functional.cross_entropy(linear(output).double(), targets, reduction="sum")
            total += losses.item()
    return total / (len(ids) - 1)


def models(place: Path) -> Iterator[tuple[str, str, str]]:
    """(what it is, how the command line calls it, a text)."""
    reference = "".join(pieces("python-reference"))
    yield "in the box", "demo", reference
    if CHECKPOINT.exists():
        path = place / "checkpoint.safetensors"
        asked("import", str(CHECKPOINT), "--out", str(path))
        with (SHARED / "anna.txt").open(encoding="utf-8") as file:
            yield "reference script's", str(path), file.read()
    small = ("--set", "hidden_size=128", "--num-layers", "1", "--max-steps", str(STEPS), *SETTINGS)
    asked("train", "python-reference", "--name", "small", *small)
    yield f"{STEPS} steps", "small", reference


def compare(what: str, model: str, text: str, chars: int, place: Path) -> tuple[int, int]:
    """Print a line for each figure of ``model`` on the last ``chars`` of ``text``; how many, and how many are wrong."""
    end, both = place / "end.txt", place / "both.txt"
    loaded = load_model(find_model(model))
    kept = set(loaded.vocabulary.symbols)
    text = "".join(char for char in text if char in kept)
    end.write_text(text[-chars:], encoding="utf-8")
    both.write_text(text[-2 * chars :], encoding="utf-8")  # half of it is held out
    name = f"{Path(model).stem}-{chars}"
    split = ("--val-fraction", "0.5", "--split", "tail", *BETTER, *SETTINGS)
    asked("train", str(both), "--from", model, "--name", name, *split)
    [run] = [row for row in json.loads(asked("runs", "--json")) if row["name"] == name]
    trained = load_model(place / "runs" / name / "model.safetensors")
    expected, by_run = direct(loaded, text[-chars:]), direct(trained, text[-chars:])
    began = time.monotonic()
    by_eval = json.loads(asked("eval", model, str(end), "--json"))["loss"]
    seconds = time.monotonic() - began
    figures = [
        ("eval", by_eval, expected),
        ("score", json.loads(asked("score", model, str(end), "--json"))["loss"], expected),
    ]
    if run["best_kind"] == "whole":
        figures.append(("final figure", run["best_loss"], by_run))
    else:
        print(f"{what:<20}{chars:>9,}  no final figure: the model did not become better", flush=True)
    wrong = 0
    for figure, found, right in figures:
        off = found - right
        wrong += not abs(off) <= CLOSE
        took = f"{seconds:8.1f} s" if figure == "eval" else ""
        print(f"{what:<20}{chars:>9,}  {figure:<14}{right:>10.6f}{found:>10.6f}{off:>10.1e}{took}", flush=True)
    return len(figures), wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="the shorter length alone")
    asked_for = parser.parse_args()
    began, tried, wrong = time.monotonic(), 0, 0
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("CACHE", "STATE", "RUNS"):
            os.environ[f"CHARLSTM_{name}"] = str(place / name.lower())
        print(f"{'model':<20}{'chars':>9}  {'figure':<14}{'torch':>10}{'found':>10}{'off':>10}")
        for what, model, text in models(place):
            for chars in (20_000,) if asked_for.short else (20_000, 200_000):
                figures, off = compare(what, model, text, chars, place)
                tried, wrong = tried + figures, wrong + off
    print(f"{tried} figures in {time.monotonic() - began:.0f} s, {wrong} lost")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

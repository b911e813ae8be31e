"""Measure what each setting contributes: single changes to base settings, trained on the same number of characters.

    python tests/benchmarks/recipe.py [--text FILE] [--set KEY=VALUE …] [--rows "KEY=VALUE …" …] [--chars N] [--seeds N]

Runs are limited by characters, not by seconds, so that other work on the machine does not change their results. The
base settings are the defaults of ``Settings``, with ``--set``. The result of a run is the validation loss of its last
model over the whole held-out tail. Results are appended to ``--results``, and runs that are there already are not
repeated. The Markdown table on stdout shows all requested runs that have a result. After ``--minutes`` no further run
is started; call again to continue.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from _common import RESULTS, default_text, known_results

from charlstm import Corpus, Settings, Trainer, open_corpus
from charlstm.cli.training import settings_from_options
from charlstm.training.events import Started, Validated

BASE = ""
ROWS = (
    BASE,
    "schedule=constant",
    "lr=1e-3",
    "lr=6e-3",
    "batch_size=16 seq_length=50",
    "batch_size=64 seq_length=100",
    "init=torch",
    "dropout=0.25",
    "dropout=0.25 shared_masks=false",
    "dropout=0.5",
    "batch_size=16 seq_length=50 lr=6e-3",
    "batch_size=16 seq_length=50 schedule=constant",
    "warmup=0",
    "ema_decay=0.99",
    "weight_drop=0.2",
    "weight_decay=0.1",
    "schedule=constant ema_decay=0.99",
    "state_reset=0.02",
    "schedule=cosine",
    "clip=5",
    "weight_decay=0",
    "beta2=0.999",
    "ema_decay=0.999",
)
"""The changes, the most important first: each is trained with every seed before the next one."""


def settings_of(row: str, base: dict[str, Any], chars: int, seed: int) -> Settings:
    """The base settings with the changes of ``row``, for ``chars`` characters in whole steps.

    Only two short validations, before the first and after the last step: they make the last model the best one.
    """
    settings = Settings(**base | settings_from_options(tuple(row.split()), {}) | {"seed": seed})
    steps = max(1, chars // (settings.batch_size * settings.seq_length))
    return settings.with_changes(max_steps=steps, val_every=steps, val_chars=10_000)


def train(corpus: Corpus, settings: Settings) -> dict[str, Any]:
    """Train a run in memory; returns its validation loss, settings and kernel."""
    result: dict[str, Any] = {"fingerprint": corpus.fingerprint, "settings": settings.to_dict()}
    for event in Trainer(corpus, settings).events():
        match event:
            case Started():
                result |= {"kernel": event.kernel}
            case Validated(whole=True):
                result |= {"val_loss": event.val_loss, "train_seconds": round(event.train_seconds, 1)}
    return result


def table(losses: dict[str, dict[int, float]]) -> str:
    """A Markdown table: for each row the mean loss over its seeds, their spread, and the difference to the base."""
    lines = ["| change | seeds | validation loss | spread | against the base |", "|---|---|---|---|---|"]
    for row, by_seed in losses.items():
        if not by_seed:
            continue
        against = [loss - losses[BASE][seed] for seed, loss in by_seed.items() if seed in losses.get(BASE, {})]
        difference = f"{statistics.mean(against):+.4f}" if against and row != BASE else ""
        spread = max(by_seed.values()) - min(by_seed.values())
        name = f"`{row}`" if row else "none: the base"
        lines.append(
            f"| {name} | {len(by_seed)} | {statistics.mean(by_seed.values()):.4f} | {spread:.4f} | {difference} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default=default_text(), help="a file or a built-in corpus")
    parser.add_argument("--set", dest="base", nargs="+", default=["hidden_size=128"], help="KEY=VALUE of the base")
    parser.add_argument("--rows", nargs="+", default=ROWS, help='changes, each "KEY=VALUE …"; "" is the base')
    parser.add_argument("--chars", type=int, default=1_500_000, help="characters that each run trains on")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="start no run after that long")
    parser.add_argument("--results", type=Path, default=RESULTS / "recipe.jsonl")
    options = parser.parse_args()
    corpus = open_corpus(options.text)
    base = {"threads": options.threads, "kernel": "fused"} | settings_from_options(tuple(options.base), {})
    known = known_results(options.results)
    end = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    losses: dict[str, dict[int, float]] = {row: {} for row in options.rows}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for row in options.rows:
        for seed in range(options.seeds):
            settings = settings_of(row, base, options.chars, seed)
            wanted = {"fingerprint": corpus.fingerprint, "settings": settings.to_dict()}
            result = next((each for each in known if wanted.items() <= each.items()), None)
            if result is None and time.monotonic() < end:
                result = train(corpus, settings)
                with options.results.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(f"{row or 'base'}, seed {seed}: {result.get('val_loss')}", file=sys.stderr, flush=True)
            if result is not None and result.get("val_loss") is not None:
                losses[row][seed] = result["val_loss"]
    print(table(losses))


if __name__ == "__main__":
    main()

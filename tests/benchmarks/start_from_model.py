"""Measure what a start from a model gains: runs of a preset from nothing and from a model, at fixed numbers of steps.

    python tests/benchmarks/start_from_model.py --steps 1850 620 --texts FILE … [--model demo] [--seeds N]
        [--preset quick] [--rows "KEY=VALUE …" …] [--minutes N]

``--steps`` are those from nothing and from the model: what the preset's time allows on some machine, which is to be
named beside the result. So other work on this one does not change the results. The result of a run is its best
validation loss over the whole held-out part. ``--rows`` are changes to the settings of the start from the model; ``""``
is none. Results are appended to ``--results``, and runs that are there already are not repeated. After ``--minutes`` no
further run is started; call again to continue.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _common import machine

from charlstm import Corpus, Settings, Trainer, open_corpus
from charlstm.cli.training import settings_from_options
from charlstm.model.file import load_model
from charlstm.runs.models import find_model
from charlstm.runs.start_models import preset_from, try_model
from charlstm.training.events import Finished, Started
from charlstm.training.presets import preset

NOTHING = "nothing"
"""The side without a model in the results."""


def sides(options: argparse.Namespace) -> Iterator[str]:
    """From nothing, and from the model with each of the changes."""
    if options.steps[0]:
        yield NOTHING
    yield from options.rows


def settings_of(side: str, corpus: Corpus, options: argparse.Namespace, seed: int) -> Settings:
    """The preset's settings for this side, for so many steps."""
    chars, symbols = corpus.text_chars, len(corpus.vocabulary)
    end: dict[str, Any] = {"max_minutes": None, "calibrate": False, "seed": seed, "threads": options.threads}
    if side == NOTHING:
        return _for_steps(preset(options.preset, chars, symbols).with_changes(**end), options.steps[0])
    changes = settings_from_options(tuple(side.split()), {})
    settings = preset_from(options.tried, options.preset, chars, symbols).with_changes(**{**end, **changes})
    row, usual = settings.batch_size * settings.seq_length, options.batch  # as many characters, whatever the batch
    return _for_steps(settings, max(1, options.steps[1] * usual // row))


def _for_steps(settings: Settings, steps: int) -> Settings:
    """``settings`` for so many steps, with few and short validations on the way; the last is on all held-out text."""
    return settings.with_changes(max_steps=steps, val_every=max(1, steps // 5), val_chars=20_000)


def train(corpus: Corpus, settings: Settings, model: Path | None) -> dict[str, Any]:
    """Train a run in memory; returns its best loss and how long it took."""
    result: dict[str, Any] = {}
    for event in Trainer(corpus, settings, start_from=None if model is None else load_model(model)).events():
        match event:
            case Started():
                result |= {"kernel": event.kernel}
            case Finished():
                result |= {"val_loss": event.best_val, "step": event.best_step, "seconds": round(event.work_seconds, 1)}
    return result


def table(losses: dict[str, dict[str, list[float]]], before: dict[str, float]) -> str:
    """A Markdown table: a row for each text, a column for each side, means over the seeds."""
    names = list(next(iter(losses.values())))
    lines = [f"| text | before training | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for text, found in losses.items():
        cells = [f"{statistics.mean(each):.4f} ({len(each)})" if each else "" for each in found.values()]
        lines.append(f"| {text} | {before[text]:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def known_results(path: Path) -> list[dict[str, Any]]:
    """The results in the lines of ``path``, if there are any. Settings that are newer than one had their defaults."""
    lines = path.read_text().splitlines() if path.exists() else []
    results: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for result in results:
        if "settings" in result:
            result["settings"] = Settings.from_dict(result["settings"]).to_dict()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", required=True, help="files or built-in texts")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--preset", default="quick")
    parser.add_argument(
        "--steps", type=int, nargs=2, required=True, help="from nothing (0: not at all), from the model"
    )
    parser.add_argument("--batch", type=int, default=800, help="characters of a step that --steps counts in")
    parser.add_argument("--rows", nargs="+", default=[""], help='changes of the start from the model, "KEY=VALUE …"')
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="start no run after that long")
    parser.add_argument("--results", type=Path, default=Path("start_from_model.jsonl"))
    options = parser.parse_args()
    model = find_model(options.model)
    end = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    losses: dict[str, dict[str, list[float]]] = {}
    before: dict[str, float] = {}
    for source in options.texts:
        corpus = open_corpus(source)
        found = losses.setdefault(corpus.name, {side: [] for side in sides(options)})
        split = preset(options.preset, corpus.text_chars).val_fraction
        options.tried = try_model(options.model, model, corpus, corpus.split(split))
        before[corpus.name] = options.tried.loss
        for seed in range(options.seeds):
            for side in sides(options):
                settings = settings_of(side, corpus, options, seed)
                wanted = {
                    "text": corpus.name,
                    "fingerprint": corpus.fingerprint,
                    "side": side,
                    "model_step": None if side == NOTHING else load_model(model).info.get("step"),
                    "settings": settings.to_dict(),
                }
                known = known_results(options.results)
                result = next((each for each in known if wanted.items() <= each.items()), None)
                if result is None and time.monotonic() < end:
                    result = wanted | train(corpus, settings, None if side == NOTHING else model)
                    result |= {"before": options.tried.loss, "pairs": options.tried.pairs, **machine()}
                    with options.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                    print(f"{corpus.name}, {side or 'model'}, seed {seed}: {result['val_loss']}", file=sys.stderr)
                if result is not None and result.get("val_loss") is not None:
                    found[side].append(result["val_loss"])
    print(table(losses, before))


if __name__ == "__main__":
    main()

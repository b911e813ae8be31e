"""Measure what the setting ``calibrate`` gains: the loss of a run's best model, and with its logits scaled.

    python tests/benchmarks/calibration.py TEXT … [--preset quick] [--from-nothing] [--steps N] [--seeds N]

The factor is fitted to about 10,000 held-out characters, and both losses are on all of them. The steps are fixed, so
other work on the machine does not change the results: ``--steps``, or those of the passes that a start from the model
has. They are appended to ``--results``, and runs that are there already are not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from _common import RESULTS, known_results, machine

from charlstm import Corpus, Settings, Trainer, open_corpus
from charlstm.engine.evaluation import best_logit_factor, evaluate
from charlstm.engine.network import CharLSTM
from charlstm.model.file import load_model
from charlstm.runs.models import find_model
from charlstm.runs.start_models import preset_from, try_model
from charlstm.training.presets import preset


def settings_of(corpus: Corpus, model: Path | None, options: argparse.Namespace, seed: int) -> Settings:
    chars, symbols = corpus.text_chars, len(corpus.vocabulary)
    settings = preset(options.preset, chars, symbols)
    if model is not None:
        tried = try_model("demo", model, corpus, corpus.split(settings.val_fraction))
        settings = preset_from(tried, options.preset, chars, symbols)
    fixed: dict[str, Any] = {"max_minutes": None, "patience": None, "threads": 1, "seed": seed, "calibrate": False}
    if options.steps:
        fixed |= {"max_steps": options.steps, "epochs": None}
    return settings.with_changes(**fixed)


def measure(corpus: Corpus, settings: Settings, model: Path | None) -> dict[str, Any]:
    """Train a run; the loss of its best model, the factor, and the loss with it."""
    trainer = Trainer(corpus, settings, start_from=None if model is None else load_model(model))
    trainer.train()
    best = trainer.best
    network, held_out = CharLSTM.from_model(best), corpus.split(settings.val_fraction, settings.split).held_out
    ids, _ = corpus.encoded_for(best.vocabulary)
    factor = best_logit_factor(network, ids, held_out)
    with torch.no_grad():
        network.fc.weight.mul_(factor)
        network.fc.bias.mul_(factor)
    scaled = evaluate(network, ids, held_out).loss
    return {"step": trainer.progress.step, "loss": best.loss, "factor": factor, "scaled": scaled}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", help="files or built-in texts")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--from-nothing", action="store_true")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS / "calibration.jsonl")
    options = parser.parse_args()
    if options.from_nothing and not options.steps:
        parser.error("--from-nothing needs --steps")
    model = None if options.from_nothing else find_model("demo")
    torch.set_num_threads(1)
    known = known_results(options.results)
    for source in options.texts:
        corpus, gains = open_corpus(source), []
        for seed in range(options.seeds):
            settings = settings_of(corpus, model, options, seed).to_dict()
            wanted = {"text": corpus.name, "from": "nothing" if model is None else "demo", "settings": settings}
            result = next((each for each in known if wanted.items() <= each.items()), None)
            if result is None:
                result = wanted | measure(corpus, Settings.from_dict(settings), model) | machine()
                with options.results.open("a") as file:
                    file.write(json.dumps(result) + "\n")
            gains.append(result["scaled"] - result["loss"])
            print(
                f"{corpus.name}, seed {seed}, {result['step']:,} steps: {result['loss']:.4f}, "
                f"logits × {result['factor']:.3f}: {result['scaled']:.4f} ({gains[-1]:+.4f})",
                flush=True,
            )
        print(f"{corpus.name}, mean: {statistics.mean(gains):+.4f}", flush=True)


if __name__ == "__main__":
    main()

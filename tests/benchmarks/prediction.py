"""How good the prediction of a run's last loss is (``core/charlstm/runs/prediction.py``), over recorded runs of quick.

    python tests/benchmarks/prediction.py [--add TEXT START STEPS SEED] [--again FOLDER …] [--start none|demo]
        [--fit] [--results FILE]

Prints how many of the recorded runs ended within the range that was predicted, how wide that is and how far its middle
was off, for the runs that the rule was fitted to and for those that came later. ``--add`` first trains one more: START
is ``none`` or a model, such as ``demo``. ``--again`` first repeats the runs that are recorded here and not yet in
``--results``, those from one ``--start`` or all, with the texts in these folders: after a change of the recipe or of
the model in the box, whose results then take the place of the old ones. ``--fit`` prints the figures of the rule. Runs
are limited by steps, so other work on the machine does not change them.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS

from charlstm import Trainer, open_corpus
from charlstm.model.file import ModelConfig, load_model
from charlstm.runs.folder import RunSpec
from charlstm.runs.models import find_model
from charlstm.runs.prediction import FROM_MODEL, FROM_NOTHING, Prediction, Rule, predict
from charlstm.runs.series import RunSeries
from charlstm.runs.start_models import preset_from, try_model
from charlstm.training.events import Started, Validated
from charlstm.training.presets import preset

NOTHING = "none"
VALIDATIONS, VAL_CHARS = 16, 10_000
"""As a run of quick has on a text of a million characters."""


def train(text: str, start: str, steps: int, seed: int) -> dict[str, Any]:
    """A run of quick with so many steps, or fewer where its epochs end before: its validations and its last loss."""
    corpus = open_corpus(text)
    chars, symbols = corpus.text_chars, len(corpus.vocabulary)
    if start == NOTHING:
        model, settings = None, preset("quick", chars, symbols)
    else:
        path = find_model(start)
        split = corpus.split(preset("quick", chars).val_fraction)
        model, settings = (
            load_model(path),
            preset_from(try_model(start, path, corpus, split), "quick", chars, symbols),
        )
    if settings.epochs is not None:
        steps = min(steps, int(settings.epochs * 0.9 * chars / (settings.batch_size * settings.seq_length)))
    settings = settings.with_changes(
        max_minutes=None,
        epochs=None,
        max_steps=steps,
        seed=seed,
        threads=1,
        val_every=max(1, steps // VALIDATIONS),
        val_chars=VAL_CHARS,
    )
    found: dict[str, Any] = {"text": corpus.name, "chars": chars, "start": start, "steps": steps, "seed": seed}
    found |= {"batch": settings.batch_size * settings.seq_length, "fitted": False, "validations": []}
    for event in Trainer(corpus, settings, start_from=model).events():
        if isinstance(event, Validated) and event.whole:
            found["end"] = round(event.val_loss, 4)
        elif isinstance(event, Validated):
            found["validations"].append([event.step, round(event.val_loss, 4)])
    return found


def predicted(run: dict[str, Any], done: float) -> Prediction | None:
    """What was predicted at the first validation after this fraction of the steps."""
    start = None if run["start"] == NOTHING else ModelConfig(1, 512, 2)
    lineage = None if start is None else {"run": run["start"]}
    spec = RunSpec(corpus={}, settings=preset("quick", start_from=start), preset="quick", lineage=lineage)
    per_epoch = max(1, round(0.9 * run["chars"] / run["batch"]))
    begin = Started(
        step=0,
        planned_steps=run["steps"],
        steps_per_epoch=per_epoch,
        parameters=1,
        train_chars=1,
        val_chars=1,
        device="cpu",
        kernel="nn",
        threads=1,
    )
    last = next(index for index, (step, _) in enumerate(run["validations"]) if step >= done * run["steps"])
    validations = [
        Validated(step=step, val_loss=loss, chars=VAL_CHARS, best=True, train_seconds=float(step))
        for step, loss in run["validations"][: last + 1]
    ]
    return predict(RunSeries.of([begin, *validations]), spec)


def passes(run: dict[str, Any]) -> float:
    """How often the run reads its text, one at least."""
    return max(1.0, run["steps"] / max(1, round(0.9 * run["chars"] / run["batch"])))


def fitted(runs: list[dict[str, Any]], rule: Rule) -> Iterator[str]:
    """The figures of ``rule`` by the fractions of the steps that it has, fitted to the last losses of ``runs``."""
    doublings = np.array([math.log2(passes(run)) for run in runs])
    shares = np.stack([np.ones(len(runs)), doublings])[: 2 if any(rule.doubling) else 1]
    found = []
    for done in rule.done:
        now = [np.interp(done * run["steps"], *np.array(run["validations"]).T) for run in runs]
        wanted = np.log([run["end"] for run in runs]) - np.log(now)
        factors = np.linalg.lstsq(shares.T, wanted, rcond=None)[0]
        spread = math.sqrt(((wanted - factors @ shares) ** 2).sum() / (len(runs) - len(shares)))
        found.append((factors[0], *factors[1:], *[0.0] * (2 - len(shares)), spread))
    yield f"{len(runs)} runs of at least {min(run['steps'] for run in runs)} steps; at {rule.done}:"
    for name, figures in zip(("change", "doubling", "spread"), zip(*found, strict=True), strict=True):
        yield f"{name}: ({', '.join(f'{figure:.3f}' for figure in figures)})"


def repeat(recorded: list[dict[str, Any]], folders: list[Path], start: str | None, results: Path) -> None:
    """Train the runs of ``recorded`` again that are not in ``results``, and append them."""
    names = ("text", "start", "steps", "seed")
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    known = {tuple(run[name] for name in names) for run in map(json.loads, lines)}
    for run in recorded:
        if tuple(run[name] for name in names) in known or start not in (None, run["start"]):
            continue
        text = next((str(path) for folder in folders if (path := folder / run["text"]).exists()), run["text"])
        again = train(text, run["start"], run["steps"], run["seed"]) | {"fitted": run["fitted"]}
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(again) + "\n")


def table(runs: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each kind of runs and each fraction of their steps."""
    yield "| runs | steps done | within the range | range to each side | middle off by |"
    yield "|---|---|---|---|---|"
    for fitted in (False, True):
        for start in (NOTHING, "demo"):
            some = [run for run in runs if (run["fitted"], run["start"]) == (fitted, start)]
            kind = f"{'from nothing' if start == NOTHING else 'from the model'}, {'fitted to' if fitted else 'later'}"
            for done in (0.1, 0.25, 0.5, 0.75) if some else ():
                pairs = [(found, run["end"]) for run in some if (found := predicted(run, done)) is not None]
                inside = sum(found.low <= end <= found.high for found, end in pairs)
                width = statistics.mean((found.high - found.low) / 2 for found, _ in pairs)
                off = statistics.mean(abs(found.loss - end) for found, end in pairs)
                yield f"| {kind} | {done:g} | {inside} of {len(pairs)} | {width:.3f} | {off:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--add", nargs=4, metavar=("TEXT", "START", "STEPS", "SEED"))
    parser.add_argument("--again", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--start", choices=(NOTHING, "demo"))
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS / "prediction.jsonl")
    options = parser.parse_args()
    if options.add:
        text, start, steps, seed = options.add
        run = train(text, start, int(steps), int(seed))
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
    if options.again:
        recorded = (RESULTS / "prediction.jsonl").read_text(encoding="utf-8").splitlines()
        repeat([json.loads(line) for line in recorded], options.again, options.start, options.results)
    runs = [json.loads(line) for line in options.results.read_text(encoding="utf-8").splitlines()]
    print("\n".join(table(runs)))
    for start, rule in ((NOTHING, FROM_NOTHING), ("demo", FROM_MODEL)) if options.fit else ():
        if some := [run for run in runs if run["start"] == start and run["fitted"]]:
            print("\n".join(fitted(some, rule)))


if __name__ == "__main__":
    main()

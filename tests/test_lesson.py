"""The lesson: its runs are put where runs are, and the figures of docs/lesson.md are those of these runs."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlstm.generation.clamp import Clamp, parse_clamp
from charlstm.generation.generate import generate_many
from charlstm.generation.novelty import NoveltyReport, novelty
from charlstm.generation.recipe import DEFAULT
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.insight.cells import name_cells, sample_cells, score_cells
from charlstm.insight.context import context
from charlstm.insight.features import feature_starts
from charlstm.insight.holding import LENGTH, PAIRS, HoldEffect, hold_effects
from charlstm.insight.multiverse import read_text
from charlstm.library import evaluate, generate, influence
from charlstm.model.file import Model, load_model
from charlstm.runs.folder import RunFolder
from charlstm.runs.lesson import RUNS, add_lesson, lesson_path
from charlstm.runs.own_text import text_for_cells, text_for_context
from charlstm.runs.text import open_text
from charlstm.training.events import Stepped
from command_line import Cli

pytestmark = pytest.mark.numeric

ROOT, QUOTES = Path(__file__).parents[1], "inside quotes"
PAGE = " ".join((ROOT / "docs" / "lesson.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    added, _ = add_lesson(tmp_path_factory.mktemp("runs"))
    return {run.name.removeprefix("lesson-"): run for run in added}


def figures(pattern: str) -> list[float]:
    """The numbers in the groups of ``pattern``, which the document has once."""
    [found] = re.findall(pattern, PAGE)
    return [float(number.replace(",", "")) for number in ([found] if isinstance(found, str) else found)]


def likely(model: Model, prime: str, char: str, clamp: str | None = None) -> float:
    """The probability of ``char`` after ``prime`` in percent, with a cell held."""
    stepper = Stepper(model)
    stepper.clamps = () if clamp is None else (parse_clamp(clamp),)
    return 100 * float(softmax(read_text(model, prime, stepper=stepper).logits)[0, model.vocabulary.index(char)])


def test_lesson_is_small_and_leaves_runs_of_its_names_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lesson_path()
    assert path.stat().st_size <= 2_000_000
    (tmp_path / RUNS[1]).mkdir()
    rows = Cli(capsys).json("lesson", "--runs-dir", str(tmp_path))
    assert {row["name"]: row["added"] for row in rows} == {RUNS[0]: True, RUNS[1]: False, RUNS[2]: True}
    assert {Path(row["path"]) for row in rows} == {tmp_path / name for name in RUNS} == set(tmp_path.iterdir())
    assert not list((tmp_path / RUNS[1]).iterdir())
    assert Cli(capsys)("lesson", "--read")[0].startswith("# A lesson")
    assert "left alone: lesson-words, lesson-recites" in Cli(capsys)("lesson", "--runs-dir", str(tmp_path))[1]


def test_losses_of_the_lesson_are_the_documented_ones(runs: dict[str, RunFolder]) -> None:
    assert [run.status().state for run in runs.values()] == ["finished"] * 3
    words, recites = runs["words"], runs["recites"]
    first, symbols = float(words.history()["val_loss"][0]), len(open_text(words).vocabulary)
    last = evaluate(words.model(), open_text(words), "validation").loss
    last_step = [event for event in words.events() if isinstance(event, Stepped)][-1]
    train, epochs = last_step.train_loss, int(last_step.epoch)
    losses = {step.step: load_model(step.path).loss for step in words.snapshots()}
    assert len(losses) == 8
    trained, validated = recites.history()["train_loss"], recites.history()["val_loss"]
    chars, trained_on = open_text(recites).chars, next(event for event in recites.events()).train_chars
    best = f"{validated.min():.3f} at step {recites.model().info['step']}"
    said = (
        f"falls from {first:.3f} nats per character to {last:.3f}. ",
        f"has {symbols} different characters: blind guesses cost ln {symbols} = {math.log(symbols):.3f}. ",
        f"At {last:.3f} the next one is as uncertain as a choice among e^{last:.3f} = {math.exp(last):.1f}. ",
        f"The training loss beside it, {train:.3f}, is lower: that text the network has read {epochs} times. ",
        f"step 100 ({losses[100]:.3f} nats) something like words, step 300 ({losses[300]:.3f}) words",
        f"On {trained_on:,} of {chars:,} characters, the training part, the training loss falls to {trained[-1]:.3f}. ",
        f"The validation loss falls to {best}, then rises to {validated[-1]:.3f}. ",
    )
    assert [sentence for sentence in said if sentence not in PAGE] == []


def test_words_and_copies_of_the_lesson_are_the_documented_ones(runs: dict[str, RunFolder]) -> None:
    known = set(re.findall(r"\w+", open_text(runs["words"]).text()))
    shares = figures(r"without min-p, (\d+) % of the words are words of the text; at 2, (\d+) %; .* 0.05 (\d+) %")
    for share, temperature, min_p in zip(shares, (1, 2, 2), (None, None, 0.05), strict=True):
        text = "The " + generate(runs["words"].model(), "The ", 2000, temperature=temperature, min_p=min_p)
        written = re.findall(r"\w+", text)
        assert 100 * sum(word in known for word in written) / len(written) == pytest.approx(share, abs=5)

    def copied(name: str, step: int | None, prime: str, length: int) -> NoveltyReport:
        corpus = open_text(runs[name])
        spans = [(0, int(corpus.chars * (1 - runs[name].spec().settings.val_fraction)))]
        return novelty(prime + generate(runs[name].model(step), prime, length), corpus, spans=spans)

    most, some, longest = figures(r"copies more than (\d+) %, in one stretch; .* ([\d.]+) %, at most (\d+) at")
    recited, written_anew = copied("recites", 1200, "The fisherman", 1000), copied("words", None, "", 2000)
    assert (100 * recited.share > most, len(recited.matches)) == (True, 1)
    assert 100 * written_anew.share == pytest.approx(some, abs=8)  # on another processor another text may be drawn
    assert max(match.length for match in written_anew.matches) <= 2 * longest
    assert re.findall(r"No: `([^`]*)`", PAGE)[0] in open_text(runs["words"]).text()


def test_cells_of_the_lesson_are_the_documented_ones(
    runs: dict[str, RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    def cells(name: str, *options: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = Cli(capsys).json("cells", str(runs[name].path), *options)
        return found

    words, brackets = ({row["feature"]: row for row in cells(name)} for name in ("words", "brackets"))
    documented = (
        (words["inside quotes"], r"Cell `(2):(10)` is low inside quotes: ([\d.]+) ±([\d.]+)", -1),
        (brackets["inside quotes"], r"`(2):(61)` tells quotes \(([\d.]+) ±([\d.]+)\)", 1),
        (brackets["bracket depth"], r"`(2):(6)` counts open brackets \(r (-[\d.]+) ±([\d.]+)\)", 1),
    )
    for row, pattern, sign in documented:
        score = row["score"] if sign > 0 else 1 - row["score"]
        assert [*row["cell"], score, row["margin"]] == pytest.approx(figures(pattern), abs=0.01)
        assert row["verdict"] == "follows"
    assert [words["inside quotes"]["chance"]] == pytest.approx(figures(r"with chance at ([\d.]+?)\. "), abs=0.02)
    text = text_for_cells(runs["words"]).text
    named = name_cells(sample_cells(runs["words"].model(), text))
    scores: dict[tuple[str, int], float] = {}
    for step in (100, 600):
        at_step = score_cells(sample_cells(runs["words"].model(step), text), named)
        scores |= {(each.feature, step): each.turned(score) for each, score in zip(named, at_step, strict=True)}
    found = [scores["blank", 100], scores["inside quotes", 100], scores["inside quotes", 600]]
    said = figures(r"auc of ([\d.]+), .* guesses: ([\d.]+?)\. At step 600 it has ([\d.]+?)\. ")
    assert found == pytest.approx(said, abs=0.02)


def test_held_cells_and_context_of_the_lesson_are_the_documented_ones(runs: dict[str, RunFolder]) -> None:
    words, brackets = runs["words"].model(), runs["brackets"].model()
    [prime] = re.findall(r"--prime '(Anna[^']*)'", PAGE)
    closing, held = figures(r"closing quote has (\d+) %, with it less than ([\d.]+) %")
    assert likely(words, prime, '"') == pytest.approx(closing, abs=0.6)
    assert likely(words, prime, '"', "2:10=0") < held
    [inside] = re.findall(r"After `(ba [^`]*)`", PAGE)
    quote, bracket = figures(r"the closing quote has (\d+) % and `\)` nothing\. .* has nothing and `\)` (\d+) %")
    [clamp] = re.findall(r"With `(2:61=-[\d.]+)`", PAGE)
    assert [likely(brackets, inside, char) for char in '")'] == pytest.approx([quote, 0], abs=0.6)
    assert [likely(brackets, inside, char, clamp) for char in '")'] == pytest.approx([0, bracket], abs=0.6)
    back, before, after = figures(r"opening quote, (\d+) characters back, .* falls from (\d+) % to ([\d.]+) %")
    why = influence(words, prime + '"', len(prime))
    assert len(prime) - why.strongest == back
    share = 100 * math.exp(-why.loss)
    assert share == pytest.approx(before, abs=0.6)
    assert share * math.exp(-float(why.changes[why.strongest])) == pytest.approx(after, abs=0.06)
    assert f"It uses {context(words, text_for_context(runs['words']).text).used_words}" in PAGE


def test_holding_the_cell_of_quotes_changes_what_is_written_and_ends_in_a_sentence(runs: dict[str, RunFolder]) -> None:
    model, prime = runs["brackets"].model(), open_text(runs["brackets"]).text(0, 300)

    def effect(value: float) -> HoldEffect:
        [found] = hold_effects(model, [QUOTES], [Clamp(2, 61, value)], prime=prime, recipe=DEFAULT)
        return found

    held = effect(-9.9), effect(8.4)
    assert [each.sentence[:15] for each in held if each.tells] == ["It writes fewer", "It writes more "]
    texts = generate_many(model, prime, LENGTH, DEFAULT, samples=PAIRS, threads=1)
    begun = np.mean([feature_starts(QUOTES, prime, each) for each in texts])
    assert held[0].free == pytest.approx(1000 * begun / LENGTH)
    assert HoldEffect(QUOTES, 4.0, 4.5, 0.3, 32_000).sentence == (
        "Holding it changes nothing that can be told from chance: “inside quotes” 4.5 times in 1,000 characters, "
        "not 4.0 (+0.50 ±0.60)."
    )

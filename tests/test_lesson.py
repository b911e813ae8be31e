"""The lesson: its runs are put where runs are, and the figures of docs/lesson.md are those of these runs."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from charlstm.generation.clamp import parse_clamp
from charlstm.generation.novelty import Novelty, NoveltyIndex
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.insight.multiverse import read_text
from charlstm.library import evaluate, generate, influence
from charlstm.model.file import Model, load_model
from charlstm.runs.folder import Run
from charlstm.runs.lesson import RUNS, add_lesson, lesson_path
from charlstm.runs.text import open_text
from command_line import Cli

pytestmark = pytest.mark.numeric

ROOT = Path(__file__).parents[1]
PAGE = " ".join((ROOT / "docs" / "lesson.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
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
    assert path is not None
    assert path.stat().st_size <= 2_000_000
    (tmp_path / RUNS[1]).mkdir()
    rows = Cli(capsys).json("lesson", "--runs-dir", str(tmp_path))
    assert {row["name"]: row["added"] for row in rows} == {RUNS[0]: True, RUNS[1]: False, RUNS[2]: True}
    assert {Path(row["path"]) for row in rows} == {tmp_path / name for name in RUNS} == set(tmp_path.iterdir())
    assert not list((tmp_path / RUNS[1]).iterdir())
    assert "left alone: lesson-words, lesson-recites" in Cli(capsys)("lesson", "--runs-dir", str(tmp_path))[1]


def test_texts_of_the_lesson_are_those_that_the_script_writes(runs: dict[str, Run], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "checkpoints"))
        import lesson_texts

        lesson_texts.main(str(tmp_path))
    sys.modules.pop("lesson_texts")
    for name, run in runs.items():
        assert open_text(run).text() == (tmp_path / f"{name}.txt").read_text(encoding="utf-8")


def test_losses_of_the_lesson_are_the_documented_ones(runs: dict[str, Run]) -> None:
    words, recites = runs["words"], runs["recites"]
    first, last = figures(r"falls from ([\d.]+) nats per character to ([\d.]+)\.")
    characters, blind = figures(r"has (\d+) different characters: .* ln 52 = ([\d.]+?)\. ")
    assert [run.status().state for run in runs.values()] == ["finished"] * 3
    assert float(words.history()["val_loss"][0]) == pytest.approx(first, abs=0.006)
    assert evaluate(words.model(), open_text(words), "validation").nats == pytest.approx(last, abs=0.006)
    assert len(open_text(words).vocabulary) == characters
    assert math.log(characters) == pytest.approx(blind, abs=0.006)
    assert math.exp(last) == pytest.approx(*figures(r"e\^0.54 = ([\d.]+?)\. "), abs=0.06)
    losses = {step.step: step.path for step in words.snapshots()}
    assert len(losses) == 8
    for step, loss in ((100, *figures(r"step 100 \(([\d.]+) nats")), (300, *figures(r"step 300 \(([\d.]+)\)"))):
        assert load_model(losses[step]).loss == pytest.approx(loss, abs=0.006)
    size, trained, best, step, worst = figures(
        r"On ([\d,]+) characters .* to ([\d.]+)\. That of validation falls to ([\d.]+) at step (\d+), .* to ([\d.]+)\. "
    )
    history = recites.history()
    assert open_text(recites).chars == size
    assert float(history["train_loss"][-1]) == pytest.approx(trained, abs=0.0006)
    assert float(history["val_loss"].min()) == pytest.approx(best, abs=0.006)
    assert recites.model().info["step"] == step
    assert float(history["val_loss"][-1]) == pytest.approx(worst, abs=0.006)


def test_words_and_copies_of_the_lesson_are_the_documented_ones(runs: dict[str, Run]) -> None:
    known = set(re.findall(r"\w+", open_text(runs["words"]).text()))
    shares = figures(r"without min-p, (\d+) % of the words are words of the text; at 2, (\d+) %; .* 0.05 (\d+) %")
    for share, temperature, min_p in zip(shares, (1, 2, 2), (None, None, 0.05), strict=True):
        text = "The " + generate(runs["words"].model(), "The ", 2000, temperature=temperature, min_p=min_p)
        written = re.findall(r"\w+", text)
        assert 100 * sum(word in known for word in written) / len(written) == pytest.approx(share, abs=5)
    most, some, longest = figures(r"copies more than (\d+) %, in one stretch; .* ([\d.]+) %, at most (\d+) at")
    for name, step, prime, length in (("recites", 1200, "The fisherman", 1000), ("words", None, "", 2000)):
        corpus = open_text(runs[name])
        text = prime + generate(runs[name].model(step), prime, length)
        settings = runs[name].spec().settings
        spans = [(0, int(corpus.chars * (1 - settings.val_fraction)))]
        report = Novelty(NoveltyIndex(corpus, spans=spans)).update(text)
        if name == "recites":
            assert 100 * report.share > most
            assert len(report.matches) == 1
        else:  # on another processor another text may be drawn
            assert 100 * report.share == pytest.approx(some, abs=8)
            assert max(match.stop - match.start for match in report.matches) <= 2 * longest
    assert re.findall(r"No: `([^`]*)`", PAGE)[0] in open_text(runs["words"]).text()


def test_cells_of_the_lesson_are_the_documented_ones(runs: dict[str, Run], capsys: pytest.CaptureFixture[str]) -> None:
    cli = Cli(capsys)

    def cells(name: str, *options: str) -> list[dict[str, Any]]:
        found = cli.json("cells", str(runs[name].path), *options)
        assert isinstance(found, list)
        return found

    words, brackets = ({row["feature"]: row for row in cells(name)} for name in ("words", "brackets"))
    documented = (
        (words["inside quotes"], r"Cell `(2):(10)` is low inside quotes: ([\d.]+) ±([\d.]+)", -1),
        (brackets["inside quotes"], r"`(2):(61)` tells quotes \(([\d.]+) ±([\d.]+)\)", 1),
        (brackets["bracket depth"], r"`(2):(6)` counts open brackets \(r (-[\d.]+) ±([\d.]+)\)", 1),
    )
    for row, pattern, sign in documented:
        layer, cell, score, margin = figures(pattern)
        assert row["cell"] == [layer, cell]
        assert (row["score"] if sign > 0 else 1 - row["score"]) == pytest.approx(score, abs=0.01)
        assert row["margin"] == pytest.approx(margin, abs=0.01)
        assert row["verdict"] == "follows"
    assert words["inside quotes"]["chance"] == pytest.approx(*figures(r"with chance at ([\d.]+?)\. "), abs=0.02)
    scores = {(row["feature"], row["step"]): row["score"] for row in cells("words", "--snapshots")}
    blank, guess, later = figures(r"auc of ([\d.]+); .* guesses: ([\d.]+?)\. At step 600 it has ([\d.]+?)\. ")
    found = [scores["blank", 100], *(1 - scores["inside quotes", step] for step in (100, 600))]
    assert found == pytest.approx([blank, guess, later], abs=0.02)


def test_held_cells_and_context_of_the_lesson_are_the_documented_ones(
    runs: dict[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
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
    uses = re.findall(r"It uses about [^.]*certainty\)", PAGE)[0]
    assert uses in Cli(capsys).flat("context", str(runs["words"].path))

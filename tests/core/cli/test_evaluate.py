"""`charlstm eval`, `score` and `novelty`."""

import io
import json
import math
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.cli.main import run
from charlstm.display import percent
from charlstm.model.file import load_model, save_model
from command_line import TINY, Cli

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("workspace")]

LINE = "the quick brown fox jumps over the lazy dog.\n"


def test_eval_of_a_part_of_another_text_divides_it_as_the_run(workspace: Path, cli: Cli) -> None:
    """By the fractions that the model was trained with, else its last tenth. It counts the unknown characters there."""
    cli("train", "data/fox.txt", *TINY, "--name", "fifth", "--val-fraction", "0.2", "--test-fraction", "0.1")
    (workspace / "other.txt").write_text("€€" + LINE * 20 + "€" + LINE[:-2], encoding="utf-8")
    chars = len("€€" + LINE * 20 + "€" + LINE[:-2])
    found = [cli.json("eval", "fifth", "other.txt", "--part", part) for part in ("train", "validation", "test", "all")]
    train, rest = int(chars * 0.7), int(chars * 0.9)
    assert [each["chars"] for each in found] == [train - 2, rest - train - 1, chars - rest - 2, chars - 3]
    assert [each["unknown"] for each in found] == [{"€": 2}, {}, {"€": 1}, {"€": 3}]
    assert "of the held-out part of other.txt" in cli("eval", "fifth", "other.txt", "--part", "validation")[0]
    model = load_model(workspace / "runs/fifth/model.safetensors")
    save_model(workspace / "plain.safetensors", replace(model, info={}))
    plain = cli.json("eval", "plain.safetensors", "other.txt", "--part", "validation")
    assert plain["chars"] == chars - int(chars * 0.9) - 1 - 1


def test_eval_dynamic_shows_the_figures_with_and_without_learning(workspace: Path, cli: Cli) -> None:
    before = (workspace / "runs" / "fox" / "model.safetensors").read_bytes()
    fixed = cli.json("eval", "fox", "--part", "validation")
    found = cli.json("eval", "fox", "--dynamic", "--strength", "2")  # of that part, where none is named
    learnt = found.pop("dynamic")
    assert (found, learnt["strength"]) == (fixed, 2)
    assert learnt["loss"] < fixed["loss"]
    first, second = cli("eval", "fox", "--dynamic", "--strength", "2")[0].splitlines()
    assert "the held-out part of fox.txt" in first
    assert second.endswith(f"learning from what it reads, at strength 2: {learnt['loss'] / fixed['loss'] - 1:+.1%}")
    assert (workspace / "runs" / "fox" / "model.safetensors").read_bytes() == before


def test_score_has_the_figures_of_eval_of_each_character_and_of_each_line(cli: Cli) -> None:
    Path("x.txt").write_bytes(f"\n{LINE}zzz xxx\r\n{LINE}".encode())
    found, judged = cli.json("score", "fox", "x.txt"), cli.json("eval", "fox", "x.txt")
    for name in ("loss", "bits_per_char", "perplexity", "chars", "unknown"):
        assert found[name] == pytest.approx(judged[name], rel=1e-4)
    assert found["text"] == f"\n{LINE}zzz xxx\n{LINE}"
    assert len(found["losses"]) == len(found["ranks"]) == len(found["entropy"]) == found["chars"] + 1
    assert found["losses"][0] is found["ranks"][0] is found["entropy"][0] is None
    assert sum(found["losses"][1:]) / found["chars"] == pytest.approx(found["loss"], abs=1e-3)
    first, *rows = found["lines"]
    assert first == {"line": 1, "chars": 0, "text": "", "loss": None, "bits_per_char": None}, "it is not predicted"
    assert [row["text"] for row in rows] == [LINE.rstrip(), "zzz xxx", LINE.rstrip()]
    assert rows[1]["bits_per_char"] > rows[0]["bits_per_char"]
    total = sum(row["bits_per_char"] * row["chars"] for row in rows)
    assert total / found["chars"] == pytest.approx(found["bits_per_char"])


def test_score_prints_the_most_surprising_characters(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{LINE}a\x1b[2Jfox Ω\n{LINE * 3}".encode())))
    out, err = cli("score", "fox", "-", "--top", "3")
    assert out.count(" bits  line ") == 3
    assert ": means of " in out
    assert "\x1b" not in out
    assert "Ω" in err
    assert "count in no mean" in err


def test_score_per_sentence_prints_bits_of_each_sentence(cli: Cli) -> None:
    Path("some.txt").write_text("the quick fox\njumps. zzz xxx. the end.\n\nthe dog.\n", encoding="utf-8")
    rows = [line.split(None, 3) for line in cli("score", "fox", "some.txt", "--per-sentence")[0].splitlines()]
    assert [" ".join(row[2:]) for row in rows] == ["1 the quick fox↵jumps.", "2 zzz xxx.", "2 the end.", "4 the dog."]
    assert float(rows[1][0]) > float(rows[0][0])
    found = cli.json("score", "fox", "some.txt")["sentences"]
    assert [float(row[0]) for row in rows] == pytest.approx([each["bits_per_char"] for each in found], abs=1e-3)


@pytest.fixture(scope="module")
def cat(workspace: Path) -> Path:
    """A text of cats, and `cat`, a run on it that does not know the letter z."""
    (workspace / "cat.txt").write_text("a cat sat on the mat and ate a rat. " * 60, encoding="utf-8")
    assert run(["train", "cat.txt", *TINY, "--name", "cat"]) == 0
    return workspace


def test_score_against_names_the_model_that_needs_fewest_bits(cat: Path, cli: Cli) -> None:
    """Of the text and of each sentence, over the characters that all models know."""
    (cat / "both.txt").write_text(f"{LINE}a rat sat on a mat.\n{LINE}{LINE}", encoding="utf-8")
    found = cli.json("score", "cat", "both.txt", "--against", "fox")
    fox, other = found["models"]
    assert (found["nearest"], fox["model"], other["model"]) == ("fox", "fox", "cat")
    nearest = [(each["line"], each["nearest"]) for each in found["sentences"]]
    assert nearest == [(1, "fox"), (2, "cat"), (3, "fox"), (4, "fox")]
    assert (fox["nearest_in"], other["nearest_in"], fox["log10_odds"]) == (3, 1, 0)
    assert fox["bits"] == pytest.approx(fox["bits_per_char"] * found["chars"])
    assert other["log10_odds"] == pytest.approx((fox["bits"] - other["bits"]) * math.log10(2))
    assert found["unknown"]["z"] == 3
    assert found["chars"] == len(found["text"]) - 1 - sum(found["unknown"].values())

    out, err = cli("score", "cat", "both.txt", "--against", "fox")
    assert re.search(rf"^cat +{other['bits_per_char']:.3f} .* 1 : 10\^{-other['log10_odds']:.0f} +1$", out, re.M)
    assert "nearest in 3 of 4 sentences" in out
    assert f"{sum(found['unknown'].values())} of {len(found['text'])} characters count for no model" in err
    sentences = cli("score", "cat", "both.txt", "--against", "fox", "--per-sentence")[0].splitlines()
    assert [line.split()[1:4] for line in sentences][1] == ["cat", "line", "2"]


def test_score_against_reads_the_text_in_one_way_whatever_the_order_of_models(cat: Path, cli: Cli) -> None:
    model = load_model(cat / "runs/fox/model.safetensors")
    keeps = replace(model.text_options, lines="keep")
    save_model(cat / "keeps.safetensors", replace(model, text_options=keeps))
    wrapped = f"{textwrap.fill(' '.join(np.random.default_rng(0).choice(LINE.split()[:8], 600)), 70)}\n\n" * 3
    (cat / "wrapped.txt").write_text(wrapped, encoding="utf-8")
    found = cli.json("score", "keeps.safetensors", "wrapped.txt", "--against", "fox")
    assert found["text"] != wrapped
    other = cli.json("score", "fox", "wrapped.txt", "--against", "keeps.safetensors")
    assert sorted(each["bits"] for each in other["models"]) == sorted(each["bits"] for each in found["models"])
    note = "All read this text as one text, wrapped prose as paragraphs; trained in another way: keeps.safetensors"
    assert note in cli("score", "keeps.safetensors", "wrapped.txt", "--against", "fox")[1]


def test_novelty_finds_a_copied_line(cli: Cli) -> None:
    lines = [f"line {number} says something of its own, {number * number}\n" for number in range(300)]
    Path("source.txt").write_text("".join(lines), encoding="utf-8")
    Path("text.txt").write_text(f"Nothing like it.\nNow {lines[123]}And nothing more.", encoding="utf-8")
    ask = ("novelty", "text.txt", "--corpus", "source.txt", "--min-length", "20")
    found = cli.json(*ask)
    [stretch] = found["stretches"]
    assert (stretch["text"], stretch["line"], stretch["start"]) == (lines[123], 2, len("Nothing like it.\nNow "))
    assert (stretch["corpus_line"], stretch["corpus_start"]) == (124, sum(map(len, lines[:123])))
    assert re.search(f"^{percent(found['share'])} copied: {len(lines[123])} .*from line     124", cli(*ask)[0], re.S)


def prose(seed: int, lines: int = 60) -> str:
    """Random lines that do not repeat."""
    random = np.random.default_rng(seed)
    return "".join(f"{' '.join(random.choice(LINE.split(), 9))} {number}\n" for number in range(lines))


def train(cli: Cli, name: str, text: str, *more: str) -> str:
    """Train the run NAME on the text NAME.txt; what is printed meanwhile."""
    Path(f"{name}.txt").write_text(text, encoding="utf-8")
    return cli("train", f"{name}.txt", *TINY, "--name", name, *more)[1]


def test_novelty_searches_the_training_text_of_a_run_and_not_its_held_out_part(cli: Cli) -> None:
    text = prose(1)
    train(cli, "prose", text)
    ask = ("novelty", "part.txt", "--model", "prose")
    for part, share in ((text[100:200], 1), (text[-100:], 0)):
        Path("part.txt").write_text(part, encoding="utf-8")
        assert cli.json(*ask)["share"] == share
    out, err = cli(*ask)
    assert "Nothing is copied" in out
    assert "held-out characters of prose.txt are not searched" in err


def test_eval_and_score_warn_about_training_text(cli: Cli) -> None:
    text = prose(2, 400)
    train(cli, "own", text)
    Path("part.txt").write_text("New words.\n" + text[:5000], encoding="utf-8")
    Path("other.txt").write_text(prose(3), encoding="utf-8")
    for command in ("eval", "score"):
        whole = ("--part", "all") if command == "eval" else ()
        assert re.search(r"The model was trained on 9\d % of own.txt", cli(command, "own", "own.txt", *whole)[1])
        assert "% of part.txt, so the loss" in cli(command, "own", "part.txt")[1]
        assert "trained on" not in cli(command, "own", "other.txt")[1]
    assert cli("eval", "own") == cli("eval", "own", "own.txt")
    assert "trained on" not in cli("eval", "own")[1]


def test_run_from_a_model_that_read_another_edition_says_so_everywhere(workspace: Path, cli: Cli) -> None:
    """Fingerprints do not know it: the second edition has other lines, and none of the appendix."""
    book = prose(6, 600)
    train(cli, "first", book + prose(7, 200))
    err = train(cli, "second", re.sub(r"(\d) ", r"\1\n", book.replace("\n", " ")), "--from", "first", "--plain")
    assert "It has read 9" in err or "It has read 100 %" in err
    assert "note: first, from which training starts, has read" in err
    [row] = [row for row in cli.json("runs") if row["name"] == "second"]
    assert (row["read_share"] > 0.9, row["read_by"]) == (True, "first")
    last = json.loads((workspace / "runs" / "second" / "events.jsonl").read_text().splitlines()[-1])
    for found in (last, cli.json("info", "second"), cli.json("eval", "second")):
        assert (found["read_share"], found["read_by"]) == (row["read_share"], "first")
    assert re.search(r"read before +(9\d|>99|100) % of the held-out part, by first", cli("info", "second")[0])
    assert "through first, from which it started" in cli("eval", "second")[1]


def test_novelty_finds_what_the_model_before_a_run_has_read(cli: Cli) -> None:
    train(cli, "old", prose(8, 400))
    train(cli, "new", prose(9, 400), "--from", "old")
    text = f"{prose(8, 400)[500:2500]}\n{prose(9, 400)[500:700]}\n{prose(10, 20)}"
    Path("text.txt").write_text(text, encoding="utf-8")
    found = cli.json("novelty", "text.txt", "--model", "new")["stretches"]
    assert [stretch["corpus_line"] is None for stretch in found][-1] is False
    assert sum(stretch["length"] for stretch in found if stretch["corpus_line"] is None) > 1000
    out, err = cli("novelty", "text.txt", "--model", "new")
    assert "known to be read" in out
    assert "What new has read besides is not here: stretches below some 500 characters may be missed" in err
    assert "not here" not in cli("novelty", "text.txt", "--model", "old")[1], "its own text is searched, word for word"


def test_eval_of_a_run_without_held_out_part_is_an_error(cli: Cli) -> None:
    train(cli, "ab", "ab" * 4, "--max-steps", "2")  # too short for two characters to be held out
    assert "too short" in cli.error("eval", "ab")
    assert cli.json("eval", "ab", "--part", "train")["chars"] == 6
    cli("train", "data/fox.txt", *TINY, "--max-steps", "2", "--name", "all", "--set", "val_fraction=0")
    assert "val_fraction was 0" in cli.error("eval", "all")

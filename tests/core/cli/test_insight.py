"""`charlstm cells`, `report`, and `generate --clamp`."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

import charlstm
from charlstm.insight.cells import SAMPLED
from charlstm.insight.context import PLACES
from charlstm.insight.report import passage_start
from charlstm.insight.sample import READ_CHARS
from charlstm.runs.folder import RunFolder
from charlstm.text.baselines import BASELINES
from command_line import TEXT, Cli

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("workspace")]
LOADED, HEADING = re.compile(r"\b(?:src|href)="), re.compile(r"<h2>(.*?)</h2>")
"""What a page would load, and its headings."""


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "x.txt"
    path.write_text('the "quick fox" jumps. The lazy "dog" runs.\n' * 30)
    return str(path)


def test_cells_are_printed_with_their_range_and_how_to_hold_the_best(cli: Cli, text: str) -> None:
    printed, remarks = cli("cells", "fox", text)
    assert not remarks
    assert "1,320 characters of x.txt" in " ".join(printed.split())
    best = cli.json("cells", "fox", text)[0]
    low = best["score"] < (0.5 if best["kind"] == "auc" else 0)
    held = f"{best['cell'][0]}:{best['cell'][1]}={round(best['low' if low else 'high'], 1):g}"
    assert printed.splitlines()[-1].split() == ["charlstm", "generate", "fox", "--clamp", held]
    assert max(map(len, printed.splitlines())) <= 80


def test_cut_of_a_text_is_remarked_unless_a_user_cut_it(cli: Cli, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "1,000 characters from all over 1,320 characters" in cli.flat("cells", "fox", text, "--max-chars", "1000")
    monkeypatch.setattr("charlstm.insight.sample.TEXT_CHARS", 1_000)
    remarks = cli("report", "fox", text, "--out", "-")[1]
    assert "Only the first 1,000 of 1,320 characters are read: --max-chars" in remarks


def test_the_same_text_gives_the_same_cells_and_context_in_command_library_and_report(cli: Cli, text: str) -> None:
    path = Path(text).with_name("long.txt")
    random = np.random.default_rng(0)
    path.write_text("".join(f"{word} " for word in random.choice(TEXT.split(), 12_000)) + "the end\n" * 2000)
    content = path.read_text()
    assert len(content) > READ_CHARS
    rows = cli.json("cells", "fox", str(path))
    named = charlstm.name_cells("fox", content)
    assert [(row["feature"], (*row["cell"],), row["score"], row["chars"], row["places"]) for row in rows] == [
        (each.feature, each.cell, each.score, READ_CHARS, SAMPLED) for each in named
    ]
    page = cli("report", "fox", str(path), "--out", "-")[0]
    better = [f"{each.feature}: cell {each.cell[0]}:{each.cell[1]} <" for each in named if each.verdict == "follows"]
    assert f"for {len(better)} of its {len(rows)} features there is one" in page
    assert all(cell in page for cell in better)
    assert f"over {PLACES} evenly spaced characters. It uses {charlstm.context('fox', content).used_words}" in page
    passages = dict(re.findall("<h3>(.*?): cell .*?<pre class=text>(.*?)</pre>", page, re.DOTALL))
    assert set(re.findall("<u>(.)", passages["vowel"])) == {"e"}, "it begins in the lines of “the end”"
    assert f"at {SAMPLED:,} evenly spaced characters of each, in the model at step" in page


def test_a_report_is_one_page_about_a_run_and_its_text_that_loads_nothing(cli: Cli, text: str, tmp_path: Path) -> None:
    out = tmp_path / "page.HTML"
    out.write_text(TEXT)  # it is replaced
    assert cli.json("report", "fox", "--out", str(out)) == {"out": str(out), "bytes": out.stat().st_size}
    assert cli("report", "fox", "--out", str(out)) == (f"{out}\n", "Open it in a browser\n")
    page = out.read_text(encoding="utf-8")
    assert not LOADED.search(page)
    headings = HEADING.findall(page)
    assert headings[:4] == ["Words", "How it learnt", "What it wrote", "Where it is surprised"]
    assert "What could come next" in headings
    assert f"<th>cells on</th><td>{len(TEXT):,} characters of fox.txt" in page
    assert "<th>surprises and context on</th><td>540 characters of the held-out part of fox.txt" in page
    assert f"It uses {charlstm.context('fox', TEXT[-540:]).used_words}" in page
    loss = cli.json("info", "fox")["loss"]
    assert f"<th>validation loss, on all held-out text</th><td>{loss:.3f} nats or {loss / math.log(2):.3f} bits" in page
    assert f">all held-out text: {loss:.3f}</text>" in page
    for name, figures in cli.json("stats", "data/fox.txt")["baselines"].items():
        assert (f">{BASELINES[name]}</text>" in page) == (figures["loss"] > 0), "a text that repeats itself needs none"
    page = cli("report", "runs/fox/model.safetensors", text, "--out", "-")[0]
    assert "How it learnt" not in page, "a model file has no curves"


def test_report_explains_why_two_steps_stand_on_the_page(workspace: Path, cli: Cli) -> None:
    last = int(RunFolder(workspace / "runs" / "fox").history()["step"][-1])
    assert "--json and --out -" in cli("report", "fox", "--out", "-", "--json", code=2)[1]
    page = cli("report", "fox", "--snapshot", "0", "--out", "-")[0]
    assert f"the model is that of step 0; its run went on to step {last:,}, where curves and samples end" in page


def test_cells_without_a_text_are_of_a_held_out_part_that_is_long(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"all over {len(TEXT):,} characters of fox.txt, which it was trained on: chosen" in cli.flat("cells", "fox")
    monkeypatch.setattr("charlstm.runs.own_text.LEAST_HELD_OUT", 540)
    assert "all over 540 characters of the held-out part of fox.txt: chosen" in cli.flat("cells", "fox")
    assert {row["chars"] for row in cli.json("cells", "fox")} == {540}


def test_a_clamped_cell_changes_what_is_generated(cli: Cli) -> None:
    ask = ("generate", "fox", "--length", "60", "--temperature", "0")
    clamps = [word for cell in range(1, 13) for word in ("--clamp", f"1:{cell}=2")]
    held = cli.json(*ask, *clamps)["text"]
    assert held != cli.json(*ask)["text"]
    assert cli.json(*ask, "--samples", "2", *clamps)["texts"] == [held, held]


@pytest.mark.parametrize("place", [60_000, 95_000])
def test_a_passage_shows_the_feature_wherever_it_is(place: int) -> None:
    """Passages were looked for in the first 20,000 characters, so that a rare feature was in none of them."""
    for text in ("One line here.\nAnother one.\n\n" * 3500, "no end of words " * 6500):
        values = np.zeros(len(text), np.float32)
        values[place : place + 9] = 1
        start = passage_start(text, 200, values)
        assert start < place < start + 190


def test_checkpoints_continue_one_prime(cli: Cli) -> None:
    words = ("generate", "fox", "--prime", "the ", "--length", "30", "--checkpoints")
    rows = cli.json(*words)["checkpoints"]
    assert [0, *(row["step"] for row in rows[1:])] == sorted({row["step"] for row in rows})
    for row, snapshot in ((rows[0], ("--snapshot", "0")), (rows[-1], ())):
        assert cli.json(*words[:-1], *snapshot)["text"] == row["text"]
    assert cli(*words)[0].startswith("step 0")

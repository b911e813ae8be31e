"""Texts whose lines are joined, on the command line."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.model.file import load_model, save_model
from charlstm.text.reading import TextOptions
from command_line import TINY, Cli
from made_documents import made_book, write_epub
from wrapped_prose import prose, verse

TEXT = f"{prose(12)}\n{verse(8)}\n\n{prose(12, seed=3)}\n*** END OF THE PROJECT GUTENBERG EBOOK A HOUSE ***\nLicence\n"
JOINED = re.compile(r"([\d,]+)(?: of ([\d,]+))? lines joined into 24 paragraphs; --lines keep keeps them")


@pytest.fixture(autouse=True)
def house(workspace: Path) -> Path:
    path = workspace / "house.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_stats_says_what_was_joined(cli: Cli) -> None:
    out = cli("stats", "house.txt")[0]
    said = JOINED.search(out)
    assert said
    assert int(said[2]) == TEXT.count("\n") - 3  # without the licence and the blank line before it
    assert re.match(r"house.txt: [\d,]+ characters, \d+ distinct", out)
    assert "it is left out, --no-strip-boilerplate keeps it" in out
    assert "joined" not in cli("stats", "house.txt", "--lines", "keep")[0]
    assert "joined" not in cli("stats", "data/fox.txt")[0]


def test_what_is_left_out_of_a_document_is_said(cli: Cli, workspace: Path, untrained: None) -> None:
    write_epub(workspace / "book.epub", made_book())
    words = "1 extra page, 2 front pages, 3 images, 6 notes, the table of contents"
    assert f"left out   {words}\n" in cli("stats", "book.epub")[0]
    assert f"book.epub: left out: {words}\n" in cli("train", "book.epub", *TINY)[1]


def test_as_is_keeps_lines_and_licence(cli: Cli) -> None:
    out = cli("stats", "house.txt", "--as-is")[0]
    assert out == cli("stats", "house.txt", "--lines", "keep", "--no-strip-boilerplate")[0]
    assert "house.txt: " + f"{len(TEXT):,} characters" in out
    assert "--lines has no effect with --as-is" in cli.error("stats", "house.txt", "--as-is", "--lines", "auto")


def test_runs_say_how_they_read_one_text(cli: Cli, untrained: None) -> None:
    err = cli("train", "house.txt", *TINY, "--as-is", "--name", "kept")[1]
    assert "joined" not in err
    err = cli("train", "--like", "kept", "--lines", "auto", "--strip-boilerplate", "--name", "joined")[1]
    assert JOINED.search(err)
    assert re.search(r"house.txt: \d+ characters of Project Gutenberg header and licence left out", err)
    said = "The run of --like read house.txt as it is, this one reads it as paragraphs and without its licence: "
    assert f"{said}their losses cannot be compared" in err
    assert "cannot be compared" not in cli("train", "--like", "joined", "--name", "same")[1]
    assert "house.txt (as paragraphs and without its licence)" in cli("runs")[0]
    out = cli("compare", "kept", "joined")[0]
    assert "One text was read in different ways, so these losses cannot be compared." in out
    assert re.search(r"text\.lines +keep +auto", out)
    assert {"name": "text.lines", "values": ["keep", "auto"]} in cli.json("compare", "kept", "joined")["differences"]
    assert "different ways" not in cli("compare", "joined", "same")[0]
    fox = load_model(Path("runs/fox/model.safetensors"))
    save_model(Path("lines.safetensors"), replace(fox, text_options=TextOptions(lines="keep")))
    err = cli("train", "house.txt", *TINY, "--from", "lines.safetensors", "--name", "further")[1]
    assert "It has learnt from texts with their lines, and this one is read as paragraphs" in err


def test_reference_reads_a_text_as_it_is(cli: Cli, untrained: None) -> None:
    words = ("train", "house.txt", *TINY, "--max-steps", "2", "--preset", "reference")
    assert "joined" not in cli(*words)[1]
    assert "joined" in cli(*words, "--lines", "auto")[1]


def test_line_numbers_are_those_of_the_file(cli: Cli) -> None:
    cli("train", "house.txt", *TINY, "--name", "numbered")
    file = TEXT.splitlines()
    scored = cli.json("score", "numbered", "house.txt")
    assert scored["text"].count("\n") < TEXT.count("\n") / 3
    for part in (*scored["lines"], *scored["sentences"]):
        assert part["text"].strip()[:12] in " ".join(file[part["line"] - 1 : part["line"] + 1])
    lines = [line["line"] for line in scored["lines"] if line["text"].strip()]
    before = dict(enumerate(["", *file], 1))
    of_paragraphs = {at for at, line in enumerate(file[:-2], 1) if line and not before[at]}
    verse_start = file.index(verse(8).split("\n")[0]) + 1
    assert lines == sorted(of_paragraphs | {*range(verse_start, verse_start + 8)})
    pages = [*prose(3, seed=8).splitlines(), "", *file[file.index("") + 1 :][:30]]
    Path("pages.txt").write_text("\n".join(pages), encoding="utf-8")
    stretches = cli.json("novelty", "pages.txt", "--model", "numbered")["stretches"]
    assert max(stretch["length"] for stretch in stretches) > 1000
    for stretch in stretches:
        words = stretch["text"].strip()[:25].split("\n")[0]
        for where, lines_there in (("line", pages), ("corpus_line", file)):
            assert words in " ".join(lines_there[stretch[where] - 1 : stretch[where] + 1])

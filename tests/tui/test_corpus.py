"""Corpus: what is on offer, what is said of a text, and every key of the mode."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Static

from charlstm import paths
from charlstm.runs.lesson import add_lesson
from charlstm.text.reading import USUAL, TextOptions
from charlstm.training.presets import PRESETS, preset
from charlstm_tui.choices import CorpusChoice, ModelChoice
from charlstm_tui.corpus.sources import BoxModel, Folder, ListedText, first_entry, sections
from charlstm_tui.corpus.summary import enough_for, held_out_words, hints
from charlstm_tui.corpus.text_state import TextState, read_whole
from charlstm_tui.corpus.texts_view import TextsView
from charlstm_tui.train.run_plan import held_out_words as held_out_in_plan
from charlstm_tui.train.setup import TextFacts
from charlstm_tui.widgets.path_input import complete
from charlstm_tui.widgets.row_list import RowList
from driven_app import Driven, driven
from recorded_run import NASTY, record
from text_server import missing, stopping_until, text_server, whole
from wrapped_prose import prose

PROSE = "It was the best of times, it was the worst of times.\n" * 400
LICENCE = "*** END OF THE PROJECT GUTENBERG EBOOK TIMES ***\n" + "You may copy it, give it away or re-use it.\n" * 40


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are read and counted as soon as the cursor is on them."""
    monkeypatch.setattr("charlstm_tui.corpus.texts_view.PAUSE", 0)


def view(app: Driven) -> TextsView:
    shown = app.mode.view
    assert isinstance(shown, TextsView)
    return shown


async def onto(app: Driven, name: str) -> None:
    """Move the cursor down to the entry called ``name``."""
    await app.shows("python-reference")
    await app.press("home")
    for _ in range(60):
        if current(app) == name:
            return
        await app.press("down")
    raise AssertionError(f"{name} is not in the list:\n{app.text()}")


async def test_welcome_names_a_ready_model_only_where_there_is_one(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm_tui.corpus.texts_view.demo_path", lambda: None)
    async with driven(places) as app:
        assert "or plays the model in the box" not in await app.shows("Welcome. Enter takes a text")
    monkeypatch.setattr("charlstm_tui.corpus.texts_view.demo_path", lambda: Path("demo.safetensors"))
    async with driven(places) as app:
        await app.shows("Welcome. Enter takes a text", "or plays the model in the box")
        await app.shows("▸ the model in the box", "has read English books", "Enter play")
        await app.resize(60, 20)
        await app.shows("Enter takes a text, or plays the model in the box.", "Esc hide")
        await app.press("escape", lacks="Welcome")
        await app.press("enter", mode="generate")
        assert app.app.model == ModelChoice("demo")


async def test_enter_on_the_lesson_puts_its_runs_among_the_users_and_shows_them(places: Path) -> None:
    async with driven(places) as app:
        await app.shows("▸ the model in the box")
        await app.press("down", shows=("▸ a lesson", "Enter add to runs"))
        await app.press("enter", mode="runs")
        await app.shows("The lesson is here: lesson-words", "lesson-recites  ", "lesson-brackets  ")


async def test_lesson_is_unpacked_once_and_calls_nobody_back_from_another_mode(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = [], threading.Event()

    def add_slowly(folder: Path | None) -> tuple[object, object]:
        begun.append(folder)
        assert may_end.wait(60)
        return add_lesson(folder)

    monkeypatch.setattr("charlstm_tui.corpus.texts_view.add_lesson", add_slowly)
    async with driven(places) as app:
        await app.shows("▸ the model in the box")
        await app.press("down", shows="▸ a lesson")
        await app.press("enter")
        await app.until(lambda: begun)
        await app.press("enter", "2", mode="train")
        assert len(begun) == 1
        may_end.set()
        await app.shows("The lesson is here")
        assert app.mode.MODE == "train"


@pytest.mark.usefixtures("counted")
async def test_a_text_is_counted_judged_and_read_anew_when_it_was_written_anew(places: Path) -> None:
    def figure(shown: str) -> float:
        return float(next(line for line in shown.splitlines() if "letter frequencies" in line).split()[-1])

    text = Path("times.txt")
    text.write_bytes(b"")
    async with driven(places, text="times.txt") as app:
        await app.shows("empty", "o opens another text")
        for content, words in (("A line.\n" * 20, "Too little text for figures"), (PROSE + LICENCE, "compressor (xz)")):
            text.write_text(content)
            await app.go("runs")
            await app.go("corpus")
            shown = await app.shows(f"{len(content.removesuffix(LICENCE)):,} characters", content[:7], words)
        await app.shows("licence: left out", "Header and licence are left out")
        await app.press("l")
        await app.shows("licence: kept", "licence: l leaves them out", f"{len(PROSE + LICENCE):,} characters")
        await app.press("l", shows=("Header and licence are left out", "compressor (xz)"))
        await app.press("u")
        in_bits = await app.shows("LOSS TO BEAT, bits on the held-out part", "last letter (order 1)")
        assert figure(in_bits) == pytest.approx(figure(shown) / math.log(2), abs=0.01)
        await app.resize(200, 60)
        await app.shows("FREQUENT CHARACTERS", "last two letters (order 2)")
        await onto(app, "python-reference")
        shown = await app.shows("compressor (xz)", "✓ Enough text")
        assert not any(line.startswith("!") for line in map(str.strip, shown.splitlines())), "it needs no warning"


def test_sections_of_the_users_texts_come_before_the_built_in_ones(tmp_path: Path) -> None:
    Path("data").mkdir()
    Path("data/anna.txt").write_text("x")
    Path("data/notes.md").write_text("x")
    Path("mine.txt").write_text("x")
    other = tmp_path / "novel.txt"
    other.write_text("x")
    gone = tmp_path / "gone.txt"
    unusable = tmp_path / ("x" * 300)  # os.stat refuses it, as a file in a folder that is closed to the user
    recent = [str(unusable), str(gone), "python-source", str(other)]
    found = sections(Path.cwd(), recent)
    assert [section.title for section in found] == ["FOLDER", "DATA/", "RECENT", "TRY AT ONCE", "BUILT IN", "TO FETCH"]
    assert [[entry.name for entry in section.entries] for section in found[:3]] == [
        ["mine.txt", "..", "data/"],
        ["anna.txt", "notes.md"],
        ["novel.txt"],
    ]
    assert first_entry(found) == ListedText(str(Path("mine.txt").absolute()), "mine.txt", octets=1)


@pytest.mark.parametrize("names", [(), ("README.md", "Makefile")])
def test_sections_of_a_folder_without_txt_files_begin_with_the_model_in_the_box(names: tuple[str, ...]) -> None:
    for name in names:
        Path(name).write_text("x")
    found = sections(Path.cwd(), [])
    assert [section.title for section in found] == ["TRY AT ONCE", "BUILT IN", "FOLDER", "TO FETCH"]
    assert first_entry(found) == BoxModel()


def test_a_folder_shows_what_may_be_text_and_neither_pipes_nor_hidden_files_nor_archives(tmp_path: Path) -> None:
    place = tmp_path / "texts"
    (place / "poems").mkdir(parents=True)
    for name in ("b.txt", "A.md", ".hidden", "x.png", "model.safetensors"):
        (place / name).write_text("x")
    os.mkfifo(place / "pipe.txt")
    (place / "loop").symlink_to(place)
    (place / "nowhere.txt").symlink_to(place / "missing")
    entries = sections(place, [])[0].entries
    assert [entry.name for entry in entries] == ["A.md", "b.txt", "..", "loop/", "poems/"]
    assert [type(entry) for entry in entries] == [ListedText, ListedText, Folder, Folder, Folder]


def test_a_folder_that_is_gone_says_so(tmp_path: Path) -> None:
    assert sections(tmp_path / "missing", [])[0].problem == "This folder is gone."


def test_a_given_text_comes_first() -> None:
    Path("mine.txt").write_text("x")
    assert sections(Path.cwd(), [], "mine.txt")[0].title == "GIVEN"
    given, *others = sections(Path.cwd(), [], "python-reference")
    assert given.title == "GIVEN"
    assert not any(entry.name == "python-reference" for section in others for entry in section.entries)


@pytest.mark.usefixtures("counted")
async def test_text_is_fetched_after_a_question_and_esc_keeps_nothing(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    with text_server() as server:
        monkeypatch.setattr("charlstm.text.remote.shipped", lambda: (server.text(),))
        server.answers["/names.txt"] = stopping_until(go_on)
        async with driven(places, text="names") as app:
            await app.shows("▸ names", "20,000 names. Licence: MIT.", "Enter fetch")
            await app.press("enter", shows=("Fetch names, 0.2 MB, from 127.0.0.1?", "yes, fetch it"))
            assert not server.requests
            await app.press("enter", shows=("Fetching names …", " 47%"))
            await app.press("escape", lacks="Fetching names")
            go_on.set()
            await app.shows("TO FETCH")
            server.answers["/names.txt"] = missing
            await app.press("enter", "y", shows="answered 404")
            assert not list(paths.data_dir().rglob("names.txt"))
            server.answers["/names.txt"] = whole
            await app.press("enter", "y", shows=("GIVEN", "name 0", "20,000 lines"))
            assert "TO FETCH" not in app.text()
            await app.press("enter", mode="train")
    found = sections(Path.cwd(), [])
    assert [each.name for section in found if section.title == "FETCHED" for each in section.entries] == ["names"]


def test_reference_reads_a_text_as_it_is() -> None:
    choice = CorpusChoice("python-reference", "python-reference")
    assert choice.options() == choice.options("quick") == USUAL
    assert choice.options("reference") == TextOptions()


def current(app: Driven) -> str:
    """The entry that the cursor is on."""
    return getattr(view(app).texts.current, "name", "")


@pytest.mark.usefixtures("counted")
async def test_wrapped_prose_is_joined_by_a_key_and_the_preview_shows_it(places: Path) -> None:
    Path("house.txt").write_text(prose(30, width=48))
    lines = prose(30, width=48).splitlines()
    async with driven(places, text="house.txt") as app:
        await app.shows("lines: auto", "lines joined into 30 paragraphs; p keeps them.")
        assert view(app).text.beginning.startswith(" ".join(lines[:3]))
        await app.press("p", shows=("lines: kept", lines[1]))


@pytest.mark.usefixtures("counted")
async def test_hostile_text_is_literal_and_what_should_be_cleaned_or_is_no_text_is_said(places: Path) -> None:
    Path("[red]evil.txt").write_text((NASTY + "\n") * 200)
    Path("photo.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    Path("soft.txt").write_text(PROSE.replace("best", "be\u00adst"))
    async with driven(places, (120, 36)) as app:
        await onto(app, "[red]evil.txt")
        text = await app.shows("[red]evil.txt", "[/red] [bold]", "Frequent")
        assert not {"\x1b", "\x00", "\u202e", "\u200b"} & set(text)
        await onto(app, "soft.txt")
        text = await app.shows("! Cleaning (n) removes 400 soft hyphens.", "clean: no")
        assert "be\u00adst" not in text
        assert "It was the best of" not in text
        await app.press("n", shows=("✓ Cleaning removes 400 soft hyphens.", "It was the best of"))
        await onto(app, "photo.txt")
        await app.shows("o opens another text")
        await app.lacks("Enter use")
        await app.press("enter")
        assert app.app.corpus is None


@pytest.mark.usefixtures("counted")
async def test_folder_is_read_again_when_it_has_changed(places: Path) -> None:
    folder = Path("plays")
    folder.mkdir()
    (folder / "first.txt").write_text(PROSE)
    async with driven(places, text="plays") as app:
        await app.shows(f"{len(PROSE):,} characters", "compressor (xz)")
        (folder / "second.txt").write_text(PROSE)
        view(app).show_current()
        await app.shows(f"{2 * len(PROSE):,} characters", "compressor (xz)")


async def test_enter_takes_the_text_at_the_cursor_before_it_is_shown(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextsView, "show_current", lambda self: None)
    async with driven(places) as app:
        await onto(app, "python-reference")
        await app.press("enter", mode="train")
        assert app.app.corpus == CorpusChoice("python-reference", "python-reference")


async def test_the_filter_narrows_the_list_and_escape_widens_it(places: Path) -> None:
    async with driven(places) as app:
        text = await app.shows("python-reference", "python-source")
        await app.press("slash", *"source", lacks="▸ python-reference")
        await app.press("enter")
        await app.until(lambda: current(app) == "python-source")
        await app.press("slash", *"xyz", shows=("Nothing is called “xyz”.", "Esc shows all."))
        await app.press("escape", shows=("python-reference", "python-source"))
        assert current(app) == "python-source", "where the cursor was"
        row = next(y for y, line in enumerate(text.splitlines()) if "python-reference" in line[:28])
        await app.pilot.click(offset=(4, row))
        await app.until(lambda: current(app) == "python-reference")
        await app.pilot.click(offset=(4, row))  # a second one takes the text
        await app.in_mode("train")


async def test_folders_are_walked_with_enter_and_o_opens_a_path_and_completes_it(places: Path) -> None:
    Path("deep/er").mkdir(parents=True)
    Path("deep/er/tale.txt").write_text(PROSE)
    async with driven(places) as app:
        await onto(app, "deep/")
        await app.shows("Enter opens deep/", "open folder")
        await app.press("enter", shows="er/")
        await onto(app, "er/")
        await app.press("enter", shows="tale.txt")
        rows = app.mode.query_one(RowList)
        await app.until(lambda: str(rows.cursor).endswith("tale.txt"))  # not on the way out again
        await onto(app, "..")
        await app.press("enter")
        await app.until(lambda: str(rows.cursor).endswith("er"))  # where one came from

        await app.enter("o", "deep/nothing")
        await app.shows("There is no file", "nothing")
        await app.answer("long " * 1000)
        await app.until(lambda: "long" in str(app.screen.query_one(".dialog-error", Static).render()))
        line = app.screen.query_one(Input)
        line.value = ""
        await app.press(*"de")
        await app.until(lambda: line._suggestion == "deep/")
        await app.press("tab", *"er/t")
        await app.until(lambda: line._suggestion == "deep/er/tale.txt")
        await app.press("tab", "enter", shows=("GIVEN", "tale.txt", "It was the best of times"))
        assert getattr(view(app).texts.current, "source", "") == str(Path("deep/er/tale.txt").absolute())


async def test_the_text_of_a_run_is_on_offer_anywhere(places: Path, tmp_path: Path) -> None:
    (tmp_path / "of-a-run.txt").write_text(PROSE)
    spec = record(places, "finished").run.spec_path
    spec.write_text(spec.read_text().replace("/texts/novel.txt", str(tmp_path / "of-a-run.txt")))
    async with driven(places) as app:
        app.app.go("corpus")
        await app.shows("RECENT", "of-a-run.txt")


async def test_choices_belong_to_a_text_stay_with_it_and_go_with_it(places: Path) -> None:
    for name in ("one.txt", "two.txt"):
        Path(name).write_text(PROSE)
    own = ("licence: kept", "held out: blocks", "clean: yes", "lines: kept")
    async with driven(places, (120, 30)) as app:
        await onto(app, "one.txt")
        await app.press("e")  # of ASCII no encoding can be chosen
        await app.lacks("encoding:")
        assert app.screen is app.mode
        await app.press("l", "h", "n", "p")
        await app.shows(*own)
        await app.press("down")
        await app.shows("▸ two.txt", "licence: left out", "held out: end of text", "clean: no", "lines: auto")
        await app.press("up")
        await app.shows("▸ one.txt", *own)
        await app.press("enter", mode="train")
        chosen = app.app.corpus
        assert (chosen.strip_boilerplate, chosen.lines, chosen.clean, chosen.split) == (False, "keep", True, "blocks")
        assert not chosen.options().strip_boilerplate
        await app.go("corpus")
        await onto(app, "two.txt")
        await app.press("enter", mode="train")
        assert app.app.corpus == CorpusChoice(str(Path("two.txt").absolute()), "two.txt")


def test_how_much_text_is_enough_is_what_the_presets_say() -> None:
    assert enough_for(50_000)[1] is False
    words, enough = enough_for(150_000)
    assert (words.startswith("Enough text for: quick, standard"), "best" in words, enough) == (True, False, True)
    ours = [name for name in PRESETS if name != "reference"]
    assert enough_for(2_000_000) == (f"Enough text for: {', '.join(ours)}.", True)


@pytest.mark.usefixtures("counted")
async def test_a_guessed_encoding_is_shown_with_a_line_and_another_can_be_chosen(places: Path) -> None:
    Path("latin.txt").write_bytes((PROSE + "The naïve Señor.\n" + PROSE).encode("latin-1"))
    Path("plain.txt").write_text(PROSE)
    async with driven(places) as app:
        await onto(app, "latin.txt")
        await app.shows("cp1252, guessed", "cp1252 (Western Europe) is a guess, e chooses: “The naïve Señor.”")
        await app.press("e", shows=("Central Europe", "The naďve Seńor.", "Enter choose   Esc cancel"))
        names = [choice.name for choice in view(app).text.encodings]
        await app.press(*["down"] * names.index("cp1250"), "enter", shows="cp1250, chosen")
        await app.lacks("is a guess")
        await onto(app, "plain.txt")
        await app.lacks("chosen")
        await onto(app, "latin.txt")
        await app.shows("cp1250, chosen")
        await app.press("e", "home", "enter")  # the guess again
        await app.shows("cp1252, guessed")
        await app.press("e", "end", "enter", shows=", chosen")
        await app.press("enter", mode="train")
        assert app.app.corpus.options().encoding == names[-1]


@pytest.mark.usefixtures("counted")
async def test_the_preview_marks_where_the_held_out_part_begins(places: Path) -> None:
    Path("times.txt").write_text(PROSE)
    start = int(len(PROSE) * 0.9)
    async with driven(places, (100, 60), text="times.txt") as app:
        await app.shows(f"2.1 k characters held out, from character {start + 1:,} on: “")
        preview = app.mode.query_one("#text-preview")
        preview.scroll_end(animate=False)
        await app.shows(f"── held out from character {start + 1:,} on ──")
        await app.press("h", shows="held out in 2 blocks")
        preview.scroll_to(y=105, animate=False)
        await app.shows("── held out from character")


@pytest.mark.usefixtures("counted")
async def test_a_text_is_read_as_units_that_the_preview_marks(places: Path) -> None:
    Path("names.txt").write_text("".join(f"name {number}\n" for number in range(200)))
    async with driven(places, (100, 40), text="names.txt") as app:
        await app.shows("s reads each line as a unit of its own.", "p lines")
        await app.press("s", shows="each line, such as a name")
        await app.press("enter", shows="▹ one that is held out")
        await app.shows("200 units, each line; s changes it.", "held out, in whole units", "▸ name 20", "▹ name 21")
        assert "p lines" not in app.text()
        await app.press("s", "o", shows="Units begin with")
        await app.press("X", "enter", shows="no line of it begins with X")
        await app.press("s", "1", shows="held out, from character 1,522 on")
        await app.press("s", "enter", shows="200 units")
        await app.press("enter", mode="train")
        assert app.app.corpus.options() == TextOptions(units="lines", strip_boilerplate=True)
        await app.shows("units: lines")


@pytest.mark.parametrize("preset_name", ["quick", "best"])
def test_corpus_and_train_hold_out_the_same(places: Path, preset_name: str) -> None:
    Path("long.txt").write_text(PROSE * 151)  # 3.2 million characters, of which quick holds out less than a tenth
    choice = CorpusChoice(str(Path("long.txt").absolute()), "long.txt")
    known = read_whole(choice, preset_name, lambda progress: None)
    in_corpus = held_out_words(TextState(choice, **known), 80)
    settings = preset(preset_name, len(PROSE) * 151)
    in_train = held_out_in_plan(settings, choice, TextFacts(len(PROSE) * 151, 20, {}))
    size = {"quick": "300 k characters", "best": "320 k characters"}[preset_name]
    assert in_train.startswith(size)
    assert in_corpus.startswith(f"{size} held out by {preset_name},")


def test_paths_are_completed_within_one_folder(tmp_path: Path) -> None:
    (tmp_path / "novels").mkdir()
    (tmp_path / "novel.txt").write_text("x")
    assert complete(f"{tmp_path}/nov") == f"{tmp_path}/novel.txt"
    assert complete(f"{tmp_path}/novels") == f"{tmp_path}/novels/"
    assert complete(f"{tmp_path}/zzz") is None
    assert complete(f"{tmp_path}/") is None
    assert complete("/no/such/place/x") is None
    assert complete("\0x") is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "h holds out blocks."),
        ({"split": "blocks"}, "its loss may mislead."),
        ({"units": "lines"}, "its loss may mislead."),
    ],
)
def test_hint_names_the_key_for_blocks_only_where_it_holds_them_out(
    places: Path, changes: dict[str, Any], says: str
) -> None:
    choice = CorpusChoice(str(Path("text.txt").absolute()), "text.txt", **changes)
    Path(choice.source).write_text(PROSE)
    state = TextState(choice, **read_whole(choice, "quick", lambda progress: None))  # type: ignore[arg-type]
    assert state.stats is not None
    differ = "The held-out part differs from the training part"
    stats = replace(state.stats, parts_differ=f"{differ}: hold out blocks spread over the text")
    assert f"{differ}: {says}" in hints(replace(state, stats=stats), 80).plain

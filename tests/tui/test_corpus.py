"""Corpus: what is on offer, what is said of a text, and every key of the mode."""

import math
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from charlstm import paths
from charlstm.text.reading import USUAL, TextOptions
from charlstm.training.presets import PRESETS, preset
from charlstm_tui.choices import CorpusChoice, ModelChoice, file_stamps
from charlstm_tui.corpus import texts_view
from charlstm_tui.corpus.sources import BoxModel, Folder, ListedText, Section, first_entry, sections
from charlstm_tui.corpus.summary import encoding_words, enough_for, held_out_words, hints, preview
from charlstm_tui.corpus.text_state import TextState, read_whole
from charlstm_tui.corpus.texts_view import TextsView
from charlstm_tui.train.run_plan import held_out_words as held_out_in_plan
from charlstm_tui.train.setup import TextFacts
from charlstm_tui.widgets.path_input import complete
from charlstm_tui.widgets.row_list import RowList
from driven_app import Driven, Held, driven
from recorded_run import NASTY, record
from text_server import missing, stopping_until, text_server, whole
from wrapped_prose import prose

PROSE = "It was the best of times, it was the worst of times.\n" * 400
LICENCE = "*** END OF THE PROJECT GUTENBERG EBOOK TIMES ***\n" + "You may copy it, give it away or re-use it.\n" * 40


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are read and counted as soon as the cursor is on them."""
    monkeypatch.setattr("charlstm_tui.corpus.texts_view.PAUSE", 0)


async def onto(app: Driven, name: str) -> None:
    """Move the cursor down to the entry called ``name``."""
    await app.shows("python-reference")
    await app.press("home")
    for _ in range(60):
        if current(app) == name:
            return
        await app.press("down")
    pytest.fail(f"{name} is not in the list:\n{app.text()}")


async def test_welcome_names_the_ready_model_and_can_be_hidden(places: Path) -> None:
    async with driven(places) as app:
        await app.shows("Welcome. Enter takes a text, or plays the model in the box", "▸ the model in the box")
        await app.resize(60, 20)
        await app.shows("Enter takes a text, or plays the model in the box.", "Esc hide")
        await app.press("escape", lacks="Esc hide")
        await app.press("enter", mode="generate")
        assert app.app.to_play.chosen == ModelChoice("demo")


async def test_reading_of_a_text_waits_for_the_next_picture(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes the layout, which is drawn at once also while keys wait: a held arrow went on after its release."""
    reading, put_off = Held(monkeypatch, texts_view, "read_beginning"), list[Any]()
    async with driven(places) as app:
        await onto(app, "python-reference")
        await app.until(reading.called.is_set)
        monkeypatch.setattr(app.app, "before_draw", put_off.append)
        reading.release()
        await app.until(lambda: put_off)
        begun = [app.mode.view.text, put_off[0]() or app.mode.view.text]
        assert [text is not None and text.beginning is not None for text in begun] == [False, True]


async def test_enter_adds_the_lesson_once_and_opens_it(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless one went on meanwhile."""
    adding = Held(monkeypatch, texts_view, "add_lesson")
    async with driven(places) as app:
        await app.shows("▸ the model in the box")
        await app.press("down", shows=("▸ a lesson", "Enter add to runs", "A lesson", "Three small runs, already"))
        await app.press("enter", until=adding.called.is_set)
        await app.press("enter", "2", mode="train")
        adding.release()
        await app.shows("The lesson is here: lesson-words")
        assert app.mode.MODE == "train"
        await app.press("1", mode="corpus", shows="▸ a lesson")
        await app.press("enter", mode="train", shows="Finished · lesson-words")
        await app.press("4", mode="runs", shows=("lesson-words  ", "lesson-recites  ", "lesson-brackets  "))


@pytest.mark.usefixtures("counted")
async def test_a_text_is_counted_judged_and_read_anew_when_it_was_written_anew(places: Path) -> None:
    def figure(shown: str) -> float:
        return float(next(line for line in shown.splitlines() if "letter frequencies" in line).split()[-1])

    text = Path("[red]times.txt")
    text.write_bytes(b"")
    async with driven(places, text=text.name) as app:
        assert "Enter use" not in await app.shows("[red]times.txt", "empty", "o opens another text")
        await app.press("enter")
        assert app.app.corpus is None
        for content, words in (("A [/b]!\n" * 20, "Too little text for figures"), (PROSE + LICENCE, "compressor (xz)")):
            text.write_text(content)
            await app.go("runs")
            await app.go("corpus")
            shown = await app.shows(f"{len(content.removesuffix(LICENCE)):,} characters", content[:7], words)
        await app.shows("licence: left out", "Header and licence are left out")
        whole = f"{len(PROSE + LICENCE):,} characters"
        await app.press("l", shows=("licence: kept", "licence: l leaves them out", whole))
        await app.press("l", shows=("Header and licence are left out", "compressor (xz)"))
        await app.press("u")
        in_bits = await app.shows("LOSS TO BEAT, bits on the held-out part", "last letter (order 1)")
        assert figure(in_bits) == pytest.approx(figure(shown) / math.log(2), abs=0.01)
        await app.resize(200, 60)
        await app.shows("FREQUENT CHARACTERS", "last two letters (order 2)")
        await onto(app, "python-reference")
        shown = await app.shows("compressor (xz)", "✓ Enough text")
        assert not any(line.startswith("!") for line in map(str.strip, shown.splitlines())), "it needs no warning"


@pytest.mark.usefixtures("counted")
async def test_text_that_changes_while_it_is_read_is_read_again(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting, text = Held(monkeypatch, texts_view, "count_bits"), Path("times.txt")
    text.write_text("Before. " * 20)
    async with driven(places, text=text.name) as app:
        await app.until(counting.called.is_set)
        text.write_text(PROSE)
        await app.go("runs")
        await app.go("corpus")
        counting.release()
        await app.shows(f"{len(PROSE):,} characters", "compressor (xz)")


def write(*paths: Path | str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(section: Section) -> list[str]:
    return [entry.name for entry in section.entries]


def test_sections_of_the_users_texts_come_before_the_built_in_ones(tmp_path: Path) -> None:
    write("data/anna.txt", "data/notes.md", "mine.txt", other := tmp_path / "novel.txt")
    unusable = tmp_path / ("x" * 300)  # os.stat refuses it, as a file in a folder that is closed to the user
    found = sections(Path.cwd(), [str(unusable), str(tmp_path / "gone.txt"), "python-source", str(other)])
    assert [section.title for section in found] == ["FOLDER", "DATA/", "RECENT", "TRY AT ONCE", "BUILT IN", "TO FETCH"]
    listed = [["mine.txt", "..", "data/"], ["anna.txt", "notes.md"], ["novel.txt"]]
    assert [names(section) for section in found[:3]] == listed
    assert first_entry(found) == ListedText(str(Path("mine.txt").absolute()), "mine.txt", octets=1)


@pytest.mark.parametrize("others", [(), ("README.md", "Makefile")])
def test_sections_of_a_folder_without_txt_files_begin_with_the_model_in_the_box(others: tuple[str, ...]) -> None:
    write(*others)
    found = sections(Path.cwd(), [])
    assert [section.title for section in found] == ["TRY AT ONCE", "BUILT IN", "FOLDER", "TO FETCH"]
    assert first_entry(found) == BoxModel()


def test_a_folder_shows_what_may_be_text_and_neither_pipes_nor_hidden_files_nor_archives(tmp_path: Path) -> None:
    place = tmp_path / "texts"
    write(*(place / name for name in ("b.txt", "A.md", ".hidden", "x.png", "model.safetensors", "poems/c.txt")))
    os.mkfifo(place / "pipe.txt")
    (place / "loop").symlink_to(place)
    (place / "nowhere.txt").symlink_to(place / "missing")
    found = sections(place, [])[0]
    assert names(found) == ["A.md", "b.txt", "..", "loop/", "poems/"]
    assert [type(entry) for entry in found.entries] == [ListedText, ListedText, Folder, Folder, Folder]
    assert sections(place / "missing", [])[0].problem == "This folder is gone."


def test_a_given_text_comes_first() -> None:
    write("mine.txt")
    assert sections(Path.cwd(), [], "mine.txt")[0].title == "GIVEN"
    given, *others = sections(Path.cwd(), [], "python-reference")
    assert given.title == "GIVEN"
    assert "python-reference" not in [name for section in others for name in names(section)]


@pytest.mark.usefixtures("counted")
async def test_text_is_fetched_if_wanted_and_esc_keeps_nothing(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    with text_server() as server:
        monkeypatch.setattr("charlstm.text.remote.catalogue", lambda: {"names": server.text()})
        server.answers["/names.txt"] = stopping_until(go_on)
        async with driven(places, text="names") as app:
            await app.shows("▸ names", "20,000 names. Licence: MIT.", "Enter fetch")
            await app.press("enter", shows=("Fetch names, 209 kB, from 127.0.0.1?", "yes, fetch it"))
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
    assert [names(section) for section in sections(Path.cwd(), []) if section.title == "FETCHED"] == [["names"]]


def test_reference_reads_a_text_as_it_is() -> None:
    choice = CorpusChoice("python-reference", "python-reference")
    assert choice.options() == choice.options("quick") == USUAL
    assert choice.options("reference") == TextOptions()


def current(app: Driven) -> str:
    """The entry that the cursor is on."""
    return getattr(app.mode.view.texts.current, "name", "")


def read(name: str, text: str | None, preset: str = "quick", **chosen: Any) -> TextState:
    """What is known of a file, which gets this text, when all of it has been read in the way that was chosen."""
    if text is not None:
        Path(name).write_text(text)
    choice = CorpusChoice(str(Path(name).absolute()), name, **chosen)
    return TextState(choice, **read_whole(choice, preset, lambda progress: None))


def test_wrapped_prose_is_joined_unless_its_lines_are_kept() -> None:
    text = prose(30, width=48)
    lines = text.splitlines()
    joined = read("house.txt", text)
    assert f"of {len(lines)} lines joined into 30 paragraphs; p keeps them." in hints(joined, 80).plain
    assert preview(joined).plain.startswith(" ".join(lines[:3]))
    assert preview(read("house.txt", text, lines="keep")).plain.startswith("\n".join(lines[:3]))


def test_hostile_text_is_literal() -> None:
    for state in (read("evil.txt", NASTY * 200), TextState(CorpusChoice("evil.txt", "evil.txt"), beginning=NASTY)):
        assert "[/red] [bold]" in preview(state).plain
        assert not {"\x1b", "\x00", "\u202e", "\u200b"} & set(preview(state).plain)
    assert "be\u00adst" not in preview(read("soft.txt", PROSE.replace("best", "be\u00adst"))).plain


def test_a_folder_has_changed_when_it_has_another_text() -> None:
    Path("plays").mkdir()
    Path("plays/first.txt").write_text(PROSE)
    choice = CorpusChoice(str(Path("plays").absolute()), "plays")
    before = file_stamps(choice)
    assert file_stamps(choice) == before
    Path("plays/second.txt").write_text(PROSE)
    assert file_stamps(choice) != before


async def test_enter_takes_a_text_that_is_not_shown_yet(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextsView, "show_current", lambda self: None)
    async with driven(places) as app:
        await onto(app, "python-reference")
        await app.press("enter", mode="train")
        assert app.app.corpus == CorpusChoice("python-reference", "python-reference")


async def test_the_list_has_the_texts_of_runs_and_the_filter_narrows_it_until_escape(places: Path) -> None:
    write("inner/of-a-run.txt")
    spec = record(places, "finished").run.spec_path
    spec.write_text(spec.read_text().replace("/texts/novel.txt", str(Path("inner/of-a-run.txt").absolute())))
    async with driven(places) as app:
        app.app.go("corpus")
        await app.shows("RECENT", "of-a-run.txt", "python-reference", "python-source")
        await app.press("slash", *"source", lacks="▸ python-reference")
        await app.press("enter", until=lambda: current(app) == "python-source")
        await app.press("slash", *"xyz", shows=("Nothing is called “xyz”.", "Esc shows all."))
        await app.press("escape", shows=("python-reference", "python-source"))
        assert current(app) == "python-source", "where the cursor was"


async def test_folders_are_walked_with_enter_and_o_opens_a_path_and_completes_it(places: Path) -> None:
    Path("deep/er").mkdir(parents=True)
    Path("deep/er/tale.txt").write_text(PROSE)
    async with driven(places) as app:
        await onto(app, "deep/")
        await app.shows("Enter opens deep/", "open folder")
        await app.press("enter", shows="er/")
        await onto(app, "er/")
        rows = app.mode.query_one(RowList)
        await app.press("enter", until=lambda: str(rows.cursor).endswith("tale.txt"))  # not on the way out again
        await onto(app, "..")
        await app.press("enter", until=lambda: str(rows.cursor).endswith("er"))  # where one came from

        await app.enter("o", "deep/nothing", shows=("There is no file", "nothing"))
        await app.answer("long " * 1000, shows=("long long", "File name too long"))
        line = app.screen.query_one(Input)
        line.value = ""
        await app.press(*"deep/er/t", until=lambda: line._suggestion == "deep/er/tale.txt")
        await app.press("tab", "enter", shows=("GIVEN", "tale.txt", "It was the best of times"))
        assert app.mode.view.texts.current.source == str(Path("deep/er/tale.txt").absolute())


async def test_choices_belong_to_a_text_stay_with_it_and_go_with_it(places: Path) -> None:
    for name in ("one.txt", "two.txt"):
        Path(name).write_text(PROSE)
    own = ("licence: kept", "held out: blocks", "lines: kept")
    async with driven(places, (120, 30)) as app:
        await onto(app, "one.txt")
        await app.press("l", "h", "p", shows=own)
        await app.press("down", shows=("▸ two.txt", "licence: left out", "held out: end of text", "lines: auto"))
        await app.press("up", shows=("▸ one.txt", *own))
        await app.press("enter", mode="train")
        chosen = {"strip_boilerplate": False, "lines": "keep", "split": "blocks"}
        assert app.app.corpus == CorpusChoice(str(Path("one.txt").absolute()), "one.txt", **chosen)
        assert not app.app.corpus.options().strip_boilerplate


def test_how_much_text_is_enough_is_what_the_presets_say() -> None:
    assert enough_for(50_000)[1] is False
    words, enough = enough_for(150_000)
    assert (words.startswith("Enough text for: quick, standard"), "best" in words, enough) == (True, False, True)
    ours = [name for name in PRESETS if name != "reference"]
    assert enough_for(2_000_000) == (f"Enough text for: {', '.join(ours)}.", True)


def test_a_guessed_encoding_is_said() -> None:
    Path("latin.txt").write_bytes((PROSE + "The naïve Señor.\n" + PROSE).encode("latin-1"))
    guess, chosen = read("latin.txt", None), read("latin.txt", None, encoding="cp1250")
    assert "! cp1252 (Western Europe) is a guess: charlstm train takes another with --enc" in hints(guess, 80).plain
    assert (encoding_words(guess), encoding_words(chosen)) == ("cp1252, guessed", "cp1250, chosen")
    assert "is a guess" not in hints(chosen, 80).plain


def test_units_of_which_none_is_held_out_are_warned_of() -> None:
    one, many = read("one.txt", "anna\n", units="lines"), read("many.txt", "anna\nberta\n" * 20, units="lines")
    assert "! Nothing is held out of 1 unit, " in hints(one, 80).plain
    assert "✓ 40 units, " in hints(many, 80).plain


def test_the_preview_marks_where_the_held_out_parts_begin() -> None:
    start = int(len(PROSE) * 0.9)
    tail, blocks = read("times.txt", PROSE), read("times.txt", PROSE, split="blocks")
    assert f"2.1 k characters held out, from character {start + 1:,} on: “" in hints(tail, 100).plain
    assert f"── held out from character {start + 1:,} on ──" in preview(tail).plain
    assert "held out in 2 blocks" in hints(blocks, 100).plain
    start, stop = blocks.split.held_out[0]
    assert f"── held out from character {start + 1:,} on ──" in preview(blocks).plain
    assert f"── trained on again from character {stop + 1:,} on ──" in preview(blocks).plain


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


@pytest.mark.parametrize(("preset_name", "size"), [("quick", "300 k characters"), ("best", "320 k characters")])
def test_corpus_and_train_hold_out_the_same(preset_name: str, size: str) -> None:
    text = PROSE * 151  # 3.2 million characters, of which quick holds out less than a tenth
    state = read("long.txt", text, preset_name)
    in_train = held_out_in_plan(preset(preset_name, len(text)), state.choice, TextFacts(len(text), 20, {}))
    assert in_train.startswith(size)
    assert held_out_words(state, 80).startswith(f"{size} held out by {preset_name},")


def test_paths_are_completed_within_one_folder() -> None:
    write("novels/a.txt", "novel.txt")
    assert (complete("nov"), complete("novels")) == ("novel.txt", "novels/")
    assert [complete(path) for path in ("zzz", "./", "/no/such/place/x", "\0x")] == [None] * 4

"""Write, Score, Duel and what is copied: Generate's other views."""

import math
import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from textual import events
from textual.widgets import Static

from charlstm.generation.dynamic import AdaptiveModel, score_dynamic
from charlstm.generation.export import markdown_text
from charlstm.generation.novelty import Match, Novelty, NoveltyReport
from charlstm.generation.scoring import Scores, score
from charlstm.insight.duel import bits_after
from charlstm.model.file import load_model, save_model
from charlstm.runs.folder import RunFolder
from charlstm.text.corpus import open_corpus
from charlstm.text.passages import passages_of
from charlstm.text.reading import TextOptions
from charlstm.text.sentences import ends_sentence
from charlstm_tui.generate.copied_passages import CopiedPassages
from charlstm_tui.generate.duel_view import LENGTH, DuelView
from charlstm_tui.generate.score_view import ScoredText
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player import overlap, saved_sessions
from charlstm_tui.player.edits import LONGEST_SENTENCE
from charlstm_tui.player.marks import SURPRISE, level
from charlstm_tui.player.opening import PlayRequest
from charlstm_tui.player.overlap import Overlap, OverlapSearch
from charlstm_tui.player.played import FULL, Played
from charlstm_tui.widgets.find import FindBar
from charlstm_tui.widgets.row_list import RowList
from driven_app import Held
from played_documents import text_of
from playing_app import PlayingApp, playing, scored
from recorded_run import tiny_model
from wrapped_prose import prose


async def test_write_together(model: Path) -> None:
    async with playing(model, paused=5) as app:
        before = app.text
        await app.press("w", says="ends Write.")  # in a narrow screen too
        await app.until(lambda: bool(app.state.suggestion))
        await app.press(*"q? 1", gives=before + "q? 1", shows="1, read as")  # this model knows no 1
        # until it is found, what is left of the one before is shown
        await app.until(lambda: app.player._suggestions.basis == app.player._basis)
        await app.until(lambda: app.screen.play.suggested == app.state.suggestion == app.player.suggestion)
        suggestion = app.state.suggestion
        assert suggestion[:5] in app.screen_text()
        await app.press("tab", gives=before + "q? 1" + suggestion)
        await app.press("backspace", gives=before + "q? 1" + suggestion[:-1])
        await app.until(lambda: bool(app.screen.play.suggested))
        await app.press("escape", until=lambda: not app.screen.play.suggested)
        assert "generate.write.suggestion" not in app.screen.view.scopes()
        await app.press("enter", "x", until=lambda: "generate.write.suggestion" in app.screen.view.scopes())
        written = model.with_name("written.txt")
        await app.enter("ctrl+s", str(written))
        await app.until(lambda: written.exists() and written.read_text().rstrip("\n").endswith("\nx"))
        assert app.screen.view_name == "write"
        await app.go("play", "escape", "escape")
        await app.until(lambda: not app.state.suggestion)


async def test_text_is_edited_anywhere_and_undone_word_by_word(model: Path) -> None:
    async with playing(model, paused=20) as app:
        before, prime = app.text, "The morning"
        await app.press("w", *["left"] * 4, *"x y", "backspace", "delete", "z", gives=before[:-4] + "x z" + before[-3:])
        assert app.screen.play.text_view.cursor == len(before) - 1
        assert not app.state.suggestion  # only at the end of the text
        await app.press("home", "up", "up", "ctrl+home", "Q", "end", "ctrl+end", "ctrl+w")
        await app.until(lambda: app.text.startswith("Q" + prime))
        app.app.post_message(events.Paste("and\nthe sea"))
        await app.until(lambda: app.text.endswith("and\nthe sea") and bool(app.state.suggestion))
        written = app.text
        await app.press(*["ctrl+z"] * 20, gives=prime)
        await app.says("There is nothing to undo")
        await app.press(*["ctrl+y"] * 20, gives=written)
        await app.go("play", "escape", "escape")
        assert app.text == written


async def test_keys_in_a_burst_act_on_the_text_that_the_keys_before_them_made(model: Path) -> None:
    async with playing(model, paused=5) as app:
        before = app.text
        await app.press("w")
        await app.burst(*" one two three four", *["ctrl+w"] * 3, gives=before + " one ")
        keys = ("ctrl+left", "ctrl+left", "x", "ctrl+right", "y", "ctrl+left", "ctrl+delete")
        await app.burst(*"two three", *keys, gives=before + " one  three")
        await app.burst("end", *" ab", "end", "c", "ctrl+end", "d", gives=before + " one  three abcd")
        await app.burst("alt+left", "alt+d", "alt+backspace", gives=before + " one  ")
        moves = ("ctrl+home", *["right"] * 12, *["left"] * 10, "x", *["right"] * 999, "y", *["left"] * 999, "z")
        await app.burst(*moves, gives="z" + before[:2] + "x" + before[2:] + " one  y")


async def test_many_edits_are_drawn_a_few_times_and_a_quit_behind_them_keeps_every_letter(model: Path) -> None:
    async with playing(model, paused=5) as app:
        before, drawn, published = app.text, list[None](), list[Played]()
        await app.press("w")
        app.screen.watch(app.screen.play, "state", lambda state: published.append(state), init=False)
        app.screen.screen_layout_refresh_signal.subscribe(app.screen, lambda screen: drawn.append(None))
        await app.burst(*["ctrl+home", "right", "a"] * 100, "ctrl+q")
        await app.until(lambda: app.app.exiting, settle=False)
        assert max(len(published), len(drawn)) < 100
    (saved,) = saved_sessions.folder(None, model).glob("*.json")
    assert text_of(saved) == before[0] + "a" * 100 + before[1:]


async def test_key_with_alt_acts_and_is_not_typed(model: Path, config: Path) -> None:
    config.write_text('[keys]\n"generate.accept_word" = "alt+w"\n"app.next_pane" = "alt+n"\n')
    async with playing(model, paused=5) as app:
        before = app.text
        await app.press("w", until=lambda: bool(app.state.suggestion))
        word = re.match(r"\s*\S+", app.state.suggestion).group()
        app.app.post_message(events.Key("alt+q", "q"))  # has no meaning
        app.app.post_message(events.Key("alt+w", "w"))  # as Textual reads Esc and w
        await app.until(lambda: app.text == before + word)
        await app.press("escape", "escape", "e", until=lambda: app.screen.play.prime_input.has_focus)
        app.app.post_message(events.Key("alt+n", "n"))
        await app.until(lambda: not app.screen.play.prime_input.has_focus)
        assert app.screen.play.prime_input.text == app.prime


async def test_score_shows_how_surprising_a_text_is(model: Path, home: Path) -> None:
    async with scored(model, bits=True) as (app, view):
        expected = score(load_model(model), app.text)
        await app.press("enter", says="rank")
        assert view.text_view.cursor == expected.places(1)[0].position
        await app.shows(f"{expected.bits_per_char:.3f} bits per character", "8 bits┐", "MOST SURPRISING, in bits")
        assert app.screen_text().count("▸") == 1  # the place that the cursor is on
        (home / "own.txt").write_text("The morning, [/red] and 1 more\n" * 20)
        await app.enter("o", str(home / "own.txt"))
        await app.until(lambda: view.text_view.text().startswith("The morning, [/red] and 1"))
        await app.shows("that it reads as others")
        await app.enter("o", str(home / "missing.txt"), shows="There is no file")
        await app.press("escape", shows="of own.txt")
        assert view.text_view.text().startswith("The morning, [/red] and 1")  # what is shown stays
        view.post_message(events.Paste("the bell was loud"))
        await app.until(lambda: view.text_view.text() == "the bell was loud")
        await app.shows("the pasted text")


async def test_file_is_scored_as_the_text_of_the_model_was_read(home: Path, tmp_path: Path) -> None:
    model = tmp_path / "paragraphs.safetensors"
    save_model(model, replace(tiny_model(symbols=sorted(set(prose()))), text_options=TextOptions(lines="auto")))
    (home / "own.txt").write_text(prose())
    async with scored(model) as (app, view):
        view.open(home / "own.txt")
        first = prose().partition("\n\n")[0]
        await app.until(lambda: view.text_view.text().startswith(first.replace("\n", " ") + "\n\n"))


async def test_list_and_text_of_score_have_one_cursor(model: Path) -> None:
    async with scored(model, (100, 30), bits=True) as (app, view):
        rows, stream = view.query_one(RowList), view.text_view
        text = "".join(f"Sentence {number} is here. " for number in "abcdefghijklmnopqrstuvwxyz" * 4)
        view.score(text, "the text")
        await app.until(lambda: stream.text() == text)

        def listed() -> list[int]:
            return [int(row.key) for row in rows.rows if row.key]

        async def press(*keys: str, goes_to: int) -> None:
            await app.press(*keys, until=lambda: stream.cursor == goes_to == int(rows.cursor or 0))

        places = listed()
        assert int(rows.cursor or 0) == places[0] == view.scores.places(1)[0].position
        assert places != sorted(places)
        assert rows.scroll_offset.y == 0
        for position in places[:3]:  # Enter goes down the list
            await press("enter", goes_to=position)
        rows.focus()
        await press("down", "down", goes_to=places[4])
        await press("enter", goes_to=places[5])
        await press("end", "enter", goes_to=places[0])  # after the last
        stream.focus()
        await press("right", "enter", goes_to=places[0])  # the marked row is the nearest

        hardest = sorted(view.scores.sentences(), key=lambda each: -each.bits_per_char)
        await app.press("S", shows=("HARDEST SENTENCES", f"{hardest[0].bits_per_char:.1f}"))
        assert listed() == [each.start for each in hardest]
        stream.focus()
        await app.pilot.click(stream, offset=(5, 3))
        before = stream.cursor
        await app.until(lambda: int(rows.cursor or 0) == max(each.start for each in hardest if each.start <= before))
        await app.press("right")
        assert stream.cursor == before + 1  # the list follows the text, not the text the list
        await press("tab", "home", goes_to=hardest[0].start)
        await app.pilot.click(rows, offset=(8, 2))
        await press(goes_to=hardest[2].start)


async def test_score_is_about_what_is_selected(model: Path) -> None:
    async with playing(model, (100, 30), paused=300) as app:
        view, whole = app.screen.score, score(load_model(model), app.text)

        async def shows_part(start: int, stop: int) -> None:
            await app.until(lambda: view.scores is not None and view.scores.text == app.text[start:stop])
            assert view.text_view.text() == app.text[start:stop]
            assert np.allclose(view.scores.nats[1:], whole.nats[start + 1 : stop], atol=1e-5), "after what is before it"
            app.screen.clear_selection()

        app.screen.play.text_view._select(100, 180)
        await app.press("s")
        await shows_part(100, 180)
        await app.shows("80 characters of what is selected of prime and text")
        view.text_view._select(10, 30)
        await app.press("s")
        await shows_part(110, 130)
        await app.press("s")
        await shows_part(0, len(app.text))
        await app.press("s", says="Select a part of the text first")


async def test_list_of_surprises_ends_where_nothing_is_surprising_and_strip_has_its_highest_bar(model: Path) -> None:
    async with scored(model, bits=True) as (app, view):

        def listed(length: int, surprises: dict[int, float]) -> list[str | None]:
            """What is listed where each character else has a loss of 0.2: places, and the words below them."""
            nats, size = np.full(length, 0.2, np.float32), (length,)
            nats[list(surprises)] = list(surprises.values())
            scores = Scores("x" * length, nats, np.ones(size, np.int32), np.zeros(size, np.float32), {})
            view._show(ScoredText("the text", "", scores))
            return [row.key or row.content.plain for row in view.query_one(RowList).rows]

        end = "elsewhere: below 1.0 bits"
        assert listed(61, {30: 4}) == ["30", end]
        assert listed(61, {30: 4, 31: 6, 32: 5, 33: 3}) == ["31", "32", "30", "33", end], "neighbours too"
        many = dict.fromkeys(range(0, 3000, 30), 4.0) | {1000: 14, 1001: 3, 1002: 5}
        assert listed(3000, many)[-2:] == ["elsewhere: up to 7.2 bits,", "within 24 of a place"]
        listed(61, {30: 15.7 * math.log(2)})
        await app.shows("16 bits┐", " 0┘", "60 characters of the text")
        listed(61, {})
        await app.shows("none: all below 1.0 bits")
        await app.press("enter")  # goes nowhere


async def test_score_shows_figures_of_a_copy_that_learns_and_goes_back(model: Path) -> None:
    loaded, before = load_model(model), model.read_bytes()
    text = "The morning, the sea. Then the morning and the sea again! " * 20
    fixed = score(loaded, text)
    learnt = {strength: score_dynamic(loaded, text, strength=strength) for strength in (1.0, 2.0)}
    async with scored(model, (100, 30), bits=True) as (app, view):
        view.score(text, "the text")
        await app.until(lambda: view.scores.text == text)

        async def shows(scores: Scores, *words: str) -> list[int]:
            """The levels, once these scores are shown."""
            await app.until(lambda: np.array_equal(view.scores.nats[1:], scores.nats[1:]))
            await app.shows(*words)
            return [level(mark, SURPRISE) for mark in view.text_view.marks()]

        bits = f"{fixed.bits_per_char:.3f} bits per character"
        fixed_levels = await shows(fixed, bits)
        await app.press(*["right"] * 7, "ctrl+b")
        words = f"{bits} with fixed weights → {learnt[1.0].bits_per_char:.3f} as it learns, strength 1"
        assert await shows(learnt[1.0], words, "Shown: a copy that learns", "Ctrl+B fixed weights") != fixed_levels
        assert view.text_view.cursor == 7, "the place stays"
        places = [str(place.position) for place in learnt[1.0].places(40, least=learnt[1.0].surprising)]
        assert [row.key for row in view.query_one(RowList).rows if row.key] == places
        await app.press("plus")
        await shows(learnt[2.0], f"→ {learnt[2.0].bits_per_char:.3f} as it learns, strength 2")
        await app.press("ctrl+b")
        assert await shows(fixed, f"{bits} · perplexity") == fixed_levels
        assert "as it learns" not in app.screen_text()
        await app.press("ctrl+b")
        await shows(learnt[2.0])
        await app.press("plus", "plus", says="Strength 4 is the highest here.")
        assert all(np.array_equal(array, loaded.weights[name]) for name, array in app.player.model.weights.items())
    assert model.read_bytes() == before


async def test_learning_and_scoring_stop_and_go_on_with_new_text(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, read, free = load_model(model), AdaptiveModel.read, threading.Event()
    monkeypatch.setattr(AdaptiveModel, "read", lambda adaptive, ids: (free.wait(60), read(adaptive, ids))[1])
    async with scored(model, (100, 30), bits=True) as (app, view):
        fixed = view.scores
        await app.press("ctrl+b", shows=("A copy learns while it reads, strength 1 …", "Esc stops"))
        await app.press("plus", "plus", "minus", shows="A copy learns while it reads, strength 2 …")
        await app.press("escape", shows=("Stopped. These are the figures from before:", "Ctrl+B learn"))
        assert app.screen.view_name == "score"
        assert view.scores is fixed
        await app.press("ctrl+b")
        text = "The morning and the sea. " * 30
        view.score(text, "the text")
        free.set()
        expected = score_dynamic(loaded, text, strength=2.0).nats[1:]
        await app.until(lambda: view.scores is not None and np.array_equal(view.scores.nats[1:], expected))
        await app.shows("749 characters of the text")
        Path("long.txt").write_text(text * 800)
        view.open(Path("long.txt"))
        await app.until(lambda: "Esc stops" in app.screen_text(), settle=False)
        app.app.simulate_key("escape")
        await app.shows("Stopped. These are the figures from before:")
        await app.press("right", "v", says="Fixed weights: Why")


async def both_stream(app: PlayingApp) -> DuelView:
    """Wait until both sides of Duel have some text."""
    duel = app.screen.duel
    await app.until(lambda: set(duel.sides) == {1, 2} and all(side.length > 5 for side in duel.sides.values()))
    return duel


async def test_duel_goes_on_with_two_settings_and_a_side_is_kept(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm_tui.generate.duel_view.LENGTH", 10**6)  # it still streams when a busy test looks
    async with playing(model, paused=30) as app:

        def temperatures() -> list[float]:
            return [side.settings.temperature for _, side in sorted(duel.sides.items())]

        before = app.text
        await app.press(*["left"] * 4, "d")
        duel = await both_stream(app)
        assert duel.view(1).text().startswith(before[:-4])
        assert temperatures() == [0.8, 1.2]
        await app.press("tab", "t", "minus", until=lambda: (duel.chosen, temperatures()) == (2, [0.8, 1.15]))
        await app.until(lambda: {side.speed for side in duel.sides.values()} == {1000})
        await app.press("space", until=lambda: not duel.running)
        chosen = duel.view(2).text()
        await app.go("play", "enter")
        await app.until(lambda: app.text == chosen)
        await app.says("characters put in. 4 characters are on branch 0 now: b shows branches")
        await app.press("ctrl+z", gives=before)

        await app.press("ctrl+end", "d")  # at the end nothing has to leave
        await both_stream(app)
        await app.shows("Enter keep")
        await app.go("play", "enter")
        await app.until(lambda: len(app.text) > len(before) and app.text.startswith(before))


async def test_duel_draws_anew_at_another_place_and_the_same_again_by_its_seed(model: Path) -> None:
    def drawn() -> list[str]:
        """What both sides generated, of the first characters."""
        return [
            side.text.text.read(side.prime_length, side.prime_length + 5)
            for side in duel.sides.values()
            if side.request.seed == duel.seed is not None and side.length > 5
        ]

    async with playing(model, paused=5) as app:
        duel, found = app.screen.duel, []
        for _ in range(2):
            await app.press("d", until=lambda: len(drawn()) == 2)
            found.append(drawn())
            await app.shows(f"the same beginning and seed {duel.seed} on both sides")
            await app.press("escape")
        assert found[0] != found[1]  # though the text is the same
        await app.press("d", until=lambda: len(drawn()) == 2)
        await app.press("B", until=lambda: drawn() == found[1])
        await app.press("r", "r", until=lambda: len(drawn()) == 2 and drawn() not in found)


async def test_each_side_of_duel_ends_with_a_sentence_and_both_with_a_verdict_to_save(model: Path, home: Path) -> None:
    async with playing(model, paused=5) as app:
        await app.press("d")
        duel = app.screen.duel
        await app.until(lambda: set(duel.sides) == {1, 2})
        duel.players[1].change_speed(FULL)
        duel.players[2].change_speed(1)  # characters per second: where threads are late, too
        await app.until(lambda: duel.sides[1].ended and duel.sides[2].running)
        text = duel.view(1).text()
        await app.press("space", "space")
        duel.players[2].change_speed(FULL)
        await app.until(lambda: duel.query_one("#verdict-1").display)
        assert duel.view(1).text() == text, "what has ended stays until the other side has"
        texts = {}
        for number, state in duel.sides.items():
            assert LENGTH <= state.length <= LENGTH + LONGEST_SENTENCE
            texts[number] = duel.view(number).text()
            assert ends_sentence(texts[number]) or state.length == LENGTH + LONGEST_SENTENCE
            prime, generated = texts[number][: state.prime_length], texts[number][state.prime_length :]
            nats = bits_after(load_model(model), prime, generated) * math.log(2)
            await app.shows(f"{nats:.2f} nats per character")
        words = str(duel.query_one("#duel-words", Static).content)
        await app.shows("repeated from earlier", words[:40], "‖ ended")
        await app.until(lambda: duel.view(1).following and duel.view(2).following)
        await app.enter("ctrl+s", str(home / "duel.md"), until=lambda: (home / "duel.md").exists())
        saved = (home / "duel.md").read_text()
        assert all(markdown_text(text) in saved for text in texts.values())
        assert words.replace("left", "first").replace("right", "second") in saved
        await app.press("space")  # once both have ended, both go on
        await app.until(lambda: all(side.length >= 2 * LENGTH for side in duel.sides.values()))


COPIED = "she had not been in the house for seven long years"


@pytest.fixture
def novel(home: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose training text has :data:`COPIED`, with which a text is compared at once."""
    monkeypatch.setattr("charlstm_tui.player.overlap.INTERVAL", 0.05)
    text = home / "novel.txt"
    text.write_text("Some line.\n" * 5 + f"{COPIED}\n" * 3)
    run.write_spec(replace(run.spec(), corpus=open_corpus(text).to_record()))
    return run.path


async def test_what_is_copied_is_marked_and_says_where_the_model_has_read_it(novel: Path, model: Path) -> None:
    async with playing(novel, paused=3) as app:
        play = app.screen.play
        await app.press("w")
        app.player.insert(COPIED)
        await app.until(lambda: play.overlap is not None and play.overlap.share > 0.8)
        await app.press("escape", "escape", "left", "left", "left", says=" of novel.txt")
        await app.press(*["left"] * 3, *["right"] * 6, says="y 94 % copied")
        await app.press("y", says=" of novel.txt")
        assert play.text_view.cursor == len(app.prime) + play.overlap.matches[0].start
        assert underlined(app)
        await app.press("left_square_bracket")
        await app.until(lambda: app.step == 200 and play.overlap is not None and play.overlap.share > 0.8)
        app.player.go_on_with(str(model), None, None)
        await app.until(lambda: app.model_name == "tiny" and play.playing)
        await app.press("y", says="It is not known what this model has read")
        assert not underlined(app)


async def test_copied_passages_are_told_once_found(novel: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Held(monkeypatch, overlap, "open_search")
    async with playing(novel, paused=3) as app:
        app.player.insert(COPIED)
        await app.press("y", says="The text is still being compared")
        opening.release()
        await app.says("1 copied passage: y goes there.")
        opening = Held(monkeypatch, overlap, "open_search")
        app.player.go_on_with(str(model), None, None)
        await app.until(opening.called.is_set)
        await app.press("y", says="The text is still being compared")
        opening.release()
        await app.says("It is not known what this model has read")


def underlined(app: PlayingApp) -> bool:
    """Whether something of the text is."""
    strips = [app.screen.play.text_view.render_line(y) for y in range(10)]
    return any(style.underline for strip in strips for _, style, _ in strip if style)


async def test_what_hashes_of_passages_find_is_marked_and_what_they_may_miss_is_said(home: Path) -> None:
    """As with the model in the box, whose books are not here."""
    random, letters = np.random.default_rng(0), list("abcdefgh")
    book = " ".join("".join(random.choice(letters, 5)) for _ in range(800))
    path = home / "reader.safetensors"
    save_model(path, replace(tiny_model(prime="abc"), passages=passages_of([book])))
    async with playing(path, paused=3) as app:
        play = app.screen.play
        await app.until(lambda: play.overlap is not None)
        await app.press("y", shows="Nothing found; its texts are not here: below 500 characters may be missed.")
        await app.press("w")
        app.player.insert(f" {book[1000:2500]}")
        await app.until(lambda: play.overlap is not None and play.overlap.share > 0.5)
        await app.press("escape", "escape", "y", says="characters or more that it has read")
        assert underlined(app)


async def test_zoom_shows_messages_and_escape_leaves_find_before_it(model: Path) -> None:
    async with playing(model, paused=10) as app:
        await app.press("z", "w", "ctrl+x")
        await app.until(lambda: "Nothing is selected" in app.screen_text().splitlines()[-2])  # below the text
        assert not app.app._notifications
        await app.press("ctrl+f", "a", until=lambda: bool(app.screen.query(FindBar)))
        await app.press("escape", until=lambda: not app.screen.query(FindBar))
        assert app.screen.maximized is not None
        await app.press("escape", until=lambda: app.screen.maximized is None)


async def test_all_figures_of_a_screen_are_in_the_unit_that_is_set(model: Path) -> None:
    """Beside a loss in nats stood surprises in bits."""
    async with playing(model, (120, 36), paused=60) as app:
        await app.press("left", says="rank")
        for unit, other in (("nats", "bits"), ("bits", "nats")):
            app.app.bits = unit == "bits"
            await app.until(lambda unit=unit: unit in app.status())
            assert other not in app.screen_text()
            await app.press("s", shows=f"{unit} per character")
            assert other not in app.screen_text()
            await app.go("play", "escape")


async def test_the_views_that_explain_are_chosen_in_one_list_and_lead_to_each_other(model: Path) -> None:
    async with playing(model, paused=60) as app:
        await app.press("I", shows="how far it looks back")
        for view, keys in (("cells", ("down", "enter")), ("context", "g"), ("score", "Is")):
            await app.go(view, *keys)
        await app.until(lambda: app.screen.score.scores is not None)  # until then Escape stops that
        await app.go("play", "escape")


def test_next_copied_passage_is_the_one_after_the_cursor_and_after_the_last_the_first() -> None:
    passages = CopiedPassages(StreamView())
    assert passages.after(0) is None
    passages.found = Overlap(0.5, (Match(2, 5, 0), Match(8, 12, 40)), OverlapSearch(None, None, None, 20))
    assert [passages.after(place) for place in (0, 2, 5, 8, 20)] == [2, 8, 8, 2, 2]


async def test_marks_of_copied_passages_stay_with_their_text(novel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, compared, update = threading.Event(), threading.Event(), Novelty.update

    def slow(self: Novelty, text: str) -> NoveltyReport:
        report = update(self, text)
        if COPIED in text:
            compared.set()
            release.wait(60)
        return report

    monkeypatch.setattr(Novelty, "update", slow)
    async with playing(novel, paused=3) as app:
        app.player.insert(COPIED)
        await app.until(compared.is_set)
        play = app.screen.play
        play.load(PlayRequest(str(novel), prime="Somebody said that", stream=False))
        await app.until(lambda: app.prime == "Somebody said that" and play.playing)
        assert play.overlap is None
        release.set()
        await app.until(lambda: play.overlap is not None and play.overlap.matches == ())
        await app.press("y", says="No 30 characters in a row stand in novel.txt")
        assert not underlined(app)

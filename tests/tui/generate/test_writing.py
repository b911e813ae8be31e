"""Ways on from the cursor: continuations to pick from, and the likelier and less likely characters."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual import events
from textual.widgets import Input, OptionList

from charlstm.generation.dynamic import AdaptiveModel
from charlstm.generation.rows import TYPED
from charlstm.generation.session import Session as GenerationSession
from charlstm.generation.text_pieces import Text
from charlstm.model.file import load_model
from charlstm.text.sentences import sentence_ends
from charlstm_tui.generate import writing
from charlstm_tui.generate.continuations_dialog import COUNT, ContinuationsDialog, rows
from charlstm_tui.generate.play_view import PlayView
from charlstm_tui.generate.sampler_dialog import SamplerDialog
from charlstm_tui.generate.view_bar import GenerateBar
from charlstm_tui.player import desk, edits, insight_jobs, model_thread
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.marks import Origin, origin
from charlstm_tui.widgets.find import FindBar
from playing_app import PRIME, Session, at, playing
from recorded_run import tiny_model


async def continuations(it: Session, first: int) -> list[str]:
    """Wait until the dialog has those from number ``first`` on."""
    await it.until(lambda: isinstance(it.app.screen, ContinuationsDialog))
    dialog = it.app.screen
    assert isinstance(dialog, ContinuationsDialog)
    await it.until(lambda: dialog._first == first and "r others" in it.screen_text())
    return [each.text for each in dialog._found]


def put_in(before: str, place: int, text: str) -> str:
    """``before`` with a continuation put in at ``place``, within a line, and a space after it where one is missing."""
    after = before[place:]
    space = "" if text[-1].isspace() or after[0].isspace() or after[0] in ",.;:!?" else " "
    return before[:place] + text + space + after


async def test_a_continuation_is_read_and_picked_by_arrows_a_digit_or_a_click(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press(*["left"] * 4, "n")
        found = await continuations(it, 1)
        assert len(found) == len(set(found)) == COUNT
        shown = it.screen_text()
        assert "after “…" in shown
        assert f"Enter or 1–{COUNT} put in   s put in one sentence" in shown
        assert found[0].strip().split("\n")[0][:10] in shown
        await it.pilot.press("r")
        others = await continuations(it, 1 + COUNT)
        assert not set(found) & set(others)
        await it.pilot.press("down", "enter")
        await it.until(lambda: it.text == before[:-4] + others[1])
        assert "4 characters are on branch 0 now: b shows branches, Ctrl+Z undoes." in it.status()
        assert it.position == it.state.length
        await it.pilot.press("ctrl+z")
        await it.until(lambda: it.text == before)

        await it.pilot.press("w", *["left"] * 2, "ctrl+n")  # in Write, what follows stays
        found = await continuations(it, 1)
        place = it.position
        await it.pilot.press("3")
        base = len(it.prime) + place
        await it.until(lambda: it.text == put_in(before, base, found[2]))
        await it.pilot.press("ctrl+z", "ctrl+n")
        found = await continuations(it, 1)
        await it.pilot.click(it.app.screen.query_one(OptionList), offset=(10, 0))
        await it.until(lambda: it.text == put_in(before, base, found[0]))
        reading = replace(it.state, reading="reading again 7 %, left 0:02")
        it.screen.play.set_reactive(PlayView.state, reading)  # no new state, whose changes would be made again
        assert it.screen.play.figures()[0] == "reading again 7 %, left 0:02"
        await it.pilot.press("ctrl+z", "ctrl+n")
        found = await continuations(it, 1)
        await it.pilot.press("s")
        await it.until(lambda: it.text != before)
        sentence = it.text[base : len(it.text) - len(before) + base].rstrip()
        assert sentence.startswith(found[0].rstrip()) or found[0].startswith(sentence)
        is_ended = f"{sentence} "[: next(sentence_ends(f"{sentence} "), 0)] == sentence
        assert is_ended or "No sentence ended within 400 characters." in it.status()
        await it.pilot.press("ctrl+n")
        await continuations(it, 1)
        await it.pilot.press("escape")
        await it.until(lambda: it.screen.view_name == "write" and it.app.screen is it.screen)


async def test_likelier_and_less_likely_characters_are_shown_with_what_follows(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press("left", "left", "full_stop")
        await it.until(lambda: it.text[:-2] != before[:-2] and it.state.read_to == it.state.size > 30)
        rank, place = it.state.current_rank, it.position
        assert it.text[: len("The morning") + place] == before[: len("The morning") + place]
        await it.pilot.press("full_stop")
        await it.until(lambda: it.state.current_rank == rank + 1)
        assert it.position == place
        await it.pilot.press("comma", "comma")
        await it.until(lambda: it.text == before)
        await it.pilot.press(*["comma"] * (rank + 1))
        await it.until(lambda: "The model has no likelier one" in it.status())


def test_a_suggestion_ends_with_a_whole_word() -> None:
    assert edits.as_suggestion(" By your h") == " By your"
    assert edits.as_suggestion("said.\nTh") == "said."
    assert edits.as_suggestion(" word") == " word"
    assert edits.as_suggestion("word") == "word"
    assert edits.as_suggestion(" said he.\nAnd th", within=True) == " said he."
    assert edits.as_suggestion("\nAnd th", within=True) == ""


async def test_suggestions_are_chosen_among_several_and_accepted_by_word(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (desk, model_thread):  # the noise of this model is all one word
        monkeypatch.setattr(module, "as_suggestion", lambda text, *, within: text)
    async with playing(model) as it:
        await it.paused(20)
        await it.pilot.press("w")
        await it.until(lambda: bool(it.state.suggestion))
        first, before = it.state.suggestion, it.text
        assert "SUGGESTIONS" not in it.screen_text()
        await it.pilot.press("ctrl+l")
        await it.until(lambda: it.state.suggestion not in ("", first))
        assert it.state.suggestions[0] == first
        assert len({text.split()[0] for text in it.state.suggestions}) == len(it.state.suggestions) > 2
        await it.until(lambda: "SUGGESTIONS" in it.screen_text())
        second = it.state.suggestion
        await it.pilot.press("ctrl+k")
        await it.until(lambda: it.state.suggestion == first)
        await it.pilot.click("#suggestions", offset=(3, 1))
        await it.until(lambda: it.state.suggestion == second)
        await it.pilot.press("ctrl+o")
        word = re.match(r"\s*\S+", second)
        assert word is not None
        await it.until(lambda: it.text == before + word.group())
        assert it.state.suggestion == second[word.end() :]  # the rest of it stays suggested
        await it.pilot.press("tab")
        await it.until(lambda: it.text == before + second)
        await it.pilot.press("ctrl+z", "ctrl+z")
        await it.until(lambda: it.text == before)
        await it.pilot.press("ctrl+g")
        await it.until(lambda: isinstance(it.app.screen, SamplerDialog))
        await it.pilot.press(*"temperature", "enter", "0", "enter", "ctrl+s")
        await it.until(lambda: it.state.settings.temperature == 0 and it.screen.view_name == "write")
        await it.pilot.press("ctrl+l")
        await it.until(lambda: "suggests nothing else" in it.status())


async def test_keys_that_come_faster_than_suggestions_accept_what_was_seen(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w")
        await it.until(lambda: bool(it.state.suggestion))
        seen, before = it.state.suggestion, it.text
        await it.burst("ctrl+o", "ctrl+o", "tab")
        await it.until(lambda: it.text.startswith(before + seen))


async def test_ctrl_right_that_is_held_stops_at_the_end_and_accepts_when_it_is_pressed_again(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "HELD_FOR", 60.0)
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w", *"one two", "ctrl+left", "ctrl+left")
        await it.until(lambda: it.text.endswith("one two") and not it.screen.play.suggested)
        await it.pilot.press("ctrl+right", "ctrl+right")
        await it.until(lambda: bool(it.screen.play.suggested))
        await it.pilot.press("ctrl+right", "ctrl+right", "ctrl+right")
        await it.pilot.pause()
        assert it.text.endswith("one two")
        monkeypatch.setattr(writing, "HELD_FOR", 0.0)
        await it.pilot.press("ctrl+right")
        await it.until(lambda: not it.text.endswith("one two"))


async def test_a_hidden_suggestion_comes_back_with_the_keys_that_ask_for_another(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w")
        await it.until(lambda: bool(it.state.suggestion))
        await it.pilot.press("escape")
        assert not it.screen.play.suggested
        await it.pilot.press("ctrl+l")
        await it.until(lambda: bool(it.screen.play.suggested))
        assert "Ctrl+L another" in it.screen_text()
        await it.pilot.press("left")
        await it.until(lambda: "Ctrl+L another" not in it.screen_text())
        await it.pilot.press("ctrl+l")
        await it.until(lambda: "Suggestions come at the end of a paragraph; Ctrl+N" in it.status())


async def test_write_pastes_what_was_cut(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        before = it.text
        await it.pilot.press("w", "shift+left", "shift+left", "ctrl+x")
        await it.until(lambda: it.text == before[:-2])
        await it.pilot.press("ctrl+v", "ctrl+v")
        await it.until(lambda: it.text == before + before[-2:])


async def test_a_paste_right_after_a_cut_has_what_was_cut(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        before = it.text
        await it.pilot.press("w")
        await it.until(lambda: it.screen.view_name == "write")
        word = re.search(r"\S*$", before + "abc")
        assert word is not None
        await it.burst(*"abc", "ctrl+left", "ctrl+r", "x", "ctrl+v")
        await it.until(lambda: it.text == (before + "abc")[: word.start()] + "x" + word.group())
        assert it.app.clipboard == word.group()


async def test_a_cut_of_nothing_leaves_the_clipboard(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        before = it.text
        await it.pilot.press("w", "left", "left", "ctrl+r")
        await it.until(lambda: it.text == before[:-2])
        it.app.copy_to_clipboard("copied")
        await it.burst("ctrl+r", "ctrl+v")
        await it.until(lambda: it.text == before[:-2] + "copied")
        assert it.app.clipboard == "copied"
        await it.pilot.press("ctrl+r")
        await it.until(lambda: "nothing after the cursor" in it.status())


async def test_clipboard_stays_while_there_is_no_text(model: Path) -> None:
    """Also where a cut comes meanwhile."""
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w", "left", "left", "ctrl+r")
        it.app.copy_to_clipboard("copied")
        played = it.state.request
        it.desk.close_text()
        it.screen.play._text.cut_rest()
        assert it.app.clipboard == "copied"
        it.screen.play.load(played)
        await it.until(lambda: it.screen.play.playing and it.state.read_to == it.state.size)
        assert it.app.clipboard == "copied"
        await it.pilot.press("w", "ctrl+end", "ctrl+v")
        await it.until(lambda: it.text.endswith("copied"))


async def test_the_prime_becomes_a_part_of_the_text_when_the_cursor_goes_into_it(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        prime, before, session = it.prime, it.text, it.state.session_id
        assert len(prime) > 2
        await it.pilot.press("w", *["left"] * (len(before) - len(prime) + 1), "backspace")
        await it.until(lambda: "The prime is part of the text now" in it.status())
        await it.pilot.press("x")
        await it.until(lambda: it.text == prime[:-2] + "x" + before[len(prime) - 1 :])
        assert (it.prime, it.position) == ("", len(prime) - 1)
        assert it.screen.play.prime_input.text == ""
        await it.until(lambda: it.state.read_to == it.state.size)
        marks = [origin(mark) for mark in it.screen.play.text_view.marks()]
        assert set(marks[: len(prime) - 1]) == {Origin.TYPED}
        assert set(marks[len(prime) :]) == {Origin.MODEL}
        await it.until(lambda: f"{len(it.text.split())} word" in it.status())
        await it.pilot.press("ctrl+z", "ctrl+z")
        await it.until(lambda: it.text == before)
        assert it.prime == it.screen.play.prime_input.text == prime
        assert it.state.session_id == session


async def test_what_follows_the_prime_stays_when_its_last_word_is_erased(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        prime, before = it.prime, it.text
        await it.pilot.press("w", *["left"] * (len(before) - len(prime)), "ctrl+w")
        kept = re.sub(r"\S*\s*$", "", prime)
        await it.until(lambda: it.text == kept + before[len(prime) :])
        await it.pilot.press("escape", "space")
        await it.until(lambda: len(it.text) > len(before))
        assert it.text.startswith(kept + before[len(prime) :])


async def test_a_chosen_suggestion_stays_word_after_word(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w")
        await it.until(lambda: bool(it.state.suggestion))
        await it.pilot.press("ctrl+l")
        await it.until(lambda: it.state.suggestion_place > 0)
        chosen, before = it.state.suggestion, it.text
        for end in (2, 4, 6):
            it.desk.accept(chosen[end - 2 : end])
            await it.until(lambda: it.text == before + chosen[:end])  # noqa: B023 - it is awaited here
            assert it.state.suggestion == chosen[end:]


async def test_the_palette_names_no_keys_that_would_be_typed(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w", "ctrl+p", *"zoom")
        await it.until(lambda: "Zoom" in it.screen_text())
        assert "[z]" not in it.screen_text()
        await it.pilot.press("escape", "escape", "escape")
        await it.until(lambda: it.screen.view_name == "play")
        await it.pilot.press("ctrl+p", *"zoom")
        await it.until(lambda: "[z]" in it.screen_text())


@pytest.mark.parametrize("writing", [False, True])
async def test_find_replaces_one_place_or_all_which_undo_takes_back_together(model: Path, writing: bool) -> None:
    async with playing(model) as it:
        await it.paused(60)
        before, needle = it.text, "b"
        assert before.count(needle) > 2
        if writing:
            await it.pilot.press("w")
        await it.pilot.press("ctrl+home", "ctrl+u")
        bar = await found(it)
        bar.action_case()
        bar.query_one("#find-needle", Input).value = needle
        await it.pilot.press("tab", *"the", "enter")
        first = before.index(needle)
        if not writing:  # the search begins at the cursor, which is behind the prime
            first = before.index(needle, len(PRIME))
        one = before[:first] + "the" + before[first + 1 :]
        await it.until(lambda: it.text == one)
        assert "Replaced 1 place; Ctrl+Z undoes." in it.status()
        rest = one.count(needle)
        await it.until(lambda: f"of {rest}" in it.screen_text())
        await it.pilot.press("ctrl+g")
        await it.until(lambda: it.text == one.replace(needle, "the"))
        await it.until(lambda: f"Replaced {rest} places; Ctrl+Z undoes." in it.status())
        await it.pilot.press("escape", "ctrl+z")
        await it.until(lambda: it.text == one)
        await it.pilot.press("ctrl+z")
        await it.until(lambda: it.text == before)


async def test_the_only_place_stays_in_view_when_it_is_replaced(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(0)
        it.desk.insert_at("\n".join(["q sea", *["line"] * 90]), at(0))
        await it.until(lambda: it.text.endswith("line") and it.text.count("\n") == 90)
        await it.pilot.press("end", "ctrl+u")
        bar = await found(it)
        bar.query_one("#find-needle", Input).value = "q sea"
        await it.until(lambda: "1 of 1" in it.screen_text())
        await it.pilot.press("tab", *"the shore", "enter")
        await it.until(lambda: "the shore\nline" in it.text and "not found" in it.screen_text())
        assert "the shore" in it.screen_text().split("Find")[0]
        await it.pilot.press("escape")
        await it.until(lambda: not it.screen.query(FindBar))
        assert "the shore" in it.screen_text()


async def test_line_breaks_are_typed_into_replace_and_own_text(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(0)
        await it.pilot.press("w", *"gulls cry", "ctrl+u")
        bar = await found(it)
        bar.query_one("#find-needle", Input).value = " cry"
        await it.until(lambda: "1 of 1" in it.screen_text())
        await it.pilot.press("tab", "comma", "ctrl+j", *"we")
        assert ",↵we" in it.screen_text()
        await it.pilot.press("enter")
        await it.until(lambda: it.text.endswith("gulls,\nwe"))
        await it.pilot.press("escape", "escape", "escape")
        await it.until(lambda: it.screen.view_name == "play")
        await it.pilot.press("i", *"Gulls", "ctrl+j", "W")
        await it.until(lambda: "Ctrl+J new line" in it.screen_text() and "Gulls↵W" in it.screen_text())
        field = it.app.screen.query_one(Input)
        field.post_message(events.Paste("e are\nfree"))
        await it.until(lambda: field.value == "Gulls↵We are↵free")
        await it.pilot.press("enter")
        await it.until(lambda: it.text.endswith("Gulls\nWe are\nfree"))


async def test_cursor_stays_at_its_characters_when_all_is_replaced(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(60)
        before, needle = it.text, "b"
        await it.pilot.press("w", "left", "left")
        await it.until(lambda: it.state.position == it.state.size - 2)
        await it.pilot.press("ctrl+u")
        bar = await found(it)
        bar.action_case()
        bar.query_one("#find-needle", Input).value = needle
        await it.pilot.press("tab", *"the", "ctrl+g")
        after = before.replace(needle, "the")
        await it.until(lambda: it.text == after)
        await it.pilot.press("escape", "x")
        await it.until(lambda: it.text == after[:-2] + "x" + after[-2:])


async def test_text_stays_as_it_is_written_whatever_the_model_knows(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        length = len(it.text)
        await it.pilot.press("w", "ж", "a")
        it.screen.play.on_paste(events.Paste("£½ œuvre “10 €” …"))
        await it.until(lambda: it.text[length:] == "жa£½ œuvre “10 €” …")
        await it.until(lambda: "The model reads £ as" in it.status())
        await it.pilot.press("ctrl+f")
        bar = await found(it)
        bar.query_one("#find-needle", Input).value = "€"
        await it.pilot.press("tab")
        await it.until(lambda: bar.query_one("#find-replacement", Input).has_focus)
        bar.query_one("#find-replacement", Input).value = "☃"
        await it.pilot.press("ctrl+g")
        await it.until(lambda: it.text[length:] == "жa£½ œuvre “10 ☃” …")


@pytest.mark.parametrize(
    ("before", "text", "after", "joint"),
    [
        ("He ", "went away", "and came", " "),
        ("He", " went away", " and came", ""),
        ("He", " went away", ", and came", ""),
        ("One.\n\n", "A new one.", "Two.", "\n\n"),
        ("One.\n\n", "A new one.\n", "Two.", "\n"),
        ("One.\n", "a line", "Two.", "\n"),
        ("One.\n", "a line", "\nTwo.", ""),
        ("One.", " a line\n", "Two.", ""),
        ("", "A beginning.", "One.", "\n"),
        ("One ", "more", "", ""),
    ],
)
async def test_a_continuation_is_put_in_with_the_space_that_is_missing_before_what_follows(
    model: Path, before: str, text: str, after: str, joint: str
) -> None:
    async with playing(model) as it:
        await it.paused(0)
        await it.pilot.press("w")
        it.desk.replace(0, it.state.size, before + after)
        it.desk.move(len(before))
        it.desk.put_in(text)
        await it.until(lambda: it.text == before + text + joint + after)
        await it.until(lambda: it.state.position == len(before) + len(text))
        await it.pilot.press("ctrl+z")
        await it.until(lambda: it.text == before + after)


def test_scripts_without_spaces_are_joined_without_one(home: Path) -> None:
    vocabulary = tiny_model(symbols=tuple(" \n红楼梦"), prime="红楼").vocabulary
    assert edits.joint(Text.of("红楼", TYPED), 1, "梦", vocabulary) == ""


async def test_a_continuation_put_in_at_the_top_of_the_view_is_seen(model: Path) -> None:
    async with playing(model, size=(80, 24)) as it:
        await it.paused(0)
        it.desk.insert_at("\n".join("abcdefgh " * 3 for _ in range(60)), at(0))
        await it.until(lambda: it.text.count("\n") == 59)
        await it.pilot.press("w")
        await it.until(lambda: it.screen.view_name == "write" and it.state.position == it.state.size)
        text = it.screen.play.text_view
        place = text._text_layout.row_span(text.scroll_offset.y + 1)[0]  # there the view ends with the text
        text.cursor = place
        text.post_message(text.CursorMoved(place))
        await it.until(lambda: it.state.position == place)
        new = "the first line\nthe second line\nthe third"
        it.desk.put_in(new)
        await it.until(lambda: new in it.text and it.state.position == place + len(new))
        shown = it.screen_text()
        assert all(line in shown for line in new.split("\n"))


async def found(it: Session) -> FindBar:
    await it.until(lambda: bool(it.screen.query(FindBar)) and isinstance(it.screen.focused, Input))
    return it.screen.query_one(FindBar)


async def test_the_bar_names_what_escape_does_now(model: Path) -> None:
    def bar() -> str:
        return it.screen.query_one(GenerateBar).render().plain.split("[")[0].strip()

    async with playing(model) as it:
        await it.paused(40)
        await it.pilot.press("w")
        await it.until(lambda: it.state.suggestion != "" and bar() == "Esc hide suggestion  Play")
        await it.pilot.press("escape")
        await it.until(lambda: bar() == "Esc Play")
        await it.pilot.press("escape", "f")
        await it.until(lambda: it.screen.view_name == "multiverse" and it.screen.multiverse.root is not None)
        await it.until(lambda: bar() == "Esc Play")
        await it.pilot.press("right", "plus")
        await it.until(lambda: bar() == "Esc wider  Play")
        await it.pilot.press("escape")
        await it.until(lambda: bar() == "Esc Play")
        await it.pilot.press("escape", "x")
        await it.until(lambda: it.screen.view_name == "cells")
        await it.pilot.press("v")
        await it.until(lambda: bar() == "Esc hide why  Play")
        await it.pilot.press("escape")
        await it.until(lambda: bar() == "Esc Play")
        await it.pilot.press("L")
        await it.until(lambda: bar() == "Esc hide list  Play")
        await it.pilot.press("escape", "escape")
        await it.until(lambda: it.screen.view_name == "play")


def test_a_continuation_has_no_rows_for_its_empty_lines() -> None:
    assert rows("\n\nhe said.\n\n\nShe\n\n") == "↵↵he said.↵↵↵\nShe↵↵"
    assert rows("no end here") == "no end here"


async def test_a_copy_that_has_learnt_from_the_text_suggests_in_write_until_it_is_switched_off(model: Path) -> None:
    loaded, before = load_model(model), model.read_bytes()

    def suggested(text: str, strength: float) -> str:
        """What a copy that has learnt from ``text`` suggests after it."""
        adaptive = AdaptiveModel(loaded, strength)
        adaptive.read(loaded.vocabulary.encode(text)[0])
        session = GenerationSession.of(adaptive.adapted(), text[-model_thread.LEARNT_CONTEXT :], it.state.recipe)
        position = len(text) - len(it.prime)  # the copy draws as the model does at this place
        return edits.as_suggestion(session.suggest(model_thread.SUGGESTION_LENGTH, position=position))

    async with playing(model, (120, 30)) as it:
        await it.paused(5)
        await it.pilot.press("w")
        await it.until(lambda: bool(it.state.suggestion))
        it.screen.play.post_message(events.Paste("The sea and the morning. " * 12))
        await it.until(lambda: it.text.endswith("the morning. "))
        text = it.text
        await it.until(lambda: bool(it.state.suggestion))
        own, levels = it.state.suggestion, it.screen.play.text_view.marks()
        await it.pilot.press("ctrl+b")
        await it.until(lambda: it.state.learnt_strength == 1.0)
        learnt = suggested(text, 1.0)
        assert learnt != own
        await it.until(lambda: it.state.suggestion == learnt)
        assert "learns, strength 1" in it.status()
        assert it.screen.play.text_view.marks() == levels, "the figures of the text are those of the model"
        await it.pilot.press("ctrl+b")
        assert "Strength 2: the copy learns at 2 times the rate. Ctrl+B: learn more." in it.status()
        await it.until(lambda: it.state.learnt_strength == 2.0)
        learnt = suggested(text, 2.0)
        await it.until(lambda: it.state.suggestion == learnt)
        await it.pilot.press("tab")
        await it.until(lambda: it.text == text + learnt)
        await it.pilot.press("ctrl+z")
        await it.until(lambda: it.text == text)

        it.screen.play.post_message(events.Paste("Quite another one, and so on. " * 20))
        longer = text + "Quite another one, and so on. " * 20
        await it.until(lambda: it.text == longer)
        learnt = suggested(longer, 2.0)
        await it.until(lambda: it.state.suggestion == learnt)  # it has learnt again by itself
        await it.pilot.press("ctrl+b")
        await it.until(lambda: it.state.learnt_strength == 4.0)
        await it.pilot.press("ctrl+b")
        await it.until(lambda: it.state.learnt_strength is None)
        assert "The model suggests with its fixed weights again." in it.status()
        await it.pilot.press("ctrl+z")
        await it.until(lambda: it.text == text and it.state.suggestion == own)
        assert "learns" not in it.status()

        await it.pilot.press("ctrl+b")
        await it.until(lambda: it.state.learnt_strength == 1.0)
        await it.pilot.press("escape", "escape", "e")
        await it.pilot.press("x", "enter")
        await it.until(lambda: it.state.learnt_strength is None and it.state.request.prime is not None)
        await it.pilot.press("w")
        await it.until(lambda: it.screen.view_name == "write" and bool(it.state.suggestion))
        assert "learns" not in it.status(), "another text"
    assert model.read_bytes() == before


async def test_a_copy_learns_from_what_is_new_alone_unless_the_text_before_has_changed(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, jobs, read = load_model(model), InsightJobs(), AdaptiveModel.read
    count = 0

    def counted(adaptive: AdaptiveModel, ids: Any) -> Any:
        nonlocal count
        count += len(ids)
        return read(adaptive, ids)

    monkeypatch.setattr(AdaptiveModel, "read", counted)
    text = "The sea and the morning. " * 40

    async def learnt(text: str, strength: float, of_jobs: InsightJobs) -> tuple[list[Any], int]:
        nonlocal count
        count = 0
        found = await of_jobs.learnt_model(loaded, text, strength, lambda share: None)
        return list(found.model.weights.values()), count

    await learnt(text[:600], 1.0, jobs)
    weights, new = await learnt(text, 1.0, jobs)
    expected, every = await learnt(text, 1.0, InsightJobs())
    assert (new, every) == (len(text) - 600, len(text))
    assert all(np.allclose(one, other, atol=1e-4) for one, other in zip(weights, expected, strict=True))
    _, every = await learnt("A" + text[1:] + "more", 1.0, jobs)
    assert every == len(text) + 4, "its beginning is another"
    _, every = await learnt("A" + text[1:] + "more", 2.0, jobs)
    assert every == len(text) + 4, "the strength is another"
    await jobs.learnt_scores(loaded, text, 2.0, lambda done, total: None)
    weights, every = await learnt(text, 1.0, jobs)
    assert every == len(text), "Score has used the copy"
    assert all(np.allclose(one, other, atol=1e-4) for one, other in zip(weights, expected, strict=True))
    monkeypatch.setattr(insight_jobs, "LEARNT_CHARS", 100)
    _, every = await learnt("B" + text, 1.0, jobs)
    assert every == 100
    _, every = await learnt("B" + text + "and more", 1.0, jobs)
    assert every == 8

"""Ways on from the cursor: continuations to pick from, and the likelier and less likely characters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual import events
from textual.widgets import Input, OptionList

from charlstm.generation.rows import TYPED
from charlstm.generation.text_pieces import Text
from charlstm.model.file import load_model
from charlstm_tui.generate import writing
from charlstm_tui.generate.continuations_dialog import COUNT, ContinuationsDialog, rows
from charlstm_tui.generate.sampler_dialog import SamplerDialog
from charlstm_tui.player import edits, model_thread, questions
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.marks import Origin, origin
from charlstm_tui.player.opening import PlayRequest
from charlstm_tui.player.played import Played
from charlstm_tui.widgets.find import FindBar
from playing_app import PRIME, Session, at, playing
from recorded_run import tiny_model
from stepped_player import SteppedPlayer


async def continuations(it: Session, first: int) -> list[str]:
    """Wait until the dialog has those from number ``first`` on."""
    await it.opens(ContinuationsDialog)
    dialog = it.app.screen
    await it.until(lambda: dialog._first == first and "r others" in it.screen_text())
    return [each.text for each in dialog._found]


def put_in(before: str, place: int, text: str) -> str:
    """``before`` with a continuation put in at ``place``, within a line, and a space after it where one is missing."""
    after = before[place:]
    space = "" if text[-1].isspace() or after[0].isspace() or after[0] in ",.;:!?" else " "
    return before[:place] + text + space + after


async def write(it: Session) -> str:
    """Begin to write, and wait for the suggestion."""
    await it.press("w")
    await it.until(lambda: bool(it.state.suggestion))
    return it.state.suggestion


def first_word(text: str) -> str:
    """With the spaces before it."""
    return re.match(r"\s*\S+", text).group()


async def test_a_continuation_is_read_and_picked_by_arrows_a_digit_or_a_click(model: Path) -> None:
    async with playing(model, paused=20) as it:
        before = it.text
        await it.press(*["left"] * 4, "n")
        found = await continuations(it, 1)
        assert len(found) == len(set(found)) == COUNT
        await it.shows("after “…", f"Enter or 1–{COUNT} put in s put in one sentence")
        await it.press("r")
        others = await continuations(it, 1 + COUNT)
        assert not set(found) & set(others)
        await it.press("down", "enter", gives=before[:-4] + others[1])
        await it.says("4 characters are on branch 0 now: b shows branches, Ctrl+Z undoes.")
        assert it.position == it.state.length
        await it.press("ctrl+z", gives=before)

        await it.press("w", *["left"] * 2, "ctrl+n")  # in Write, what follows stays
        found = await continuations(it, 1)
        base = len(it.prime) + it.position
        await it.press("3", gives=put_in(before, base, found[2]))
        await it.press("ctrl+z", "ctrl+n")
        found = await continuations(it, 1)
        await it.pilot.click(it.app.screen.query_one(OptionList), offset=(10, 0))
        await it.until(lambda: it.text == put_in(before, base, found[0]))
        await it.press("ctrl+z", "ctrl+n")
        found = await continuations(it, 1)
        await it.press("s")
        await it.until(lambda: it.text != before)
        sentence = it.text[base : len(it.text) - len(before) + base].rstrip()
        assert sentence.startswith(found[0].rstrip()) or found[0].startswith(sentence)


def test_likelier_and_less_likely_characters_are_shown_with_what_follows(model: Path) -> None:
    player, place = SteppedPlayer(), at(18)

    def show(direction: int) -> Played:
        player.alternative(direction, place)
        return player.finish()

    player.open(PlayRequest(str(model)))
    player.stream(20)
    player.finish()
    before = player.document.text.read()
    shown = show(1)
    assert (player.document.text.read(0, place), shown.position) == (before[:place], place)
    assert shown.size > place + 1
    other = show(1)
    assert (other.current_rank, other.position) == (shown.current_rank + 1, place)
    show(-1)
    show(-1)
    assert player.document.text.read() == before
    notes = [show(-1).note for _ in range(shown.current_rank + 1)]
    assert notes[-1] == "The model has no likelier one."


@pytest.mark.parametrize(
    ("text", "within", "suggested"),
    [
        (" By your h", False, " By your"), ("said.\nTh", False, "said."), (" word", False, " word"),
        ("word", False, "word"), (" said he.\nAnd th", True, " said he."), ("\nAnd th", True, ""),
    ],
)  # fmt: skip
def test_a_suggestion_ends_with_a_whole_word_or_with_its_line(text: str, within: bool, suggested: str) -> None:
    assert edits.as_suggestion(text, within=within) == suggested


async def test_suggestions_are_chosen_among_several_and_accepted_by_word(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (questions, model_thread):  # the noise of this model is all one word
        monkeypatch.setattr(module, "as_suggestion", lambda text, *, within: text)
    async with playing(model, paused=20) as it:
        first, before = await write(it), it.text
        await it.press("ctrl+l")
        await it.until(lambda: it.state.suggestion not in ("", first))
        second = it.state.suggestion
        word = first_word(second)
        assert word != first_word(first)
        await it.press("ctrl+k")
        await it.until(lambda: it.state.suggestion == first)
        await it.press("ctrl+l")
        await it.until(lambda: it.state.suggestion == second)
        await it.press("ctrl+o", gives=before + word)
        assert it.state.suggestion == second.removeprefix(word)  # it stays suggested, word after word
        await it.press("tab", gives=before + second)
        await it.press("ctrl+z", "ctrl+z", gives=before)
        await it.until(lambda: bool(it.screen.play.suggested))
        seen = it.screen.play.suggested
        await it.burst("ctrl+o", "ctrl+o", "tab")  # faster than suggestions come
        await it.until(lambda: it.text.startswith(before + seen))
        await it.press("ctrl+g")
        await it.opens(SamplerDialog)
        await it.press(*"temperature", "enter", "0", "enter", "ctrl+s")
        await it.until(lambda: it.state.settings.temperature == 0 and it.screen.view_name == "write")
        await it.press("ctrl+l", says="suggests nothing else")


async def test_ctrl_right_that_is_held_stops_at_the_end_and_accepts_when_it_is_pressed_again(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "HELD_FOR", 60.0)
    async with playing(model, paused=5) as it:
        await it.press("w", *"one two", "ctrl+left", "ctrl+left", "ctrl+right", "ctrl+right")
        await it.until(lambda: bool(it.screen.play.suggested))
        await it.press("ctrl+right", "ctrl+right", "ctrl+right")
        assert it.text.endswith("one two")
        monkeypatch.setattr(writing, "HELD_FOR", 0.0)
        await it.press("ctrl+right")
        await it.until(lambda: not it.text.endswith("one two"))


async def test_a_hidden_suggestion_comes_back_with_the_keys_that_ask_for_another(model: Path) -> None:
    async with playing(model, paused=5) as it:
        await write(it)
        await it.press("escape")
        assert not it.screen.play.suggested
        await it.press("ctrl+l", shows="Ctrl+L another")
        await it.until(lambda: bool(it.screen.play.suggested))
        await it.press("left", lacks="Ctrl+L another")
        await it.press("ctrl+l", says="Suggestions come at the end of a line; Ctrl+N")
        await it.press("ctrl+p", *"zoom", shows="Zoom")
        assert "[z]" not in it.screen_text()  # it would be typed
        await it.go("play", "escape", "escape", "escape")
        await it.press("ctrl+p", *"zoom", shows="[z]")


async def test_what_was_cut_is_pasted_and_a_cut_of_nothing_leaves_the_clipboard(model: Path) -> None:
    async with playing(model, paused=5) as it:
        before = it.text
        await it.go("write", "w")
        await it.press("shift+left", "shift+left", "ctrl+x", gives=before[:-2])
        await it.press("ctrl+v", "ctrl+v", gives=before + before[-2:])
        it.app.copy_to_clipboard("copied")
        written = before + before[-2:] + "copied"
        await it.burst("ctrl+r", "ctrl+v", gives=written)  # there is nothing after the cursor
        await it.press("ctrl+r", says="nothing after the cursor")
        await it.burst(*" abc", "ctrl+left", "ctrl+r", "x", "ctrl+v", gives=f"{written} xabc")  # right after the cut


async def test_the_prime_becomes_a_part_of_the_text_when_the_cursor_goes_into_it(model: Path) -> None:
    async with playing(model, paused=10) as it:
        prime, before, session = it.prime, it.text, it.state.session_id
        await it.press("w", *["left"] * (len(before) - len(prime) + 1), "backspace")
        await it.says("The prime is part of the text now")
        await it.press("x", gives=prime[:-2] + "x" + before[len(prime) - 1 :])
        assert (it.prime, it.screen.play.prime_input.text, it.position) == ("", "", len(prime) - 1)
        await it.until(lambda: it.state.read_to == it.state.size)
        marks = [origin(mark) for mark in it.screen.play.text_view.marks()]
        assert set(marks[: len(prime) - 1]) == {Origin.TYPED}
        assert set(marks[len(prime) :]) == {Origin.MODEL}
        await it.press("ctrl+z", "ctrl+z", gives=before)
        assert it.prime == it.screen.play.prime_input.text == prime
        assert it.state.session_id == session
        kept = prime.removesuffix("morning") + before[len(prime) :]  # what follows the prime stays
        await it.press("ctrl+home", *["right"] * len(prime), "ctrl+w", gives=kept)
        await it.press("escape", "space")
        await it.until(lambda: len(it.text) > len(before) and it.text.startswith(kept))


async def test_find_replaces_one_place_or_all_which_undo_takes_back_together(model: Path) -> None:
    async with playing(model, paused=60) as it:
        before, needle = it.text, "b"
        await it.press("ctrl+home", "ctrl+u")
        bar = await found(it, needle)
        bar.action_case()
        first = before.index(needle, len(PRIME))  # the search begins at the cursor, which is behind the prime
        one = before[:first] + "the" + before[first + 1 :]
        await it.press("tab", *"the", "enter", gives=one, says="Replaced 1 place; Ctrl+Z undoes.")
        rest, every = one.count(needle), one.replace(needle, "the")
        assert rest > 1
        await it.shows(f"of {rest}")
        await it.press("ctrl+g", gives=every, says=f"Replaced {rest} places; Ctrl+Z undoes.")
        await it.press("escape", "ctrl+z", gives=one)
        await it.press("ctrl+z", gives=before)


async def test_line_breaks_are_typed_into_replace_and_own_text(model: Path) -> None:
    async with playing(model, paused=0) as it:
        await it.press("w", *"gulls cry", "ctrl+u")
        await found(it, " cry")
        await it.shows("1 of 1")
        await it.press("tab", "comma", "ctrl+j", *"we", shows=",↵we")
        await it.press("enter")
        await it.until(lambda: it.text.endswith("gulls,\nwe"))
        await it.go("play", "escape", "escape", "escape")
        await it.press("i", *"Gulls", "ctrl+j", "W", shows=("Ctrl+J new line", "Gulls↵W"))
        field = it.app.screen.query_one(Input)
        field.post_message(events.Paste("e are\nfree"))
        await it.until(lambda: field.value == "Gulls↵We are↵free")
        await it.press("enter")
        await it.until(lambda: it.text.endswith("Gulls\nWe are\nfree"))


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
        ("红", "楼", "梦", ""),
    ],
)
def test_a_continuation_is_put_in_with_the_space_that_is_missing_before_what_follows(
    before: str, text: str, after: str, joint: str
) -> None:
    vocabulary = tiny_model(symbols=tuple(" \n红楼梦")).vocabulary if before == "红" else tiny_model().vocabulary
    assert edits.joint(Text.of(before + after, TYPED), len(before), text, vocabulary) == joint


async def found(it: Session, needle: str) -> FindBar:
    """Look for ``needle`` once there is a line for it."""
    await it.until(lambda: bool(it.screen.query(FindBar)) and isinstance(it.screen.focused, Input))
    bar = it.screen.query_one(FindBar)
    bar.query_one("#find-needle", Input).value = needle
    return bar


async def test_the_bar_names_what_escape_does_now(model: Path) -> None:
    async with playing(model, paused=40) as it:

        async def names(words: str) -> None:
            await it.until(lambda: it.bar().split("[")[0].strip() == words)

        await write(it)
        await names("Esc hide suggestion  Play")
        await it.press("escape")
        await names("Esc Play")
        await it.go("cells", "escape", "x")
        for key, words in (("v", "hide why"), ("L", "hide list")):
            await it.press(key)
            await names(f"Esc {words}  Play")
            await it.press("escape")
            await names("Esc Play")


async def test_a_copy_that_has_learnt_from_the_text_suggests_in_write_until_it_is_switched_off(model: Path) -> None:
    before = model.read_bytes()
    async with playing(model, (120, 30), paused=5) as it:

        async def suggests(strength: float | None, other_than: str = "") -> None:
            await it.until(lambda: it.state.learnt_strength == strength)
            await it.until(lambda: it.state.suggestion not in ("", other_than))

        await write(it)
        it.screen.play.post_message(events.Paste("The sea and the morning. " * 12))
        await it.until(lambda: it.text.endswith("the morning. ") and bool(it.state.suggestion))
        text, own, levels = it.text, it.state.suggestion, it.screen.play.text_view.marks()
        await it.press("ctrl+b", says="learns, strength 1")
        await suggests(1.0, other_than=own)
        assert it.screen.play.text_view.marks() == levels, "the figures of the text are those of the model"
        await it.press("ctrl+b", says="A copy that learns from your text suggests, strength 2. Ctrl+B: learn more.")
        await suggests(2.0)
        learnt = it.player.learnt
        it.screen.play.post_message(events.Paste("Quite another one, and so on. " * 20))
        await it.until(lambda: it.player.learnt is not learnt)  # it has learnt again by itself
        await it.press("ctrl+b", says="Ctrl+B: fixed weights.")
        assert len(it.screen.message) <= 80 - 2, "all of it stands in the status line of a small terminal"
        await suggests(4.0)
        await it.press("ctrl+b", says="The model suggests with its fixed weights again.")
        await suggests(None)
        await it.press("ctrl+z")
        await it.until(lambda: it.text == text and it.state.suggestion == own)
        assert "learns" not in it.status()
    assert model.read_bytes() == before


async def test_a_copy_that_learns_on_is_as_one_that_has_learnt_all_of_the_text(model: Path) -> None:
    loaded, jobs, text = load_model(model), InsightJobs(), "The sea and the morning. " * 40

    async def learnt(text: str, jobs: InsightJobs) -> list[Any]:
        return list((await jobs.learnt_model(loaded, text, 1.0, lambda share: None)).model.weights.values())

    async def learns(text: str) -> None:
        for one, other in zip(await learnt(text, jobs), await learnt(text, InsightJobs()), strict=True):
            assert np.allclose(one, other, atol=1e-4)

    await learns(text[:600])
    await learns(text)
    await learns("A" + text[1:] + "more")  # its beginning is another
    await jobs.learnt_scores(loaded, text, 2.0, lambda share: None)  # of Score, which uses the copy
    await learns(text)


async def test_a_new_text_is_an_empty_page_in_plain_ink_and_only_what_is_typed_stands_on_it(model: Path) -> None:
    async with playing(model, speed=60) as it:
        await it.until(lambda: it.state.running and it.state.length > 5)
        await it.burst("W", *"quite so", gives="quite so")  # of these q would quit in Play
        assert (it.screen.view_name, it.state.running, it.state.prime_length) == ("write", False, 0)
        assert not it.screen.play.text_view.shows_levels
        await it.press("f3", says="SURPRISE")
        assert it.screen.play.text_view.shows_levels
        await it.press("f3", says="F3 shows colours")
    async with playing(model) as it:
        assert it.prime == PRIME  # an empty one is not remembered of such a text


def test_a_continuation_has_no_rows_for_its_empty_lines() -> None:
    assert rows("\n\nhe said.\n\n\nShe\n\n") == "↵↵he said.↵↵↵\nShe↵↵"

"""Ways on from the cursor: continuations to pick from, and the likelier and less likely characters."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual import events
from textual.widgets import Input, OptionList, Static

from charlstm.generation.rows import TYPED
from charlstm.generation.text_pieces import Text
from charlstm.model.file import load_model
from charlstm_tui.generate import writing
from charlstm_tui.generate.continuations_dialog import COUNT, ContinuationsDialog, rows
from charlstm_tui.generate.sampler_dialog import SamplerDialog
from charlstm_tui.player import edits, model_thread, questions
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.marks import Origin, origin
from charlstm_tui.player.played import Played
from charlstm_tui.widgets.find import FindBar
from playing_app import PRIME, PlayingApp, at, playing
from recorded_run import tiny_model
from stepped_player import SteppedPlayer


async def continuations(app: PlayingApp, first: int) -> list[str]:
    """Wait until the dialog has those from number ``first`` on."""
    await app.opens(ContinuationsDialog)
    dialog = app.app.screen
    title = dialog.query_one(".dialog-title", Static)
    await app.until(lambda: dialog._first == first and bool(dialog._found) and str(title.content) == "Continuations")
    return [each.text for each in dialog._found]


def put_in(before: str, place: int, text: str) -> str:
    """``before`` with a continuation put in at ``place``, within a line, and a space after it where one is missing."""
    after = before[place:]
    space = "" if text[-1].isspace() or after[0].isspace() or after[0] in ",.;:!?" else " "
    return before[:place] + text + space + after


async def write(app: PlayingApp) -> str:
    """Begin to write, and wait for the suggestion."""
    await app.press("w", until=lambda: bool(app.state.suggestion))
    return app.state.suggestion


def first_word(text: str) -> str:
    """With the spaces before it."""
    return re.match(r"\s*\S+", text).group()


async def test_a_continuation_is_read_and_picked_by_arrows_a_digit_or_a_click(model: Path) -> None:
    async with playing(model, paused=20) as app:
        before = app.text
        await app.press(*["left"] * 4, "n")
        found = await continuations(app, 1)
        assert len(found) == len(set(found)) == COUNT
        await app.shows("after “…", f"Enter or 1–{COUNT} put in s put in one sentence")
        await app.press("r")
        others = await continuations(app, 1 + COUNT)
        assert not set(found) & set(others)
        await app.press("down", "enter", gives=before[:-4] + others[1])
        await app.says("4 characters are on branch 0 now: b shows branches, Ctrl+Z undoes.")
        assert app.position == app.state.length
        await app.press("ctrl+z", gives=before)

        await app.press("w", *["left"] * 2, "ctrl+n")  # in Write, what follows stays
        found = await continuations(app, 1)
        base = len(app.prime) + app.position
        await app.press("3", gives=put_in(before, base, found[2]))
        await app.press("ctrl+z", "ctrl+n")
        found = await continuations(app, 1)
        await app.pilot.click(app.app.screen.query_one(OptionList), offset=(10, 0))
        await app.until(lambda: app.text == put_in(before, base, found[0]))
        await app.press("ctrl+z", "ctrl+n")
        found = await continuations(app, 1)
        await app.press("s", until=lambda: app.text != before)
        sentence = app.text[base : len(app.text) - len(before) + base].rstrip()
        assert sentence.startswith(found[0].rstrip()) or found[0].startswith(sentence)


def test_likelier_and_less_likely_characters_are_shown_with_what_follows(model: Path) -> None:
    player, place = SteppedPlayer(), at(18)

    def show(direction: int) -> Played:
        return player.after(player.alternative, direction, place)

    player.play(model)
    player.generate(20)
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


async def test_suggestions_are_walked_and_accepted_word_by_word(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (questions, model_thread):  # the noise of this model is all one word
        monkeypatch.setattr(module, "as_suggestion", lambda text, *, within: text)
    async with playing(model, paused=20) as app:
        first, before = await write(app), app.text
        await app.press("ctrl+l", until=lambda: app.state.suggestion not in ("", first))
        second = app.state.suggestion
        word = first_word(second)
        assert word != first_word(first)
        await app.press("ctrl+k", until=lambda: app.state.suggestion == first)
        await app.press("ctrl+l", until=lambda: app.state.suggestion == second)
        await app.press("ctrl+o", gives=before + word)
        assert app.state.suggestion == second.removeprefix(word)  # it stays suggested, word after word
        await app.press("tab", gives=before + second)
        await app.press("ctrl+z", "ctrl+z", gives=before)
        await app.until(lambda: bool(app.screen.play.suggested))
        seen = app.screen.play.suggested
        await app.burst("ctrl+o", "ctrl+o", "tab")  # faster than suggestions come
        await app.until(lambda: app.text.startswith(before + seen))
        await app.press("ctrl+g")
        await app.opens(SamplerDialog)
        await app.press(*"temperature", "enter", "0", "enter", "ctrl+s")
        await app.until(lambda: app.state.settings.temperature == 0 and app.screen.view_name == "write")
        await app.press("ctrl+l", says="suggests nothing else")


async def test_held_ctrl_right_stops_at_the_end_and_accepts_anew(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "HELD_FOR", 60.0)
    async with playing(model, paused=5) as app:
        await app.press("w", *"one two", "ctrl+left", "ctrl+left", "ctrl+right", "ctrl+right")
        await app.until(lambda: bool(app.screen.play.suggested))
        await app.press("ctrl+right", "ctrl+right", "ctrl+right")
        assert app.text.endswith("one two")
        monkeypatch.setattr(writing, "HELD_FOR", 0.0)
        await app.press("ctrl+right", until=lambda: not app.text.endswith("one two"))


async def test_a_hidden_suggestion_comes_back_with_the_keys_that_ask_for_another(model: Path) -> None:
    async with playing(model, paused=5) as app:
        await write(app)
        await app.press("escape")
        assert not app.screen.play.suggested
        await app.press("ctrl+l", shows="Ctrl+L another", until=lambda: bool(app.screen.play.suggested))
        await app.press("left", lacks="Ctrl+L another")
        await app.press("ctrl+l", says="Suggestions come at the end of a line; Ctrl+N")
        await app.press("ctrl+p", *"zoom", shows="Zoom")
        assert "[z]" not in app.screen_text()  # it would be typed
        await app.go("play", "escape", "escape", "escape")
        await app.press("ctrl+p", *"zoom", shows="[z]")


async def test_what_was_cut_is_pasted_and_a_cut_of_nothing_leaves_the_clipboard(model: Path) -> None:
    async with playing(model, paused=5) as app:
        before = app.text
        await app.go("write", "w")
        await app.press("shift+left", "shift+left", "ctrl+x", gives=before[:-2])
        await app.press("ctrl+v", "ctrl+v", gives=before + before[-2:])
        app.app.copy_to_clipboard("copied")
        written = before + before[-2:] + "copied"
        await app.burst("ctrl+r", "ctrl+v", gives=written)  # there is nothing after the cursor
        await app.press("ctrl+r", says="nothing after the cursor")
        await app.burst(*" abc", "ctrl+left", "ctrl+r", "x", "ctrl+v", gives=f"{written} xabc")  # right after the cut


async def test_the_prime_becomes_a_part_of_the_text_when_the_cursor_goes_into_it(model: Path) -> None:
    async with playing(model, paused=10) as app:
        prime, before, session = app.prime, app.text, app.state.session_id
        await app.press("w", *["left"] * (len(before) - len(prime) + 1), "backspace")
        await app.says("The prime is part of the text now")
        await app.press("x", gives=prime[:-2] + "x" + before[len(prime) - 1 :])
        assert (app.prime, app.screen.play.prime_input.text, app.position) == ("", "", len(prime) - 1)
        await app.until(lambda: app.state.read_to == app.state.size)
        marks = [origin(mark) for mark in app.screen.play.text_view.marks()]
        assert (set(marks[: len(prime) - 1]), set(marks[len(prime) :])) == ({Origin.TYPED}, {Origin.MODEL})
        await app.press("ctrl+z", "ctrl+z", gives=before)
        assert app.prime == app.screen.play.prime_input.text == prime
        assert app.state.session_id == session
        kept = prime.removesuffix("morning") + before[len(prime) :]  # what follows the prime stays
        await app.press("ctrl+home", *["right"] * len(prime), "ctrl+w", gives=kept)
        await app.press("escape", "space", until=lambda: len(app.text) > len(before) and app.text.startswith(kept))


async def test_find_replaces_one_place_or_all_which_undo_takes_back_together(model: Path) -> None:
    async with playing(model, paused=60) as app:
        before, needle = app.text, "b"
        await app.press("ctrl+home", "ctrl+u")
        bar = await found(app, needle)
        bar.action_case()
        first = before.index(needle, len(PRIME))  # the search begins at the cursor, which is behind the prime
        one = before[:first] + "the" + before[first + 1 :]
        await app.press("tab", *"the", "enter", gives=one, says="Replaced 1 place; Ctrl+Z undoes.")
        rest, every = one.count(needle), one.replace(needle, "the")
        assert rest > 1
        await app.shows(f"of {rest}")
        await app.press("ctrl+g", gives=every, says=f"Replaced {rest} places; Ctrl+Z undoes.")
        await app.press("escape", "ctrl+z", gives=one)
        await app.press("ctrl+z", gives=before)


async def test_line_breaks_are_typed_into_replace_and_own_text(model: Path) -> None:
    async with playing(model, paused=0) as app:
        await app.press("w", *"gulls cry", "ctrl+u")
        await found(app, " cry")
        await app.shows("1 of 1")
        await app.press("tab", "comma", "ctrl+j", *"we", shows=",↵we")
        await app.press("enter", until=lambda: app.text.endswith("gulls,\nwe"))
        await app.go("play", "escape", "escape", "escape")
        await app.press("i", *"Gulls", "ctrl+j", "W", shows=("Ctrl+J new line", "Gulls↵W"))
        field = app.app.screen.query_one(Input)
        field.post_message(events.Paste("e are\nfree"))
        await app.until(lambda: field.value == "Gulls↵We are↵free")
        await app.press("enter", until=lambda: app.text.endswith("Gulls\nWe are\nfree"))


@pytest.mark.parametrize(
    ("before", "text", "after", "joint"),
    [
        ("He ", "went away", "and came", " "), ("He", " went away", " and came", ""),
        ("He", " went away", ", and came", ""),
        ("One.\n\n", "A new one.", "Two.", "\n\n"), ("One.\n\n", "A new one.\n", "Two.", "\n"),
        ("One.\n", "a line", "Two.", "\n"), ("One.\n", "a line", "\nTwo.", ""), ("One.", " a line\n", "Two.", ""),
        ("", "A beginning.", "One.", "\n"), ("One ", "more", "", ""), ("红", "楼", "梦", ""),
    ],
)  # fmt: skip
def test_continuation_is_put_in_with_the_space_that_is_missing(before: str, text: str, after: str, joint: str) -> None:
    vocabulary = tiny_model(symbols=tuple(" \n红楼梦")).vocabulary if before == "红" else tiny_model().vocabulary
    assert edits.joint(Text.of(before + after, TYPED), len(before), text, vocabulary) == joint


async def found(app: PlayingApp, needle: str) -> FindBar:
    """Look for ``needle`` once there is a line for it."""
    await app.until(lambda: bool(app.screen.query(FindBar)) and isinstance(app.screen.focused, Input))
    bar = app.screen.query_one(FindBar)
    bar.query_one("#find-needle", Input).value = needle
    return bar


async def test_the_bar_names_what_escape_does_now(model: Path) -> None:
    async with playing(model, paused=40) as app:

        async def names(words: str) -> None:
            await app.until(lambda: app.bar().split("[")[0].strip() == words)

        await write(app)
        await names("Esc hide suggestion  Play")
        await app.press("escape")
        await names("Esc Play")
        await app.go("cells", "escape", "x")
        for key, words in (("v", "hide why"), ("L", "hide list")):
            await app.press(key)
            await names(f"Esc {words}  Play")
            await app.press("escape")
            await names("Esc Play")


async def test_a_copy_that_has_learnt_from_the_text_suggests_in_write_until_it_is_switched_off(model: Path) -> None:
    before = model.read_bytes()
    async with playing(model, (120, 30), paused=5) as app:

        async def suggests(strength: float | None, other_than: str = "") -> None:
            await app.until(lambda: app.state.learnt_strength == strength)
            await app.until(lambda: app.state.suggestion not in ("", other_than))

        await write(app)
        app.screen.play.post_message(events.Paste("The sea and the morning. " * 12))
        await app.until(lambda: app.text.endswith("the morning. ") and bool(app.state.suggestion))
        text, own, levels = app.text, app.state.suggestion, app.screen.play.text_view.marks()
        await app.press("ctrl+b", says="learns, strength 1")
        await suggests(1.0, other_than=own)
        assert app.screen.play.text_view.marks() == levels, "the figures of the text are those of the model"
        await app.press("ctrl+b", says="A copy that learns from your text suggests, strength 2. Ctrl+B: learn more.")
        await suggests(2.0)
        learnt = app.player.learnt
        app.screen.play.post_message(events.Paste("Quite another one, and so on. " * 20))
        await app.until(lambda: app.player.learnt is not learnt)  # it has learnt again by itself
        await app.press("ctrl+b", says="Ctrl+B: fixed weights.")
        assert len(app.screen.message) <= 80 - 2, "all of it stands in the status line of a small terminal"
        await suggests(4.0)
        await app.press("ctrl+b", says="The model suggests with its fixed weights again.")
        await suggests(None)
        await app.press("ctrl+z", until=lambda: app.text == text and app.state.suggestion == own)
        assert "learns" not in app.status()
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
    async with playing(model, speed=60) as app:
        await app.until(lambda: app.state.running and app.state.length > 5)
        await app.burst("W", *"quite so", gives="quite so")  # of these q would quit in Play
        assert (app.screen.view_name, app.state.running, app.state.prime_length) == ("write", False, 0)
        assert not app.screen.play.text_view.shows_levels
        await app.press("f3", says="SURPRISE")
        assert app.screen.play.text_view.shows_levels
        await app.press("f3", says="F3 shows colours")
    async with playing(model) as app:
        assert app.prime == PRIME  # an empty one is not remembered of such a text


def test_a_continuation_has_no_rows_for_its_empty_lines() -> None:
    assert rows("\n\nhe said.\n\n\nShe\n\n") == "↵↵he said.↵↵↵\nShe↵↵"

"""A dialog answers once, whatever else is on the screen and however quick the keys are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textual.events import Paste
from textual.widgets import Input, OptionList

from charlstm.generation.reading import Continuation
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.setting_fields import setting_fields
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog, WaitDialog
from charlstm_tui.errors_dialog import ErrorsDialog
from charlstm_tui.generate.continuations_dialog import ContinuationsDialog
from charlstm_tui.generate.model_picker import ModelPicker
from charlstm_tui.generate.session_files import FORMATS
from charlstm_tui.player.played import Continuations
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.save_dialog import Format, SaveDialog
from driven_app import driven, question
from recorded_run import record


async def test_a_dialog_answers_once_and_in_its_turn(tmp_path: Path) -> None:
    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        answers: list[Any] = []

        async def answered(*expected: Any) -> None:
            await app.until(lambda: answers == list(expected) and app.screen is app.mode)
            answers.clear()

        first = question("first")
        await app.app.push_screen(first, answers.append)
        first.dismiss(True)  # two at once
        first.dismiss(None)
        await answered(True)

        below, above = question("below"), question("above")
        await app.app.push_screen(below, answers.append)
        await app.app.push_screen(above, answers.append)
        below.dismiss(True)  # a key that was meant for it came late
        await app.pilot.pause(0.05)
        assert app.screen is above
        await app.press("n", until=lambda: answers == [False])
        await app.press("escape")
        await answered(False, None)

        quick = question("quick")
        app.app.push_screen(quick, answers.append)
        quick.dismiss(True)  # before it is there
        await answered(True)

        choices = [Choice(word[0], word, word) for word in ("first", "second", "third")]
        app.app.push_screen(ChoiceDialog("Which one?", "", choices), answers.append)
        lines = (await app.shows("Which one?", "third")).splitlines()
        row = next(number for number, line in enumerate(lines) if "second" in line)
        await app.pilot.click(offset=(lines[row].index("second"), row))
        await answered("second")


async def test_long_dialogs_leave_room_for_the_keys_and_are_as_wide_as_their_answers(tmp_path: Path) -> None:
    name = "a-run-with-a-long-name-" + "x" * 60
    found = tuple(Continuation("words of a line " * 4 + "\n" + "and of another one " * 4, 1.5) for _ in range(6))
    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        await app.app.push_screen(ErrorsDialog([f"entry {number} is wrong" for number in range(200)]))
        await app.shows("entry 199 is wrong", "All errors are in", "Esc close")
        await app.press("escape")
        dialog = ContinuationsDialog("before", lambda first: None)
        await app.app.push_screen(dialog)
        dialog.show(Continuations(1, found, complete=True))
        await app.shows("words of a line", "r others", "Esc cancel")
        for text in ("One", "One that grows"):
            dialog.show(Continuations(1, (Continuation(text, 1.5),), complete=True))
        await app.shows("One that grows", "with these settings.   Enter put in   s")
        await app.press("escape")
        await app.app.push_screen(SaveDialog("Save", "novel.txt", FORMATS, "A sentence about where sessions are. " * 3))
        await app.shows(*(each.about for each in FORMATS), "Enter save")
        await app.press("escape")
        await app.resize(120, 36)
        await app.app.push_screen(ChoiceDialog("Start from", "", [Choice("1", name, 1), Choice("n", "new", 0)]))
        await app.shows(name)
        await app.press("escape")
        await app.app.push_screen(PromptDialog("A path", value=name, wide=True))
        await app.shows(name)
        await app.resize(60, 24)
        wide = app.screen.query_one(".dialog")
        await app.until(lambda: wide.region.right <= 60)
        line = app.screen.query_one(Input)
        line.value = ""
        line.post_message(Paste("x" * 20_000))  # a book is left out
        await app.press("!", until=lambda: line.value == "!")


async def test_a_dialog_that_is_left_while_it_opens_harms_nothing_and_after_leaving_no_key_acts(tmp_path: Path) -> None:
    formats = [Format(".txt", "the text"), Format(".md", "Markdown")]
    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        for dialog in (SaveDialog("Save", "a.txt", formats), question("quick")):
            app.app.push_screen(dialog)
            await app.app.pop_screen()
            await app.until(lambda dialog=dialog: not dialog.is_running)
        assert app.app.screen is app.mode
        app.app.push_screen(SaveDialog("Save", "a.txt", formats))
        app.app.exit()
        assert not app.mode.available()
        assert not app.app.check_action("do", ("app.quit",))
    assert app.app.return_code == 0


async def test_model_picker_opens_what_was_chosen_and_says_that_nothing_has_the_name(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", name="first", steps=10).run
    async with driven(tmp_path) as app:
        await app.until(lambda: bool(app.app.runs_state.runs))
        answers: list[Any] = []
        for opened in (str(run.path), None):
            picker = ModelPicker(app.app.runs_state, "")
            await app.app.push_screen(picker, answers.append)
            options = picker.query_one(OptionList)
            await app.until(lambda options=options: options.highlighted == 0)
            if opened:
                options.action_select()
                picker.fill("no such model")  # as when the line was typed in before the list's message came
                await app.until(lambda opened=opened: answers == [opened])
        await app.shows("the model in the box")
        await app.press(*"zzz", shows="Nothing here is called “zzz”.")
        await app.press("down", "enter")  # the sentence cannot be chosen
        await app.shows("There is no model or session called zzz")
        Path("novel.txt").touch()
        await app.answer("./novel.txt", shows="./novel.txt is no model or session: take one listed")
        assert app.screen is picker


async def test_keys_and_a_paste_reach_what_the_key_before_them_opens(tmp_path: Path) -> None:
    record(tmp_path, "finished", name="first", steps=10).close()
    async with driven(tmp_path) as app:
        await app.go("runs")
        await app.until(lambda: [view.name for view in app.app.runs_state.runs] == ["first"])
        app.burst("e", Paste("a note x"), "backspace", "q", "enter", "D", "escape")
        await app.until(lambda: app.app.runs_state.runs[0].notes.note == "a note q")
        app.burst("n", *"other", "enter", "ctrl+f", "slash", *"oth", "enter")  # there is no text to find something in
        await app.until(lambda: [view.name for view in app.app.runs_state.runs] == ["other"])
        await app.until(lambda: app.mode.query_one("#runs-filter", Input).value == "oth")
        app.burst("1", "o", *str(tmp_path), "enter", "question_mark", "escape", "colon", *"theme", "escape", "2")
        await app.in_mode("train")
        assert app.app.screen is app.mode


def test_rows_of_forms_and_lists_have_room_for_their_words_at_80_columns() -> None:
    """The last words were cut in the middle."""
    assert all(len(each.form or each.about) <= 33 for each in setting_fields(SamplerSettings).values())
    assert len(ModelPicker(RunsState(), set()).shown_name("a-long-name-of-a-run-that-was-given-by-hand")) <= 40


def test_a_bar_is_shown_once_something_is_done_of_a_known_total() -> None:
    shown: list[str] = []
    loop: Any = SimpleNamespace(call_soon_threadsafe=lambda update, content: shown.append(content.plain))
    dialog = WaitDialog("Fetching …", lambda progress: None)
    for done, total in ((0, 20), (5, 0), (5, 20)):
        dialog._show_done(loop, lambda: None, done, total)
    assert [text.split()[-1] for text in shown] == ["25%"]

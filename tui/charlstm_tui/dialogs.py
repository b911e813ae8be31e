"""Small modal screens: a question with a few answers, and one line of text to type. They know nothing of runs."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.events import Key, Paste
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm_tui.background import Check, in_thread
from charlstm_tui.clipboard import Copyable
from charlstm_tui.formatting import typed_path
from charlstm_tui.ordered_keys import TakesKeys
from charlstm_tui.safe_workers import SafeWorkers
from charlstm_tui.widgets.bars import bar
from charlstm_tui.widgets.path_input import PathSuggester
from charlstm_tui.widgets.text_input import LinesInput, TextInput
from charlstm_tui.widgets.textual_repairs import SteadyOptionList, SteadyScreen


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: a key, words in one line or several, and the value that the dialog returns."""

    key: str
    label: str
    value: Any


FRAME = 6
"""Columns of the border and padding of a dialog."""
BAR = 40
"""Columns of the bar that shows how far something is."""
USUAL_WIDTH, MOST_WIDTH = 64, 100
"""Columns of a dialog, and of one with long lines, where the terminal has as many."""


class Dialog(TakesKeys, SteadyScreen, ModalScreen[Any]):
    """Esc leaves it with ``None``."""

    BINDINGS: ClassVar = [("escape", "dismiss(None)", "cancel")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-medium")]  # noqa: RUF012
    _answered = False

    def on_mount(self) -> None:
        try:
            self.opened()
        except NoMatches:  # parts are missing when the dialog or the app was left before they were there
            if self.is_attached and self.app.is_running and self in self.app.screen_stack:
                raise

    def opened(self) -> None:
        """The dialog is there, with all its parts."""

    def copyable(self) -> Copyable | None:
        """What is copied while nothing is selected; ``None`` for nothing."""
        return None

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Answer, once: a second key that came at the same time must not take away the screen below as well."""
        if not self.is_mounted:  # a key that was quicker than the dialog
            self.dismiss_later(result)
        elif self.app.screen is self and not self._answered:  # a dialog below another dialog is not dismissed
            self._answered = True
            return super().dismiss(result)
        return AwaitComplete.nothing()

    def dismiss_later(self, result: Any) -> None:
        """Answer once the messages before this are done, such as the answer of a dialog above."""
        self.call_later(self._dismiss_now, result)

    def _dismiss_now(self, result: Any) -> None:
        self.dismiss(result)  # not awaited, which a screen cannot do itself

    def show_problem(self, sentence: str) -> None:
        """Say, in the dialog's line for that, what is wrong with what is typed; empty for nothing."""
        error = self.query_one(".dialog-error", Static)
        error.update(Content(visible(sentence)))
        error.display = bool(sentence)

    def action_do(self, name: str) -> None:
        """Actions of the table do not act through a dialog; the app's own do."""


def ask(asker: Widget | App[Any], dialog: Dialog, then: Callable[[Any], object]) -> None:
    """Show a dialog, and give its answer to ``then`` unless it was left. A coroutine that this gives is a worker of the
    asker."""
    asker.app.push_screen(dialog, partial(_answered, asker, then))


def _answered(asker: Widget | App[Any], then: Callable[[Any], object], answer: Any) -> None:
    outcome = None if answer is None else then(answer)
    if inspect.iscoroutine(outcome):
        asker.run_worker(outcome, group="asked")


class ChoiceDialog(Dialog):
    """A question; arrows and Enter, a click, or an answer's key. Returns the choice's value, or ``None``. ``cursor`` is
    the choice that is highlighted at first."""

    def __init__(self, title: str, about: str | Content, choices: Sequence[Choice], cursor: int = 0) -> None:
        super().__init__()
        self._cursor = cursor
        self._title = visible(title, keep="")
        self._about = about if isinstance(about, Content) else Content(visible(about))
        self._choices = tuple(choices)

    def compose(self) -> ComposeResult:
        dialog = Vertical(classes="dialog")
        labels = [visible(each.label).replace("\n", "\n     ") for each in self._choices]
        longest = max(Content(line).cell_length for line in (self._title, *(" " * 5 + each for each in labels)))
        dialog.styles.width = min(MOST_WIDTH, max(USUAL_WIDTH, longest + FRAME))  # the style sheet has the terminal's
        with dialog:
            yield Static(Content(self._title), classes="dialog-title")
            if self._about.plain:
                yield Static(self._about, classes="dialog-text")
            yield SteadyOptionList(
                *(
                    Option(Content.assemble((f"{choice.key:>3}  ", "bold"), label))
                    for choice, label in zip(self._choices, labels, strict=True)
                ),
                compact=True,
            )
            yield Static(Content("Enter choose   Esc cancel"), classes="dialog-keys")

    def opened(self) -> None:
        self.query_one(OptionList).highlighted = self._cursor

    def on_key(self, event: Any) -> None:
        for choice in self._choices:
            if event.character == choice.key:
                event.stop()
                self.dismiss(choice.value)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index].value)


class WaitDialog(SafeWorkers, Dialog):
    """Shows a sentence while ``job`` runs in a thread, and returns its result, or the :class:`CharLSTMError` that it
    raised; ``None`` after Esc. Keys wait meanwhile. The job calls its argument with (done, total), and a bar is shown
    once something is done of a known total; after Esc that call raises :class:`Cancelled`."""

    def __init__(self, words: str, job: Callable[[Callable[[int, int], None]], Any]) -> None:
        super().__init__()
        self._words, self._job = visible(words, keep=""), job
        self._line, self._shown = Static(Content(self._words)), Content()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield self._line
            yield Static(Content("Esc cancel"), classes="dialog-keys")

    def opened(self) -> None:
        self.run_worker(self._wait())

    async def _wait(self) -> None:
        result, loop = None, asyncio.get_running_loop()
        try:
            result = await in_thread(lambda check: self._job(partial(self._show_done, loop, check)))
        except CharLSTMError as error:
            result = error
        finally:
            self.dismiss_later(result)

    def _show_done(self, loop: asyncio.AbstractEventLoop, check: Check, done: int, total: int) -> None:
        check()
        if not done or not total:
            return
        drawn = (bar(done / total, BAR).ljust(BAR, "░"), "$primary")
        content = Content.assemble(self._words, "\n\n", drawn, f" {done / total:4.0%}")
        if content != self._shown:
            self._shown = content
            loop.call_soon_threadsafe(self._line.update, content)

    def keys_wait(self, event: Key | Paste) -> bool:
        return not isinstance(event, Key) or event.key != "escape"


class PromptDialog(Dialog):
    """One line of text. Returns it, or ``None``. ``check`` returns a sentence, or raises :class:`CharLSTMError`, if the
    text is not accepted. ``wide`` is for what can be long, such as a path; with ``lines`` Ctrl+J types a line break."""

    def __init__(
        self,
        title: str,
        about: str = "",
        value: str = "",
        placeholder: str = "",
        check: Callable[[str], object] | None = None,
        suggester: Suggester | None = None,
        wide: bool = False,
        lines: bool = False,
    ) -> None:
        super().__init__()
        self._title, self._about = visible(title, keep=""), visible(about)
        self._classes_of_dialog = "dialog wide" if wide or suggester is not None else "dialog"
        self._value, self._placeholder = value, placeholder
        self._check, self._suggester, self._lines = check, suggester, lines

    def compose(self) -> ComposeResult:
        with Vertical(classes=self._classes_of_dialog):
            yield Static(Content(self._title), classes="dialog-title")
            if self._about:
                yield Static(Content(self._about), classes="dialog-text")
            field = LinesInput if self._lines else TextInput
            yield field(self._value, placeholder=self._placeholder, suggester=self._suggester, compact=True)
            yield Static(Content(""), classes="dialog-error")
            more = "   Tab complete" if self._suggester else "   Ctrl+J new line" if self._lines else ""
            yield Static(Content(f"Enter accept{more}   Esc cancel"), classes="dialog-keys")

    def key_tab(self) -> None:
        """Accept the suggestion."""
        self.query_one(Input).action_cursor_right()

    @on(Input.Changed)
    def _changed(self) -> None:
        self.show_problem("")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.input.text if isinstance(event.input, LinesInput) else event.value
        try:
            sentence = self._check(text) if self._check else None
        except CharLSTMError as error:
            sentence = str(error)
        except OSError as error:  # such as of a relative path, when the working folder has gone
            sentence = f"{error.strerror or error}."
        if isinstance(sentence, str):
            self.show_problem(sentence)
        else:
            self.dismiss(text)


class PathDialog(PromptDialog):
    """The path of a file that exists; Tab completes it. Returns it as it was typed, or ``None``."""

    def __init__(self, title: str, about: str, check: Callable[[str], object] | None = None) -> None:
        super().__init__(title, about, placeholder="path", check=check or _is_file, suggester=PathSuggester())


def _is_file(typed: str) -> str | None:
    return None if os.path.isfile(typed_path(typed)) else f"There is no file {typed.strip() or 'without a name'}."

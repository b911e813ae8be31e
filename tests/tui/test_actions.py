"""The one table of actions: no key with two meanings, a handler behind every entry, keys as people read them."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest
from textual.binding import Binding

from charlstm_tui.actions import ACTIONS, ANYWHERE, BY_ID, FOCUSES, MODES, Action, active, bindings, key_name
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.base import ModeScreen
from charlstm_tui.corpus.texts_view import TextsView
from charlstm_tui.generate.branch_tree import BranchTree
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.cells_view import CellsView
from charlstm_tui.generate.context_view import ContextView
from charlstm_tui.generate.duel_view import DuelView
from charlstm_tui.generate.learning import Learning
from charlstm_tui.generate.multiverse_view import MultiverseView
from charlstm_tui.generate.play_view import PlayView
from charlstm_tui.generate.played_text import PlayedText
from charlstm_tui.generate.score_view import ScoreView
from charlstm_tui.generate.writing import Writing
from charlstm_tui.runs.overlay import OverlayPane
from charlstm_tui.runs.table_view import TableView
from charlstm_tui.train.setup_pane import SetupPane
from charlstm_tui.train.watch_view import WatchView
from driven_app import driven
from recorded_run import record

VIEWS_OF_SCOPE: dict[str, tuple[type, ...]] = {
    "corpus": (TextsView,),
    "train": (WatchView,),
    "train.before": (SetupPane,),
    "train.live": (WatchView,),
    "train.after": (WatchView,),
    "runs": (TableView,),
    "runs.overlay": (OverlayPane,),
    "generate": (PlayView, DuelView),
    "generate.cells": (CellsView,),
    "generate.reading": (ScoreView, CellsView, ContextView),
    "generate.model": (PlayView, ScoreView, CellsView),
    "generate.duel": (DuelView,),
    "generate.multiverse": (MultiverseView,),
    "generate.score": (ScoreView,),
    "generate.play": (PlayView,),
    "generate.text": (PlayView, PlayedText),
    "generate.choices": (PlayView, Candidates),
    "generate.tree": (BranchTree,),
    "generate.write": (PlayView, Writing, Learning),
    "generate.write.suggestion": (Writing,),
}


def screen_class(mode: str) -> type[ModeScreen]:
    module = importlib.import_module(f"charlstm_tui.{mode}.screen")
    found: type[ModeScreen] = getattr(module, f"{mode.capitalize()}Screen")
    return found


@pytest.mark.parametrize("focus", FOCUSES)
def test_no_key_has_two_meanings_in_one_focus(focus: str) -> None:
    meanings: dict[str, list[str]] = {}
    for action in active(FOCUSES[focus]):
        for key in action.keys:
            meanings.setdefault(key, []).append(action.id)
    assert not {key: actions for key, actions in meanings.items() if len(actions) > 1}


def test_every_scope_occurs_in_a_focus_and_every_action_has_a_key() -> None:
    assert {action.scope for action in ACTIONS} <= {scope for focus in FOCUSES.values() for scope in focus}
    assert all(action.keys for action in ACTIONS)
    assert not [name for name, times in Counter(action.id for action in ACTIONS).items() if times > 1]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_every_action_has_a_handler(action: Action) -> None:
    targets = [screen_class(action.mode), *VIEWS_OF_SCOPE.get(action.scope, ())] if action.mode else [CharLSTMApp]
    names = ", ".join(target.__name__ for target in targets)
    missing = f"do_{action.handler} is missing in {names}, where VIEWS_OF_SCOPE has the scope {action.scope}"
    assert any(callable(getattr(each, f"do_{action.handler}", None)) for each in targets), missing


def test_every_mode_binds_its_part_of_the_table_and_no_letter_runs_before_an_input() -> None:
    for mode, _ in MODES:
        bound = {binding.id for binding in screen_class(mode).BINDINGS if isinstance(binding, Binding)}
        assert {action.id for action in ACTIONS if action.mode == mode} <= bound
    for binding in (*CharLSTMApp.BINDINGS, *bindings(*(mode for mode, _ in MODES))):
        assert isinstance(binding, Binding)
        if binding.priority:
            assert BY_ID[binding.id or ""].scope == ANYWHERE
            assert all("ctrl+" in key or key == "f1" for key in binding.key.split(","))


def test_modes_have_no_function_keys_and_nothing_needs_option_home_or_end() -> None:
    for action in ACTIONS:
        assert not set(action.keys) <= {"home", "end"}
        for key in action.keys:
            assert "alt+" not in key
            function_key = key.startswith("f") and key[1:].isdecimal()
            assert not function_key or action.handler in ("help", "give_title")  # F2 as in the list of sessions


def test_footers_have_an_order_without_ties_and_labels_are_short() -> None:
    for focus, scopes in FOCUSES.items():
        order = Counter(action.footer for action in active(scopes) if action.footer)
        assert not [place for place, times in order.items() if times > 1], focus
    assert all(0 < len(action.label) <= 16 and action.help.endswith(".") for action in ACTIONS)


def test_keys_are_named_as_people_read_them() -> None:
    assert [key_name(key) for key in ("ctrl+right", "T", "t", "question_mark", "ctrl+s", "shift+tab", "left")] == [
        "Ctrl+→",
        "T",
        "t",
        "?",
        "Ctrl+S",
        "Shift+Tab",
        "←",
    ]


async def test_action_acts_only_where_a_part_of_the_view_or_the_screen_carries_it_out(places: Path) -> None:
    record(places, "finished").close()
    chart, start = BY_ID["train.log_axis"], BY_ID["train.start"]
    async with driven(places) as app:
        app.app.attach(places / "novel-quick-1")
        await app.in_mode("train")
        await app.until(lambda: app.mode.view.id == "watch")
        assert app.mode.can(chart)
        assert not app.mode.can(start)
        app.app.attach(None)
        await app.until(lambda: app.mode.view.id == "setup")
        assert not app.mode.can(chart)

"""The one table of actions: no key with two meanings, a handler behind every entry, keys as people read them."""

import importlib
from collections import Counter
from pathlib import Path

from textual.binding import Binding

from charlstm_tui.actions import ACTIONS, ANYWHERE, BY_ID, COMMON, MODES, SCOPES, active, bindings, key_name, keys_in
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.runs.screen import RunsScreen
from driven_app import driven
from recorded_run import record


def test_a_letter_has_one_meaning_in_all_views_of_a_mode() -> None:
    """The first word of a label says what it means: "open text" and "open model" are one."""
    meanings: dict[tuple[str, str], set[str]] = {}
    for action in ACTIONS:
        for key in action.keys:
            if action.mode and len(key) == 1 and key.isalpha():
                meanings.setdefault((action.mode, key), set()).add(action.label.split()[0])
    assert not {place: words for place, words in meanings.items() if len(words) > 1}


def test_keys_that_write_start_no_action_while_something_is_typed() -> None:
    free, typing = (keys_in((*COMMON, "train"), typing) for typing in (False, True))
    assert {"2", "q", "tab", "ctrl+q"} - free == set()
    assert {"2", "q", "tab", "ctrl+q"} & typing == {"tab", "ctrl+q"}


def test_every_action_has_a_key_and_an_id_of_its_own() -> None:
    assert all(action.keys for action in ACTIONS)
    assert not [name for name, times in Counter(action.id for action in ACTIONS).items() if times > 1]


async def test_every_action_has_a_handler_and_what_it_needs_in_each_view_that_has_its_scope(places: Path) -> None:
    record(places, "finished").close()
    found: set[str] = set()
    views: set[str] = set()
    async with driven(places) as app:
        for mode, _ in MODES:
            await app.go(mode)
            if isinstance(app.mode, RunsScreen):
                await app.mode.do_overlay()  # makes that view
            views |= app.mode.views.keys()
            of_screen = app.mode.has().keys() - app.mode.view.has().keys()
            for name, scopes in SCOPES.items():
                view = app.mode.views.get(name.partition(",")[0])
                for action in active(scopes) if view is not None else ():
                    in_mode = app.mode if action.by == "screen" else view.part(action.by)
                    assert hasattr(app.app if action.mode is None else in_mode, f"do_{action.handler}"), action.id
                    found.add(action.id)
                    if action.needs and name.partition(",")[0] != "play":  # which plays nothing here
                        assert action.needs in {*view.has(), *of_screen}, action.id
    assert found == BY_ID.keys()
    assert views == {name.partition(",")[0] for name in SCOPES}


def test_every_mode_binds_its_part_of_the_table_and_no_letter_runs_before_an_input() -> None:
    for mode, _ in MODES:
        screen = getattr(importlib.import_module(f"charlstm_tui.{mode}.screen"), f"{mode.capitalize()}Screen")
        bound = {binding.id for binding in screen.BINDINGS if isinstance(binding, Binding)}
        assert {action.id for action in ACTIONS if action.mode == mode} <= bound
    for binding in (*CharLSTMApp.BINDINGS, *bindings(*(mode for mode, _ in MODES))):
        assert isinstance(binding, Binding)
        if binding.priority:
            assert BY_ID[binding.id or ""].scope == ANYWHERE
            assert all("ctrl+" in key or key == "f1" for key in binding.key.split(","))


def test_footers_have_an_order_without_ties_and_labels_are_short() -> None:
    for view, scopes in SCOPES.items():
        order = Counter(action.footer for action in active(scopes) if action.footer)
        assert not [place for place, times in order.items() if times > 1], view
    assert all(0 < len(action.label) <= 16 and action.help.endswith(".") for action in ACTIONS)


def test_keys_are_named_as_people_read_them() -> None:
    keys = ("ctrl+right", "T", "t", "question_mark", "ctrl+s", "shift+tab", "left")
    assert [key_name(key) for key in keys] == ["Ctrl+→", "T", "t", "?", "Ctrl+S", "Shift+Tab", "←"]

"""The configuration in the app, and what the app remembers from one start to the next."""

import json
import re
from pathlib import Path

import pytest
from textual.widgets import TextArea

from charlstm_tui.app import CharLSTMApp
from charlstm_tui.app_state import AppState, load_state, save_state, state_file
from charlstm_tui.errors_dialog import ErrorsDialog
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.theme import DARK
from driven_app import driven
from playing_app import playing
from recorded_run import record


async def test_app_starts_as_configured(places: Path, config: Path, tmp_path: Path) -> None:
    (tmp_path / "poems.txt").write_text("a b c\n" * 400)
    config.write_text(f'theme = "nord"\nloss_unit = "bits"\nstart_folder = "{tmp_path}"\npreset = "standard"\n')
    async with driven(places) as app:
        await app.shows("poems.txt")
        assert (app.app.theme, app.app.bits) == ("nord", True)
        app.app.choose_theme("dracula")
        await app.shows("The next start has the theme of the")
        await app.go("train")
        assert app.mode.setup.state.choices.preset == "standard"
    assert config.read_text().startswith('theme = "nord"')  # never written
    assert CharLSTMApp().theme == "nord"


async def test_wrong_entries_are_sentences_with_file_and_line_and_the_app_starts(places: Path, config: Path) -> None:
    wrong = 'loss_unit = "octets"\ntheme = "nrod"\nstart_folder = "/no/such/folder"\n[keys]\n"corpus.use" = "strg+x"\n'
    config.write_text(wrong)
    async with driven(places, (160, 40)) as app:
        await app.in_mode("corpus")
        assert (app.app.theme, app.app.bits) == (DARK.name, False)
        await app.shows("Enter play", "4 entries of the configuration are wrong: ! lists them.")
        assert sum(f"{config}, line " in each.message for each in app.app._notifications) == 3, "as many as fit"
        await app.press("exclamation_mark", until=lambda: isinstance(app.screen, ErrorsDialog))
        sentences = app.screen.query_one(TextArea).text
        for line, words in ((1, "nats or bits"), (2, "did you mean nord?"), (3, "no folder /no/such"), (5, "'strg+x'")):
            assert re.search(rf"{config}, line {line}: .*{re.escape(words)}", sentences), sentences


async def test_colouring_and_speed_of_the_configuration_win_over_remembered_ones(places: Path, config: Path) -> None:
    save_state({"preferences": Preferences(speed=30.0, colouring="rank").to_dict()})
    config.write_text('colouring = "entropy"\nspeed = 15\n')
    async with playing("demo", speed=None) as session:
        assert (session.state.speed, session.screen.play.scale.name) == (15, "entropy")


async def test_theme_sort_smoothing_and_folder_are_remembered(places: Path, tmp_path: Path) -> None:
    record(places, "finished").close()
    inner = Path.cwd() / "inner"
    inner.mkdir()
    (inner / "diary.txt").write_text("a b c\n" * 400)
    async with driven(places) as app:
        await app.go("runs")
        await app.press("colon", *"theme", shows="Change the current theme")
        await app.press("enter", shows=("Which theme?", "charlstm  is on"))
        await app.press("down")
        await app.until(lambda: app.app.theme == "ansi-dark")  # drawn as one walks, and so is the list
        await app.until(lambda: app.screen.query_one("ThemePalette > Vertical").styles.background.a == 0)
        await app.press("escape", until=lambda: app.app.theme == "charlstm" and not app.app.remembered.theme)
        app.app.search_themes()
        await app.shows("Which theme?")
        await app.press(*"gruvbox", until=lambda: app.text().count("gruvbox") > 1)
        await app.press("enter", until=lambda: app.app.theme == "gruvbox" and app.screen is app.mode)
        await app.press("s")
        await app.press("enter", mode="train", shows="smoothing: light")
        await app.press("s", shows="smoothing: medium")
        await app.press("1", mode="corpus")
        app.mode.texts_view.browse(inner)
        await app.shows("diary.txt")
    async with driven(places) as app:
        await app.go("runs")
        assert app.app.theme == "gruvbox"
        assert app.mode.table.sort.title == "BEST"
        await app.press("enter", shows="smoothing: medium")
        await app.press("1", shows="diary.txt")


def test_folder_is_not_that_of_another_start(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (other, one):
        folder.mkdir()
        monkeypatch.chdir(folder)
    save_state({"folder": str(tmp_path / "elsewhere"), "folder_from": str(one)})
    assert CharLSTMApp().first_folder() == one  # a folder that is gone
    save_state({"folder": str(tmp_path), "folder_from": str(one)})
    assert CharLSTMApp().first_folder() == tmp_path
    monkeypatch.chdir(other)
    assert CharLSTMApp().first_folder() == other


def test_changes_leave_what_others_wrote() -> None:
    save_state({"theme": "nord"})
    save_state({"smoothing": "light"})
    assert load_state() == AppState(theme="nord", smoothing="light")
    save_state({"theme": "dracula"})
    assert load_state() == AppState(theme="dracula", smoothing="light")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"theme": 3, "runs_sort_reverse": "yes"}', "[" * 100_000])
def test_damaged_file_is_no_error_and_is_replaced(content: str) -> None:
    state_file().parent.mkdir(parents=True, exist_ok=True)
    state_file().write_text(content)
    assert load_state() == AppState()
    save_state({"theme": "nord"})
    assert load_state().theme == "nord"


def test_file_of_a_newer_version_is_left_alone() -> None:
    state_file().parent.mkdir(parents=True, exist_ok=True)
    state_file().write_text(json.dumps({"format": 2, "theme": "nord"}))
    assert load_state() == AppState()
    save_state({"theme": "dracula"})
    assert json.loads(state_file().read_text()) == {"format": 2, "theme": "nord"}

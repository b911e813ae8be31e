"""Keys that the user configured: they act, and every place that names a key names them."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.binding import BindingsMap
from textual.widgets import Input, OptionList

from charlstm.config import load_config
from charlstm_tui.actions import ACTIONS, BY_ID, active, bindings, key_of, use_keys
from charlstm_tui.keymap import checked_keys, key_code, textual_keymap
from charlstm_tui.main import command
from charlstm_tui.palette import relevance
from driven_app import driven
from recorded_run import record


def checked(**keys: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    problems: list[str] = []
    configured = {name.replace("__", "."): tuple(each.split()) for name, each in keys.items()}
    return checked_keys(configured, lambda name, problem: problems.append(problem)), problems


async def test_configured_keys_act_and_are_named_everywhere(places: Path, config: Path) -> None:
    record(places, "finished").close()
    config.write_text(
        '[keys]\n"corpus.use" = "ctrl+g"\ncorpus.open_path = "y"\n"train.resume" = "v"\n"train.play" = "ctrl+y"\n'
        '"app.mode_generate" = "5"\n"app.help" = "f4"\n"app.quit" = "f6"\n"app.mode_corpus" = "0"\n'
    )
    async with driven(places) as app:
        await app.go("runs")
        await app.press("1")  # has no meaning any more
        await app.press("0", mode="corpus", shows=("Ctrl+G play", "y open path"))
        await app.press("o")
        await app.pilot.pause()
        assert app.screen is app.mode
        await app.press("y", shows="Open a text")
        await app.press("escape", "f4", shows=("Corpus: keys", "Ctrl+G"))
        await app.press("escape", "ctrl+p", *"open path", shows="[y]")
        await app.press("escape", "ctrl+c", shows="F6 quits")
        app.app.attach(places / "novel-quick-1")
        await app.in_mode("train")
        await app.shows("Ctrl+Y play")
        assert key_of("train.resume") == "v"


async def test_palette_carries_out_actions_of_other_modes_and_knows_other_words(places: Path, config: Path) -> None:
    record(places, "finished").close()
    async with driven(places) as app:
        await app.go("runs")
        await app.go("corpus")
        for typed, shown in (("npth", "Open path"), ("clipboard", "Copy"), ("export", "Generate: save")):
            await app.press("slash")  # from inside a text field
            await app.press("ctrl+p", until=lambda: app.screen is not app.mode)
            app.screen.query_one(Input).value = typed
            found = app.screen.query_one(OptionList)
            await app.until(lambda found=found: found.option_count < 8)
            await app.until(lambda found=found, shown=shown: any(shown in str(each.prompt) for each in found.options))
            await app.press("escape", "escape")
        await app.press("ctrl+p", *"runs: sort", shows="Runs: sort")
        await app.press("enter", mode="runs", shows="sort: best first")
        await app.press("ctrl+p", *"train: pause", shows="Train: pause")
        await app.press("enter", mode="train", shows="nothing for “pause” to act on")


def test_keymap_leaves_every_other_binding_as_it_is() -> None:
    """As Textual would have it, a key that one action leaves is lost to all others of the screen."""
    chosen: dict[str, tuple[str, ...]]
    for chosen in ({}, {"train.pause": ("p",)}, {"generate.stream": ("f5",)}, {"runs.sort": ("j", "J")}):
        use_keys(chosen)
        for head in ("train", "generate", "runs"):
            bound = BindingsMap(bindings(head))
            bound.apply_keymap(textual_keymap(chosen))
            found = {(key, each.id) for key, all_of in bound.key_to_bindings.items() for each in all_of}
            mine = [action for action in ACTIONS if action.mode == head]
            assert found == {(key, action.id) for action in mine for key in action.keys}


def test_clash_is_a_sentence_and_the_default_stays() -> None:
    assert checked(train__pause="s") == ({}, ["s is the key of train.smoothing already; train.pause stays on Space"])
    exchanged = {"train.smoothing": ("o",), "train.others": ("s",)}
    assert checked(train__smoothing="o", train__others="s") == (exchanged, [])


def test_two_actions_with_the_same_key_by_default_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyError ended the app."""
    double = replace(BY_ID["train.smoothing"], id="train.double")
    monkeypatch.setattr("charlstm_tui.actions.ACTIONS", (*ACTIONS, double))
    monkeypatch.setattr("charlstm_tui.keymap.active", active.__wrapped__)
    message = "s is the key of both train.smoothing and train.double, which act at the same time: give one of them"
    with pytest.raises(ValueError, match=message):
        checked()


def test_action_and_key_that_do_not_exist_are_sentences() -> None:
    assert checked(generate__undoo="f5") == ({}, ["There is no action 'generate.undoo': did you mean generate.undo?"])
    assert checked(app__back="esc") == ({}, ["There is no key 'esc': did you mean escape?"])
    misplaced = "theme is an entry of its own, not the key of an action: put its line above [keys]"
    assert checked(theme="nord") == ({}, [misplaced])


def test_letter_is_refused_for_what_acts_in_text_fields() -> None:
    assert checked(app__quit="x") == ({}, ["app.quit acts in text fields too, where x is typed; use a key with Ctrl"])
    assert checked(app__quit="f10") == ({"app.quit": ("f10",)}, [])


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("p", "p"), ("P", "P"), ("/", "slash"), (",", "comma"), ("Space", "space"), (" ", "space"), ("F5", "f5"),
        ("Ctrl+S", "ctrl+s"), ("ctrl+/", "ctrl+slash"), ("+", "plus"), ("ctrl++", "ctrl+plus"), ("ä", "ä"),
        ("PageUp", "pageup"), ("question_mark", "question_mark"), ("Escape", "escape"),
        ("esc", None), ("ctrl+i", None), ("strg+s", None), ("spcae", None), ("ctrl+", None),
    ],
)  # fmt: skip
def test_keys_are_written_as_people_write_them(written: str, code: str | None) -> None:
    assert key_code(written) == code


@pytest.mark.parametrize(
    ("typed", "mode", "first"),
    [
        ("undo", "generate", "generate.undo"), ("copy", "generate", "app.copy"), ("exit", "corpus", "app.quit_key"),
        ("temp", "generate", "generate.temperature_down"), ("speed", "generate", "generate.faster"),
        ("learning rate", "train", "train.rate"), ("save chart", "train", "train.save_chart"),
    ],
)  # fmt: skip
def test_palette_finds_words_not_letters(typed: str, mode: str, first: str) -> None:
    scores = {
        action.id: relevance(typed, action.label, action.words, action.help)
        for action in ACTIONS
        if action.palette and action.mode in (None, mode)
    }
    assert max(scores, key=lambda name: scores[name]) == first
    assert sum(score > 0 for score in scores.values()) <= 4


def test_printed_keys_are_a_configuration_of_the_default_ones(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--keys"], standalone_mode=False) == 0
    config.write_text(printed := capsys.readouterr().out, encoding="utf-8")
    assert {'"space"', '"/"'} <= set(printed.split())
    problems: list[str] = []
    chosen = checked_keys(load_config()[0].keys, lambda name, problem: problems.append(problem))
    assert (load_config()[1], problems) == ((), [])
    assert chosen == {action.id: action.default_keys for action in ACTIONS}

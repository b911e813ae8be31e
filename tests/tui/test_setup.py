"""What Train offers before a run, as a value: what follows from the text and the choices, and what stays measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm.model.file import ModelConfig
from charlstm.runs.folder import Run
from charlstm.runs.start_models import StartModel
from charlstm.runs.status import RunStatus
from charlstm.training.presets import DEFAULT, PRESETS, preset
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.formatting import count
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train.run_plan import origin_words, preset_rows, warnings, without_effect_words
from charlstm_tui.train.setup import RunChoices, Setup, TextFacts
from charlstm_tui.train.setup_pane import head_line, loss_bars

TEXT = CorpusChoice("/texts/sea.txt", "sea.txt")
BOX = StartModel("demo", Path("demo.safetensors"), ModelConfig(90, 512, 2), loss=1.3, pairs=2.4, read=0.0, symbols=95)
OLDER = replace(BOX, name="older", path=Path("/runs/older/model.safetensors"), config=ModelConfig(90, 8, 1))
SETUP = Setup(TEXT, TextFacts(27_000, 25, {}), references=(("order 0", 3.1),))
QUICK = list(PRESETS).index("quick")
BOXED = replace(SETUP, facts=TextFacts(27_000, 25, {}, BOX))


def with_costs(setup: Setup, slowdown: float = 1.0) -> Setup:
    """What the presets cost as they are is measured."""
    figures = {"seconds": 61.0, "memory_bytes": 345e6, "chars_per_second": 23_456.0, "slowdown": slowdown}
    costs: dict[str, dict[str, Any]] = {name: {"name": name, **figures} for name in PRESETS}
    return replace(setup, measured={setup.costs_key({}): costs})


def test_text_can_be_started_before_it_is_read_and_not_when_it_cannot_be() -> None:
    assert not Setup().startable
    unread = Setup(TEXT)
    assert (unread.startable, unread.ready) == (True, False)
    assert (SETUP.startable, SETUP.ready) == (True, True)
    assert not replace(unread, problem="There is no file").startable


def test_preset_starts_from_the_model_in_the_box_where_it_helps_and_else_from_nothing() -> None:
    assert SETUP.start is None
    assert not SETUP.can_choose_start
    assert (BOXED.start, BOXED.settings.hidden_size, BOXED.changes) == (BOX, 512, 0)
    assert preset_rows(BOXED)[0]["WEIGHTS"] == count(ModelConfig(95, 512, 2).parameters)
    nothing = BOXED.choose(replace(BOXED.choices, from_nothing=True))
    assert (nothing.start, nothing.changes, nothing.can_choose_start) == (None, 1, True)
    assert nothing.settings.hidden_size < 512
    assert BOXED.settings.lr < nothing.settings.lr
    assert BOXED.choose(RunChoices("reference")).start is None
    own = BOXED.choose(RunChoices(changes={"hidden_size": 64}))
    assert (own.start, own.settings.lr) == (None, PRESETS["quick"].settings(27_000, 25).lr)


def test_chosen_model_decides_the_network() -> None:
    chosen = BOXED.choose(RunChoices(start_from=OLDER, changes={"hidden_size": 64}))
    assert (chosen.settings.num_layers, chosen.settings.hidden_size, chosen.changes) == (1, 8, 1)
    effects = without_effect_words(TEXT, chosen.choices)
    assert effects["hidden_size"] == "the network is that of older"
    assert origin_words(chosen.choices) == "from older"


def test_value_that_another_preset_has_itself_is_no_change_there() -> None:
    longer = SETUP.choose(RunChoices(changes={"max_minutes": 10.0}))
    assert longer.changes == 1
    assert longer.choose(replace(longer.choices, preset="standard")).changes == 0


def test_limit_of_the_rate_never_raises_it() -> None:
    """Before the text was read it was compared with the preset's rate from nothing, which is higher."""
    limited = Setup(TEXT, choices=RunChoices(highest_rate=3e-3))
    assert limited.settings.lr == 3e-3
    assert replace(limited, facts=BOXED.facts).settings.lr == BOXED.usual.lr < 3e-3
    assert replace(limited, choices=RunChoices(highest_rate=5e-4), facts=BOXED.facts).settings.lr == 5e-4
    edited, _ = limited.choices.edited(limited.settings, limited.settings.with_changes(lr=1e-2), limited.usual)
    assert limited.choose(edited).settings.lr == 1e-2


def test_figures_stay_as_long_as_they_are_those_of_the_choices() -> None:
    measured = with_costs(BOXED)
    assert measured.choose(RunChoices("best")).is_measured
    seed = measured.choose(RunChoices(changes={"seed": 5}))
    assert (bool(seed.costs), bool(seed.own_costs), seed.is_measured) == (True, False, False)
    nothing = measured.choose(RunChoices(from_nothing=True))
    assert (bool(nothing.costs), nothing.is_measured) == (False, False)
    assert nothing.choose(RunChoices()).is_measured
    held_out = measured.choose(RunChoices(changes={"val_fraction": 0.5}))
    assert (bool(held_out.costs), held_out.references) == (True, None)


def test_command_that_measures_has_the_text_the_changes_and_the_start() -> None:
    corpus = replace(TEXT, clean=True, strip_boilerplate=False, lines="keep", encoding="latin-1", validation=("v.txt",))
    setup = replace(BOXED, corpus=corpus)
    read = ("--no-strip-boilerplate", "--lines", "keep", "--clean", "--encoding", "latin-1", "--val-file", "v.txt")
    assert setup.presets_command({}) == [TEXT.source, *read, "--set", "niceness=10"]
    as_units = replace(BOXED, corpus=replace(TEXT, units="lines"))
    assert as_units.presets_command({}) == [TEXT.source, "--split-units", "lines", "--set", "niceness=10"]
    nothing = BOXED.choose(RunChoices(from_nothing=True, changes={"seed": 5}))
    command = [TEXT.source, "--set", "niceness=10", "--set", "seed=5", "--from", "none"]
    assert nothing.presets_command(nothing.differences) == command


def test_busy_processor_is_named_and_more_time_offered_once() -> None:
    busy = with_costs(SETUP, 2.1)
    assert busy.can_train_longer
    [words] = warnings(busy, {"more_time": "m", "generate": "3"})
    assert "about 2 times slower. m gives it 2:00; 3 plays the model in the box" in words
    longer = busy.choose(busy.lengthen())
    assert (longer.settings.max_minutes, longer.can_train_longer, longer.slowdown) == (2.0, False, 2.1)
    assert not with_costs(SETUP).can_train_longer
    assert warnings(with_costs(SETUP), {}) == []
    live = RunView(Run(Path("/runs/first")), RunStatus(state="running", alive=True))
    beside = replace(busy, live=(live,))
    assert not beside.can_train_longer
    assert warnings(beside, {})[0].startswith("first is training: a new run would share")


def test_risks_are_named_before_the_start() -> None:
    read = replace(BOXED, facts=TextFacts(27_000, 25, {}, replace(BOX, read=0.87)))
    assert warnings(read, {})[0].startswith("Losses will be too low: the model in the box has read 87 %")
    assert warnings(read.choose(RunChoices(from_nothing=True)), {}) == []
    fast = SETUP.choose(RunChoices(changes={"lr": 40 * preset(DEFAULT).lr}))
    assert "times the preset's" in warnings(fast, {})[0]


def test_time_that_is_not_measured_yet_is_at_most_the_limit_and_rough_figures_are_marked() -> None:
    row = preset_rows(SETUP.choose(RunChoices(changes={"epochs": 3.0})))[QUICK]
    assert (row["TIME"], row["CHARS/S"]) == ("≤ 1:00", "…")
    rough = preset_rows(with_costs(SETUP, 1.4))[QUICK]
    assert (rough["TIME"], rough["CHARS/S"]) == ("~1:00", "~23,456")


@pytest.mark.parametrize("measuring", [True, False])
def test_preset_shows_what_is_measured(measuring: bool) -> None:
    setup = replace(with_costs(SETUP), references=None if measuring else ())
    row = preset_rows(setup)[QUICK]
    assert (row["TIME"], row["MEMORY"], row["CHARS/S"]) == ("1:00", "345 MB", "23,456")
    unmeasured = preset_rows(replace(setup, measured={setup.costs_key({}): {}}))[QUICK]
    assert unmeasured["CHARS/S"] == ("…" if measuring else "–")


def test_losses_to_beat_are_counted_at_first_and_need_enough_text() -> None:
    assert loss_bars(Setup(TEXT), (), False, 60).plain == ""
    assert loss_bars(replace(SETUP, references=None), (), False, 60).plain == "  counting …"
    assert loss_bars(replace(SETUP, references=()), (), False, 60).plain == "  Too little text for figures."
    assert "3.10" in loss_bars(SETUP, (), False, 60).plain
    status = RunStatus(state="finished", alive=False, best_val=1.9)
    ours, others = (
        RunView(Run(Path("/runs") / name), status, text=TEXT.name, sources=(source,))
        for name, source in (("ours", TEXT.source), ("others", "/elsewhere/sea.txt"))
    )
    shown = loss_bars(SETUP, (ours, others), False, 60).plain
    assert ("ours" in shown, "others" in shown) == (True, False)


def test_line_about_the_text_keeps_what_is_changed_in_a_narrow_terminal() -> None:
    unread = Setup(TEXT, reading="encoding … 34 %", choices=RunChoices(changes={"seed": 5}))
    assert head_line(unread, 60).plain == "sea.txt · 1 change · encoding … 34 %"
    named = replace(SETUP, corpus=replace(TEXT, name="a" * 99), choices=RunChoices(start_from=OLDER))
    assert " · 1 change · from older · 27,000 characters" in head_line(named, 60).plain
    assert len(head_line(named, 60).plain.split(" · ")[0]) <= 60 - len(" · 1 change · from older")


def test_run_has_the_text_as_it_was_chosen_the_settings_and_the_weights() -> None:
    corpus = replace(TEXT, strip_boilerplate=True, split="blocks", validation=("v.txt",))
    new = replace(SETUP, corpus=corpus, choices=RunChoices("standard", start_from=OLDER)).new_run(Path("/runs"))
    assert (new.source, new.preset, new.runs_dir) == (TEXT.source, "standard", Path("/runs"))
    assert (new.settings.split, new.validation, new.model_from) == ("blocks", ("v.txt",), OLDER.path)
    assert new.text_options.strip_boilerplate


def test_what_presets_are_for_is_not_cut_at_120_columns() -> None:
    assert max(len(each.about) for each in PRESETS.values()) <= 50

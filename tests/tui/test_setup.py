"""What Train offers before a run, as a value and in words: what follows from the text and the choices, what stays
measured, the plan, the losses to beat and what is said of a busy processor."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from charlstm import system
from charlstm.display import count
from charlstm.errors import TorchError
from charlstm.model.file import ModelConfig
from charlstm.runs import launch
from charlstm.runs.folder import RunFolder
from charlstm.runs.start_models import StartModel, expected_losses, no_gain
from charlstm.runs.status import RunStatus
from charlstm.training.plan import fit_batch
from charlstm.training.presets import DEFAULT, PRESETS, preset
from charlstm.training.settings import Settings
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import CorpusChoice, StartOptions
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train import run_plan
from charlstm_tui.train.setup import RunChoices, Setup, TextFacts, longer_minutes
from charlstm_tui.train.setup_pane import head_line, loss_bars

TEXT = CorpusChoice("/texts/sea.txt", "sea.txt")
BOX = StartModel("demo", Path("demo.safetensors"), ModelConfig(90, 512, 2), loss=1.3, pairs=2.4, read=0.0, symbols=95)
OLDER = replace(BOX, name="older", path=Path("/runs/older/model.safetensors"), config=ModelConfig(90, 8, 1))
SETUP = Setup(TEXT, TextFacts(27_000, 25, {}), references=(("order 0", 3.1),))
BOXED = replace(SETUP, facts=TextFacts(27_000, 25, {}, BOX))


def with_costs(setup: Setup, slowdown: float = 1.0) -> Setup:
    """What the presets cost as they are is measured."""
    figures = {"seconds": 61.0, "memory_bytes": 345e6, "chars_per_second": 23_456.0, "slowdown": slowdown}
    costs: dict[str, dict[str, Any]] = {name: {"name": name, **figures} for name in PRESETS}
    return replace(setup, measured={setup.costs_key({}): costs})


def with_own_costs(setup: Setup, **costs: float | None) -> Setup:
    """What the chosen settings cost is measured."""
    return replace(setup, measured={setup.costs_key(setup.differences): {setup.choices.preset: costs}})


def finished(name: str, best: float, text: str = "novel.txt") -> RunView:
    return RunView(RunFolder(Path("/runs") / name), RunStatus(state="finished", alive=False, loss=best), text=text)


def test_setup_says_that_torch_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm_tui.train.run_plan.torch_folder", lambda: None)
    assert run_plan.warnings(SETUP, {}) == [str(TorchError())]


def test_worker_is_prepared_where_torch_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[Path | None] = []
    app = CharLSTMApp(StartOptions(runs_dir=tmp_path))
    for folder in (None, tmp_path):
        monkeypatch.setattr(system, "torch_folder", lambda folder=folder: folder)
        monkeypatch.setattr(launch, "prepare_worker", lambda folder=folder: prepared.append(folder))
        app.prepare_worker()
    assert prepared == [tmp_path]


def test_text_can_be_started_before_it_is_read_and_not_when_it_cannot_be() -> None:
    assert [(each.startable, each.ready) for each in (Setup(TEXT), SETUP)] == [(True, False), (True, True)]
    assert not any(each.startable for each in (Setup(), Setup(TEXT, problem="There is no file")))


def test_preset_starts_from_the_model_in_the_box_where_it_helps_and_else_from_nothing() -> None:
    assert (SETUP.start, SETUP.can_choose_start) == (None, False)
    assert (BOXED.start, BOXED.settings.hidden_size, BOXED.changes) == (BOX, 512, 0)
    assert run_plan.preset_rows(BOXED)[0]["WEIGHTS"] == count(ModelConfig(95, 512, 2).parameters)
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
    effects = run_plan.without_effect_words(TEXT, chosen.choices)
    assert effects["hidden_size"] == "the network is that of older"
    assert run_plan.origin_words(chosen.choices) == "from older"


def test_value_that_another_preset_has_itself_is_no_change_there() -> None:
    longer = SETUP.choose(RunChoices(changes={"max_minutes": 10.0}))
    other = longer.choose(replace(longer.choices, preset="standard"))
    assert (longer.changes, other.changes) == (1, 0)


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
    chosen = {"strip_boilerplate": False, "lines": "keep", "encoding": "utf-8", "validation": ("v.txt",)}
    read = ("--no-strip-boilerplate", "--encoding", "utf-8", "--lines", "keep", "--val-file", "v.txt")
    units = ("--lines", "keep", "--split-units", "lines")
    for changes, options in ((chosen, read), ({"units": "lines"}, units)):
        setup = replace(BOXED, corpus=replace(TEXT, **changes))
        assert setup.presets_command({}) == [TEXT.source, *options, "--set", "niceness=10"]
    nothing = BOXED.choose(RunChoices(from_nothing=True, changes={"seed": 5}))
    command = [TEXT.source, "--set", "niceness=10", "--set", "seed=5", "--from", "none"]
    assert nothing.presets_command(nothing.differences) == command


def test_busy_processor_is_named_and_more_time_offered_once() -> None:
    busy = with_costs(SETUP, 2.1)
    assert busy.can_train_longer
    [words] = run_plan.warnings(busy, {"more_time": "m", "generate": "3"})
    assert "about 2 times slower. m gives it 2:00; 3 plays the model in the box" in words
    longer = busy.choose(busy.lengthen())
    assert (longer.settings.max_minutes, longer.can_train_longer, longer.slowdown) == (2.0, False, 2.1)
    assert not with_costs(SETUP, 1.3).can_train_longer
    assert run_plan.warnings(with_costs(SETUP, 1.3), {}) == []
    words = run_plan.busy_words(3.0, (), preset("reference"), {"more_time": "m", "generate": "3"})  # which has no limit
    assert words.endswith("times slower. 3 plays the model in the box meanwhile.")
    live = RunView(RunFolder(Path("/runs/first")), RunStatus(state="running", alive=True))
    beside = replace(busy, live=(live,))
    assert not beside.can_train_longer
    assert run_plan.warnings(beside, {})[0].startswith("first is training: a new run would share")


def test_risks_are_named_before_the_start() -> None:
    read = replace(BOXED, facts=TextFacts(27_000, 25, {}, replace(BOX, read=0.87)))
    assert run_plan.warnings(read, {})[0].startswith("Losses will be too low: the model in the box has read 87 %")
    assert run_plan.warnings(read.choose(RunChoices(from_nothing=True)), {}) == []
    slow, fast = (SETUP.choose(RunChoices(changes={"lr": times * preset(DEFAULT).lr})) for times in (3, 8))
    assert run_plan.warnings(slow, {}) == []
    assert run_plan.warnings(fast, {}) == ["The learning rate is 8 times the preset's: training may diverge."]


def test_table_of_presets_has_what_is_measured_and_marks_what_is_rough_or_not_known() -> None:
    def quick(setup: Setup) -> dict[str, str]:
        return run_plan.preset_rows(setup)[list(PRESETS).index("quick")]

    row = quick(SETUP.choose(RunChoices(changes={"epochs": 3.0})))  # not measured yet, so at most the limit
    assert (row["TIME"], row["CHARS/S"]) == ("≤ 1:00", "…")
    row = quick(with_costs(SETUP))
    assert (row["TIME"], row["MEMORY"], row["CHARS/S"]) == ("1:00", "345 MB", "23,456")
    row = quick(with_costs(SETUP, 1.4))
    assert (row["TIME"], row["CHARS/S"]) == ("~1:00", "~23,456")
    in_vain = replace(SETUP, measured={SETUP.costs_key({}): {}})
    assert quick(in_vain)["CHARS/S"] == "–"
    assert quick(replace(in_vain, references=None))["CHARS/S"] == "…"


def test_losses_to_beat_are_counted_at_first_and_need_enough_text() -> None:
    assert loss_bars(Setup(TEXT), (), False, 60).plain == ""
    assert loss_bars(replace(SETUP, references=None), (), False, 60).plain == "  counting …"
    assert loss_bars(replace(SETUP, references=()), (), False, 60).plain == "  Too little text for figures."
    assert "3.10" in loss_bars(SETUP, (), False, 60).plain
    sources = {"ours": TEXT.source, "others": "/elsewhere/sea.txt"}
    runs = [replace(finished(name, 1.9, TEXT.name), sources=(source,)) for name, source in sources.items()]
    shown = loss_bars(SETUP, tuple(runs), False, 60).plain
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


def test_more_time_is_a_whole_multiple_and_not_without_end() -> None:
    assert [longer_minutes(10.0, slowdown) for slowdown in (1.5, 2.1, 2.9, 20.0)] == [20.0, 20.0, 30.0, 50.0]


def test_the_end_and_the_checkpoints_of_a_run_in_words() -> None:
    assert run_plan.ends_words(Settings(max_minutes=10, max_steps=300)) == "after 10:00 or 300 steps"
    assert run_plan.ends_words(Settings(epochs=1)) == "after 1 pass over the text"
    assert run_plan.ends_words(Settings(max_minutes=120, epochs=5)) == "after 2:00:00 or 5 passes"
    assert run_plan.ends_words(Settings()).startswith("never")
    assert run_plan.checkpoint_words(Settings(max_minutes=1, checkpoint_minutes=2)) == "at the end"
    assert run_plan.checkpoint_words(Settings(max_minutes=10, checkpoint_minutes=2)) == "every 2 minutes"


@pytest.mark.parametrize(
    ("limits", "passes", "words"),
    [
        ({"max_minutes": 1}, 73.8, "73.8 × the text, 66 M"),
        ({"max_minutes": 1}, None, None),  # not measured yet
        ({"max_minutes": 1, "epochs": 5}, 2.1, "2.1 × the text, 1.9 M"),  # the minutes end it
        ({"max_minutes": 1, "epochs": 5}, 5.0, None),  # its end says so already
        ({"epochs": 5}, 5.0, None),
    ],
)
def test_plan_says_how_often_a_text_is_read(limits: dict[str, float], passes: float | None, words: str | None) -> None:
    choices = RunChoices(changes={"max_minutes": None, **limits})
    setup = with_own_costs(Setup(facts=TextFacts(1_000_000, 90, {}), choices=choices), epochs=passes)
    assert {line.label: line.text for line, _ in run_plan.plan_lines(setup)}.get("reads") == words


def test_plan_says_how_the_text_is_read() -> None:
    novel = CorpusChoice("/texts/novel.txt", "novel.txt")
    assert run_plan.text_words(None) == ""
    assert run_plan.text_words(novel) == "lines auto, no licence"
    assert run_plan.text_words(novel, "reference") == "as it is"
    whole = replace(novel, strip_boilerplate=False)
    assert run_plan.text_words(replace(whole, encoding="cp1250")) == "lines auto, licence kept, as cp1250"
    assert run_plan.text_words(replace(whole, lines="keep")) == "as it is"


def test_plan_of_a_small_text_has_the_smaller_batches_that_the_run_takes() -> None:
    def batches(chars: int) -> str:
        lines = run_plan.plan_lines(Setup(facts=TextFacts(chars, 90, {})))
        return next(line.text for line, _ in lines if line.label == "batches")

    assert batches(1_000_000) == f"{preset('quick').batch_size} rows × {preset('quick').seq_length} characters"
    rows, length = fit_batch(preset("quick"), 2_580)
    assert rows < preset("quick").batch_size
    assert batches(2_868) == f"{rows} rows × {length} characters"


def test_every_change_is_marked_in_the_plan_once() -> None:
    usual = preset("quick")
    choices = RunChoices(changes={"max_steps": 300, "seed": 5, "lr": usual.lr})
    changed = {line.label: line.text for line, is_changed in run_plan.plan_lines(Setup(choices=choices)) if is_changed}
    assert changed == {"ends": "after 1:00 or 300 steps", "seed": "5"}
    assert Setup(choices=choices).changes == 2  # a value that is the preset's own is no change


def test_until_the_text_is_read_the_plan_claims_nothing_that_a_model_to_start_from_would_change() -> None:
    def shown(choices: RunChoices, facts: TextFacts | None = None) -> dict[str, str]:
        return {line.label: line.text for line, _ in run_plan.plan_lines(Setup(facts=facts, choices=choices))}

    assert {shown(RunChoices())[label] for label in ("weights", "network", "rate")} == {"…"}
    assert shown(RunChoices(), TextFacts(2_000, 30, {}))["weights"] == "random"
    for decided in (RunChoices("reference"), RunChoices(from_nothing=True), RunChoices(changes={"hidden_size": 64})):
        assert shown(decided)["weights"] == "random"
        assert "…" not in shown(decided).values()


def test_useless_run_is_no_loss_to_beat_and_a_poor_one_is_not_green() -> None:
    baselines = (("order 0", 3.1), ("order 2", 2.2), ("xz", 2.4), ("too little text", float("inf")))
    runs = [finished("useless", 3.4), finished("poor", 2.3), finished("good", 1.9)]
    losses = run_plan.losses_to_beat(baselines, runs)
    assert [each.label for each in losses] == ["order 0", "xz", "poor", "order 2", "good"]
    assert [each.label for each in losses if run_plan.beats_all(each, losses)] == ["good"]
    assert run_plan.unit_words("nats", losses) == "nats per character; ~ estimate"


def test_what_the_start_beats_is_no_loss_to_beat_but_the_start_is() -> None:
    runs = [finished("worse", 1.9), finished("better", 1.1)]
    losses = run_plan.losses_to_beat((("order 0", 3.1), ("xz", 1.25)), runs, replace(BOX, loss=1.3))
    assert [(each.label, each.nats) for each in losses] == [("before training", 1.3), ("xz", 1.25), ("better", 1.1)]


def test_run_that_started_from_a_model_is_told_apart_from_those_that_started_from_nothing() -> None:
    of_run = partial(run_plan.LossToBeat, nats=1.3, is_run=True)
    losses = [of_run("anew"), of_run("on", started_from="demo")]
    assert [each.name(30, short=True) for each in losses] == ["anew", "on (demo)"]
    names = [of_run(f"novel-quick-{number}", started_from="demo").name(16, short=True) for number in (1, 2)]
    assert names == ["novel…k-1 (demo)", "novel…k-2 (demo)"]
    assert run_plan.unit_words("nats", losses[:1]) == "nats per character, less is better"
    assert run_plan.unit_words("nats", losses).endswith("; (started from)")
    assert all(len(run_plan.unit_words("nats", losses[:count])) <= 35 for count in range(len(losses) + 1))


def test_another_limit_in_the_form_lifts_the_minutes_and_both_stay_when_both_are_set() -> None:
    usual = preset("quick")

    def edit(choices: RunChoices, **typed: object) -> tuple[RunChoices, bool]:
        before = usual.with_changes(**choices.changes)
        return choices.edited(before, before.with_changes(**typed), usual)

    one, lifted = edit(RunChoices(), epochs=3.0)
    assert (lifted, one.changes) == (True, {"epochs": 3.0, "max_minutes": None})
    both, lifted = edit(one, max_minutes=usual.max_minutes)
    assert (lifted, both.changes) == (False, {"epochs": 3.0})
    assert "or 3 passes" in run_plan.ends_words(usual.with_changes(**both.changes))
    other, lifted = edit(both, max_steps=70, max_minutes=2.0)
    assert (lifted, other.changes) == (False, {"epochs": 3.0, "max_steps": 70, "max_minutes": 2.0})
    assert edit(other, epochs=None, max_steps=None, max_minutes=usual.max_minutes) == (RunChoices(), False)


def test_both_ways_to_start_say_about_which_loss_they_end_with() -> None:
    def words(setup: Setup, **costs: float) -> str:
        return run_plan.start_words(with_own_costs(setup, **costs) if costs else setup, False)

    setup = Setup(facts=TextFacts(1_000_000, 90, {}, BOX))
    nothing, costs = setup.choose(RunChoices(from_nothing=True)), {"seconds": 45.0, "chars_per_second": 1e6}
    to_watch = "from nothing, to watch it learn: about 1.43"
    ends = f"~1.300 nats on passages of this text, about 1.10 in the end. 0 starts {to_watch}."
    assert words(setup, **costs).endswith(ends)
    box = "0 starts from the model in the box: about 1.10."
    assert words(nothing, **costs) == f"Starts {to_watch} nats in the end. {box}"
    assert "in the end" not in words(setup)
    other_lines = replace(setup.facts, box=replace(BOX, reading="It has learnt from texts with their lines"))
    reads = "~1.300 nats on passages of this text. It has learnt from texts with their lines. 0 starts from nothing"
    assert reads in words(replace(setup, facts=other_lines))
    short = Setup(facts=replace(setup.facts, chars=400_000), choices=RunChoices(preset="standard"))
    gains_nothing = "text. On a text of up to 1.2 M characters the loss will be about that of quick. 0 starts"
    assert gains_nothing in words(short)
    assert "quick" not in words(short.choose(replace(short.choices, changes={"epochs": 9.0})))
    longer = Setup(facts=replace(setup.facts, chars=2_000_000), choices=RunChoices(preset="best"))
    assert "text. The loss will be about that of standard: both read the text 5 times. 0 starts" in words(longer)


@pytest.mark.parametrize(
    ("change", "preset", "text", "chars"),
    [
        *(({}, "reference", 400_000, 450_000), ({}, "standard", 1_300_000, 5_000_000)),
        *(({}, "best", 6_000_000, 5_000_000), ({"loss": 2.1}, "best", 400_000, 5_000_000)),
        *(({"loss": 1.7}, "standard", 400_000, 5_000_000), ({"loss": 1.7}, "quick", 1_000_000, 450_000)),
        *(({"name": "mine"}, "quick", 1_000_000, 450_000), ({"read": 0.9}, "quick", 1_000_000, 450_000)),
        *(({}, "quick", 1_000_000, 200_000), ({}, "quick", 50_000, 450_000)),
    ],
)
def test_nothing_is_foretold_that_was_not_measured(change: dict[str, Any], preset: str, text: int, chars: int) -> None:
    """Neither the loss in the end nor what a longer preset gains."""
    model = replace(BOX, **change)
    assert (expected_losses(model, preset, text, chars, False), no_gain(model, preset, text)) == (None, "")

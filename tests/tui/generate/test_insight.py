"""Look inside the model in Generate: cells that colour the text, why a character comes, and held cells."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charlstm
from charlstm.display import symbol
from charlstm.generation.clamp import Clamp
from charlstm.generation.session import Session
from charlstm.generation.stepper import Floats
from charlstm.insight.activations import activations, likeliest_next
from charlstm.insight.cells import NamedCell, sample_cells, score_cells
from charlstm.insight.holding import hold_effects
from charlstm.insight.influence import Influence, influence
from charlstm.insight.lesions import measure_lesions, most_important
from charlstm.model.file import load_model
from charlstm.runs.folder import RunFolder
from charlstm.text.corpus import open_corpus
from charlstm_tui.generate.cell_history import CellHistory
from charlstm_tui.generate.cells_view import APART, CellsView, most_active
from charlstm_tui.generate.explaining_view import in_words
from charlstm_tui.generate.hold_dial import HoldDial
from charlstm_tui.generate.next_chars import NextChars
from charlstm_tui.generate.play_view import PlayView
from charlstm_tui.generate.score_view import ScoreView
from charlstm_tui.generate.view_bar import Legend
from charlstm_tui.player import insight_jobs
from charlstm_tui.player.insight_jobs import InsightJobs
from charlstm_tui.player.marks import CELL, DAMAGE, INFLUENCE, Scale, in_unit, level
from charlstm_tui.player.opening import checkpoints
from charlstm_tui.player.played import FULL
from playing_app import PlayingApp, playing, scored
from recorded_run import record


@asynccontextmanager
async def cells(
    model: Path, size: tuple[int, int] = (80, 24), *, count: int = 400
) -> AsyncIterator[tuple[PlayingApp, CellsView]]:
    """The view Cells on ``count`` generated characters, with its cells named."""
    async with playing(model, size, paused=count) as app:
        view = app.screen.cells
        await app.press("x", until=lambda: bool(view.cell_list.cells) and view.activations is not None)
        yield app, view


def levels(view: CellsView) -> list[int]:
    """The level of each character of the text, as it is drawn."""
    layer, cell = view.cell
    return levels_of(view.activations.cells[:, layer - 1, cell - 1])


def levels_of(values: Floats) -> list[int]:
    """The levels of these values of a cell."""
    return CELL.levels((values - values.mean()) / values.std()).tolist()


def shown(view: CellsView | ScoreView | PlayView, scale: Scale) -> list[int]:
    """The levels that are shown."""
    return [level(mark, scale) for mark in view.text_view.marks()]


def unlisted(view: CellsView) -> tuple[int, int]:
    """A cell that is not in the list."""
    return next((1, cell) for cell in range(1, 9) if (1, cell) not in view.cell_list.listed)


class HeldJob:
    """A job of those that look inside the model, which goes on when it is ``free``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        job, self.free, self.begun = getattr(InsightJobs, name), asyncio.Event(), 0

        async def held(*arguments: Any) -> Any:
            self.begun += 1
            await self.free.wait()
            return await job(*arguments)

        monkeypatch.setattr(InsightJobs, name, held)


async def test_the_text_is_coloured_by_the_chosen_cell_and_the_likeliest_next_stand_under_its_line(model: Path) -> None:
    loaded = load_model(model)
    async with cells(model) as (app, view):
        listed = view.cell_list.cells
        found, expected = view.activations, activations(loaded, app.text)
        assert found.text == app.text == view.text_view.text()
        assert np.allclose(found.cells, expected.cells, atol=1e-5)
        assert view.cell == listed[0].cell
        words = f"named on {len(app.text)} chars from all over the played text, for lack of a held-out one"
        await app.shows(f"cell 1:{listed[0].cell[1]}", words)
        assert shown(view, CELL) == levels(view)
        for key, place in (("left_curly_bracket", -1), ("up", -2), ("right_curly_bracket", -1)):
            await app.press(key, until=lambda place=place: view.cell == listed[place].cell)
            assert shown(view, CELL) == levels(view)

        await app.press("tab", "up", "up", "up")
        start, stop = view.text_view.row_at(view.text_view.cursor)
        chars, _ = likeliest_next(loaded, expected.hidden[start:stop])
        panel = view.query_one(NextChars)
        rows = [panel.render_line(row).text.rstrip() for row in range(1, 7)]
        line = "".join(char if char.isprintable() else symbol(char) for char in app.text[start:stop])
        assert rows[0] == line.rstrip()
        assert rows[1:] == ["".join(symbol(each[place]) for each in chars) for place in range(5)]
        chars, _ = likeliest_next(loaded, expected.hidden)
        lines = sorted({view.text_view.row_at(place) for place in range(len(app.text))})
        start, stop = next(line for line in lines if app.text[line[1]] in chars[line[1] - 1])
        view.put_cursor(stop)

        def underlined() -> str:
            last = [panel.render_line(row).crop(stop - start - 1, stop - start) for row in range(2, 7)]
            return "".join(each.text for strip in last for each in strip if each.style and each.style.underline)

        await app.press("left", until=lambda: underlined() == symbol(app.text[stop]))  # what came after the line
        await app.press("E")
        assert not panel.display
        await app.go("play", "escape")
        assert app.screen.play.text_view.scale is app.screen.play.scale


async def test_new_characters_are_coloured_while_text_streams(model: Path) -> None:
    async with cells(model) as (app, view):
        app.player.change_speed(60)
        await app.press("space")
        await app.until(lambda: len(view.activations.text) > 410, settle=False)
        assert any(shown(view, CELL)[400:410])
        await app.shows("The likeliest next, once the text")
        await app.press("space", until=lambda: view.activations.text == app.text and shown(view, CELL) == levels(view))


@pytest.fixture
def run(home: Path) -> Path:
    """A run with models of several steps."""
    return record(home / "runs", "finished", name="novel-quick-1", steps=100).run.path


async def test_a_cell_is_followed_through_the_snapshots_of_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = HeldJob(monkeypatch, "through_training")
    async with cells(run) as (app, view):
        found = checkpoints(run)
        models = [(step, load_model(RunFolder(run).model_file(request))) for step, request in found]
        assert len(models) > 2
        await app.press("h", until=lambda: job.begun == 1)
        view.choose(view.cell_list.cells[-1].cell)  # before anything is known of the first model
        job.free.set()
        await app.until(lambda: len(view.history) == len(models))
        assert job.begun == 1, "choosing among those of the list does not begin anew"
        named, text = view.cell_list.cells[0], app.text
        for (number, model), each in zip(models, view.history, strict=True):
            assert each.step == number
            expected = activations(model, text).cells[:, named.cell[0] - 1, named.cell[1] - 1]
            assert np.allclose(each.values[named.cell], expected, atol=1e-5)
            assert np.allclose(each.scores, score_cells(sample_cells(model, text), view.cell_list.cells), atol=1e-4)
        other = unlisted(view)
        view.choose(other)
        await app.until(lambda: len(view.history) == len(models) and all(other in each.values for each in view.history))
        view.choose(named.cell)

        await app.press("left_square_bracket")
        step = view.history[-2]
        assert shown(view, CELL) == levels_of(step.values[named.cell])
        history = str(view.query_one(CellHistory).render())
        assert all(word in history for word in (named.feature, f"{named.strength(step.scores[0]):.2f}", str(step.step)))
        await app.shows(f"colours of the model at step {step.step}; named at step {named.step} on")
        await app.press("escape")
        assert shown(view, CELL) == levels(view)
        # The best model of a run that trains was replaced after the models were listed.
        monkeypatch.setattr(insight_jobs, "checkpoints", lambda path: [*found[:-1], (found[-1][0] - 7, None)])
        job.free.clear()
        await app.press("h")
        view.choose(other)  # while the first model is read
        job.free.set()
        await app.until(lambda: [each.step for each in view.history] == [step for step, _ in found])
        assert other in view.history[0].values


async def test_cells_named_while_one_is_followed_have_their_scores(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naming = HeldJob(monkeypatch, "name")
    async with playing(run, paused=400) as app:
        view = app.screen.cells
        await app.press("x", until=lambda: view.activations is not None)
        view.choose((1, 1))
        await app.press("h", until=lambda: len(view.history) == len(checkpoints(run)))
        naming.free.set()
        await app.until(lambda: bool(view.cell_list.cells) and len(view.history) == len(checkpoints(run)))
        assert {len(found.scores) for found in view.history} == {len(view.cell_list.cells)}


def test_bars_of_a_history_begin_at_guessing_and_have_a_line_for_chance() -> None:
    history, shown = CellHistory(), list[str]()
    history.update = lambda content: shown.append(str(content))

    def bars(named: NamedCell, scores: list[float]) -> list[str]:
        """The lines without the caption and the steps."""
        history.show(named, [10 * n for n in range(len(scores))], scores, 0, "")
        return shown[-1].split("\n")[1:-1]

    named = NamedCell("vowel", (1, 3), "auc", 0.1, 0.01, 90, 0.55, -1, 1, 0, -0.5, 0.5, 1000, 500, 30)
    about, top, middle, bottom, figures = bars(named, [0.5, 0.6, 0.3, 0.0])
    assert about == "±0.01  ┈ chance 0.55  named at step 30"
    assert figures.split() == ["0.50", "0.40", "0.70", "1.00"], "turned around, as the cell is low"
    columns = ["".join(row[place] for row in (top, middle, bottom)) for place in (0, 8, 24)]
    assert columns == ["  ▁", "  ▁", "███"], "the other way round is no better than guessing"
    assert ["┈" in row for row in (top, middle, bottom)] == [False, False, True]
    assert "chance 0.90, no step is better  named" in bars(replace(named, chance=0.9), [0.5, 0.3])[0]
    assert "chance 0.55, too few to tell  named" in bars(replace(named, spans=19), [0.5, 0.3])[0]
    assert bars(replace(named, kind="r", score=-0.8, chance=0.1), [0.1, -0.8])[-1].split() == ["-0.10", "0.80"]


async def test_of_a_long_text_the_end_is_shown_and_all_is_copied(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm_tui.generate.cells_view.SHOWN_CHARS", 100)
    async with cells(model, (130, 30)) as (app, view):
        start = len(app.text) - 100
        assert view.text_view.text() == app.text[start:]
        assert app.screen.copyable() == app.screen.play.copyable()
        view.put_cursor(0)
        await app.press("v", says=in_words(influence(load_model(model), app.text, start), app.text, bits=False))
        await app.paused(600)
        await app.until(lambda: view.text_view.text() == app.text[-100:])


async def test_key_for_cells_still_being_computed_waits_for_them(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = HeldJob(monkeypatch, "activations")
    async with playing(model, paused=20) as app:
        await app.go("cells", "x")
        await app.until(lambda: job.begun == 1)
        await app.burst("L")
        job.free.set()
        await app.until(lambda: app.screen.cells.lesions)


async def test_any_cell_can_be_typed_and_its_most_active_places_are_walked(model: Path) -> None:
    async with cells(model) as (app, view):
        await app.enter("slash", "1:9", shows="The model has no cell 1:9")
        await app.press("escape")
        await app.enter("slash", "nothing", shows="No feature of the list has")
        await app.press("escape")
        await app.enter("slash", "1:8", shows="cell 1:8")
        values = view.activations.cells[:, 0, 7]
        places = most_active(values)
        assert all(second - first >= APART for first, second in itertools.pairwise(places))
        assert int(np.argmax(np.abs(values - values.mean()))) in places
        after = [place for place in places if place > 0]
        view.text_view.cursor = 0
        await app.press("full_stop", "full_stop", says=f"{values[after[1]]:+.2f} after “")
        await app.press("comma", says=f"{values[after[0]]:+.2f} after “")
        await app.enter("slash", "vowel")
        await app.until(lambda: view.cell == next(c.cell for c in view.cell_list.cells if c.feature == "vowel"))
        await app.enter("slash", "1:8")
        await app.press("plus", shows="What is held follows no feature that can be counted.")


async def test_cells_are_named_on_the_text_of_the_run(home: Path, run: Path) -> None:
    text = home / "novel.txt"
    text.write_text('He said "yes" and left. She said "no, not now" and stayed.\n' * 100)
    RunFolder(run).write_spec(replace(RunFolder(run).spec(), corpus=open_corpus(text).to_record()))
    async with cells(run, count=30) as (app, view):
        await app.shows("on 5,900 chars from all over novel.txt, which it was trained on")
        listed, expected = view.cell_list.cells, charlstm.name_cells(run, text.read_text())
        assert "inside quotes" in [cell.feature for cell in listed]
        assert [(cell.cell, cell.feature) for cell in listed] == [(cell.cell, cell.feature) for cell in expected], (
            "as the library, the command and the report name them"
        )
        assert [cell.score for cell in listed] == pytest.approx([cell.score for cell in expected])


async def test_a_short_or_empty_text_says_why_no_cells_are_named_and_what_to_do(model: Path) -> None:
    async with playing(model) as app:
        app.screen.play.load(replace(app.state.request, prime="", stream=False))
        await app.until(lambda: app.screen.play.playing and not app.state.size)
        await app.press("x", says="The text is empty: Space generates some.", shows="is found out once there is text")
        await app.press("v", says="nothing to explain")
        await app.press("v", "space", shows="Space generates more.")
        view = app.screen.cells
        assert app.state.length == 1
        assert "once there is text" not in " ".join(app.screen_text().split())
        app.player.change_speed(250)
        await app.press("space")
        await app.until(lambda: app.state.length > 300, settle=False)
        await app.press("space", until=lambda: bool(view.cell_list.cells))
        assert view.text_view.text() == app.text


async def test_a_held_cell_is_shown_and_what_it_changes_measured(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NamedCell, "verdict", "follows")
    async with cells(model) as (app, view):
        layer, cell = view.cell
        await app.press("plus", "plus", says=f"held: {layer}:{cell}=1")
        assert app.state.clamps == (Clamp(layer, cell, value=1.0),)
        features = view.features_of(app.state.clamps)
        effects = hold_effects(load_model(model), features, app.state.clamps, prime=app.text, recipe=app.state.recipe)
        await app.shows(" ".join(each.sentence for each in effects))
        dial = view.query_one(HoldDial)
        assert f"HOLD {layer}:{cell} at 1" in dial.render_line(0).text
        await app.pilot.click(HoldDial, offset=(10, 2))
        await app.until(lambda: app.state.clamps == (Clamp(layer, cell, value=dial.value_at(10)),))
        await app.press("0", "plus", "plus", until=lambda: app.state.clamps == (Clamp(layer, cell, value=1.0),))
        other = next(each.cell for each in view.cell_list.cells if each.cell != (layer, cell))
        view.choose(other)
        await app.press("minus")
        await app.until(lambda: app.state.clamps == (Clamp(layer, cell, value=1.0), Clamp(*other, value=-0.5)))
        await app.until(lambda: view.hold_words and "Measuring" not in view.hold_words)
        words = view.hold_words
        app.screen.show_view("play")
        assert view.hold_words == words  # it is not measured again
        await app.press("x", "0", until=lambda: not app.state.clamps)
        assert "held:" not in app.status()


async def test_text_with_a_held_cell_stands_beside_text_without(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NamedCell, "verdict", "follows")
    loaded = load_model(model)
    async with cells(model) as (app, view):
        named = view.cell_list.cells[0]
        view.choose(named.cell)
        held = (Clamp(*named.cell, value=2.0),)
        await app.press("plus", "plus", "plus", "plus", until=lambda: app.state.clamps == held)
        app.player.change_speed(FULL)
        await app.press("d")
        duel = app.screen.duel
        await app.until(lambda: len(duel.sides) == 2 and all(side.ended for side in duel.sides.values()), settle=False)
        assert [side.clamps for side in duel.sides.values()] == [(), held]
        assert duel.sides[1].settings == duel.sides[2].settings
        for number, side in duel.sides.items():
            prime = duel.view(number).text(0, side.prime_length)
            session = Session(loaded, prime, seed=side.request.seed, settings=side.settings)
            session.clamps = side.clamps
            assert duel.view(number).text() == prime + "".join(step.char for step in session.stream(side.length))
        effects = hold_effects(loaded, view.features_of(held), held, prime=prime, recipe=side.recipe)
        await app.shows(" ".join(each.sentence for each in effects), "no cell held")
        assert app.screen_text().count("min-p 0.05") == 2

        measuring = HeldJob(monkeypatch, "held")
        await app.press("r")
        await app.until(lambda: measuring.begun == 1, settle=False)  # once the figures are known
        for player in duel.players.values():
            player.change_speed(5)
        await app.press("r", until=lambda: not duel._figures)
        measuring.free.set()
        await app.until(lambda: not duel.works_at("default"))
        assert not duel._figures


async def test_why_names_the_most_important_character_and_follows_the_cursor(model: Path) -> None:
    async with playing(model, (100, 24), paused=60) as app:
        play, loaded = app.screen.play, load_model(model)

        def explains(position: int) -> bool:
            found = influence(loaded, app.text, position)
            expected = [0] * found.start + INFLUENCE.levels(found.changes).tolist()
            return shown(play, INFLUENCE) == expected + [0] * (len(app.text) - len(expected))

        await app.press("v", says="Why “")
        assert explains(len(app.text) - 1)
        await app.press(*["left"] * 5, until=lambda: explains(len(app.text) - 5))
        found = influence(loaded, app.text, len(app.text) - 5)
        assert play.text_view.scale == INFLUENCE
        for bits in (False, True, False):
            await app.says(in_words(found, app.text, bits=bits))
            assert play.legend() == Legend(in_unit(INFLUENCE, bits=bits), play.text_view, copied=None)
            await app.press("u")
        await app.press("u", "escape", until=lambda: play.text_view.scale is play.scale and "Why “" not in app.status())
    assert in_unit(INFLUENCE, bits=True).labels == ("<-0.72", "<-0.14", "0", ">0.14", ">0.72")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([0.1, -2.0, 0.3], "Why “␣”? Most important: “,” 2 characters before, -2.00 nats"),
        ([0.0, 0.003, 0.0], "Why “␣”? None of the 3 characters before it matters alone: 0.00 nats each."),
        ([], "There is nothing before “␣” that explains it."),
    ],
)
def test_why_quotes_characters_and_calls_nothing_important_that_is_shown_as_0(changes: list[float], words: str) -> None:
    text = "a,b "[-len(changes) - 1 :]
    found = Influence(len(changes), " ", 1.0, 0, np.array(changes, np.float32))
    assert in_words(found, text, bits=False) == words
    assert in_words(found, text, bits=True).replace("-2.89 bits", "-2.00 nats").replace("bits", "nats") == words


async def test_cells_are_ranked_by_what_is_worse_without_them(model: Path) -> None:
    loaded = load_model(model)

    async def damages(cell: tuple[int, int]) -> Floats:
        rises = np.nan_to_num(measure_lesions(loaded, app.text, [cell])[0])
        await app.until(lambda: shown(view, DAMAGE) == DAMAGE.levels(rises).tolist())
        return rises

    async with cells(model) as (app, view):
        named = view.cell_list.cells
        chosen = named[-1].cell
        view.choose(chosen)
        await app.press("L", until=lambda: view.measured is not None)
        found = view.measured
        expected = most_important(loaded, app.text, also=[chosen, *(each.cell for each in named)])
        assert found.cells == expected.cells
        assert np.allclose([found.means, found.errors], [expected.means, expected.errors], atol=1e-5)
        assert {each.cell for each in named} <= set(found.cells) == set(view.lesion_list.listed)
        assert view.lesion_list.has_focus
        place_of = found.cells.index(chosen)
        await app.until(lambda: view.lesion_list.highlighted == place_of)
        assert view.cell == chosen, "which another key chose"
        for row, mean, error in zip(view.lesion_list.options, found.means, found.errors, strict=True):
            assert f"{mean:+.4f} ±{2 * error:.4f}" in str(row.prompt)
        mean, error = found.means[place_of], found.errors[place_of]
        way = "higher" if mean >= 0 else "lower"
        chance = "" if found.tells[place_of] else ", which cannot be told from chance"
        await app.shows(f"silenced: loss {abs(mean):.4f} ±{2 * error:.4f} nats {way}{chance}, at")

        damage = await damages(chosen)
        place = int(np.argmax(np.abs(damage - damage.mean())))
        view.text_view.cursor = place - 1
        await app.press("full_stop", says=f"{damage[place]:+.2f} nats at “")
        assert view.text_view.cursor == place
        await app.press("u", says=f"{damage[place] / np.log(2):+.2f} bits at “")
        await app.shows(f"silenced: loss {abs(mean) / np.log(2):.4f}", "CELLS THAT MATTER bits")
        view.text_view.cursor = 0
        view.moved()
        await app.until(lambda: "bits at “" not in app.status())  # the first character is not predicted
        assert view.cell == chosen, "which stays on its row"
        await app.press("right_curly_bracket")
        await damages(found.cells[(place_of + 1) % len(found.cells)])
        await app.press("u", "escape", until=lambda: not view.lesions and view.cell_list.has_focus)
        assert view.text_view.scale.name == CELL.name


async def test_a_key_that_explains_stops_the_text_and_explains_its_end(model: Path) -> None:
    async with cells(model) as (app, view):
        app.player.change_speed(250)

        async def streaming() -> None:
            length = app.state.length
            await app.press("space")
            await app.until(lambda: app.state.running and app.state.length > length, settle=False)

        await streaming()
        await app.press("L", until=lambda: view.measured is not None and not app.state.running)
        await app.press("escape", "escape")
        await streaming()
        await app.press("v", until=lambda: "Why “" in app.status() and not app.state.running)
        found = influence(load_model(model), app.text, len(app.text) - 1)
        expected = INFLUENCE.levels(found.changes).tolist()
        await app.until(lambda: shown(app.screen.play, INFLUENCE)[found.start : -1] == expected)


async def test_why_in_score_follows_the_cursor_and_reads_what_is_before_the_part_that_is_shown(model: Path) -> None:
    loaded = load_model(model)
    async with scored(model, (130, 30)) as (app, view):
        await app.press("enter", "v")
        found = influence(loaded, app.text, view.text_view.cursor)
        # The surprise is in the unit of the influence.
        await app.says(in_words(found, app.text, bits=False), f"{found.loss:.1f} nats")
        await app.press("escape", until=lambda: view.text_view.scale is view.scale and "Why “" not in app.status())
        await app.score_part(20, 40)
        view.put_cursor(0)
        await app.press("v", says=in_words(influence(loaded, app.text, 20), app.text, bits=False))
        view.put_cursor(5)
        view.moved()
        found = influence(loaded, app.text, 25)
        part = INFLUENCE.levels(found.changes).tolist()[20 - found.start :]
        await app.until(lambda: shown(view, INFLUENCE) == part + [0] * 15)


async def test_legend_without_colours_says_what_is_low_and_high(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with cells(model) as (app, view):
        lowest, *_, highest = view.scale.labels
        assert f"low {lowest}  " in app.status()
        assert f"  {highest} high" in app.status()

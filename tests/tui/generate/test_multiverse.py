"""Multiverse in Generate: the continuations from the cursor as blocks, walked and put into the text."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from charlstm.display import percent, quoted
from charlstm.generation.clamp import parse_clamp
from charlstm.generation.prime import prepare_prime
from charlstm.generation.stepper import Stepper
from charlstm.insight.multiverse import ContinuationNode as Node
from charlstm.insight.multiverse import multiverse, next_words
from charlstm.model.file import load_model
from charlstm_tui.generate.continuation_layout import Block, lay_out
from charlstm_tui.generate.multiverse_view import ContinuationBlocks, MultiverseView
from charlstm_tui.player.opening import PlayRequest
from charlstm_tui.theme import LIGHT
from playing_app import PlayingApp, playing, scored


def branch(char: str, probability: float, *children: Node) -> Node:
    return Node(char, probability, list(children))


@pytest.fixture
def tree() -> Node:
    return branch(
        "", 1.0, branch("a", 0.6, branch("b", 0.6)), branch("c", 0.3, branch("d", 0.1), branch("e", 0.1)),
        branch("f", 0.02),
    )  # fmt: skip


def text_of(block: Block) -> str:
    """The characters up to and with this one."""
    return "".join(branch.char for branch in block.path)


def rows(tree: Node, height: int, columns: int, wanted: Sequence[Node] = ()) -> dict[str, tuple[int, int]]:
    """The first row of each block and the row after its last, by its text."""
    return {text_of(block): (block.top, block.bottom) for block in lay_out(tree, height, columns, wanted)}


async def opened(app: PlayingApp, *keys: str) -> MultiverseView:
    """Show Multiverse with all that it computes."""
    await app.press(*keys, "f")
    view = app.screen.multiverse
    await app.until(lambda: view.root is not None and view.words is not None)
    return view


def test_the_height_of_a_block_is_its_share_of_the_rows(tree: Node) -> None:
    assert rows(tree, 10, 5) == {"a": (0, 6), "ab": (0, 6), "c": (6, 9), "cd": (6, 7), "ce": (7, 8)}
    assert [text_of(block) for block in lay_out(tree, 10, 5) if not block.splits] == ["ab"]
    assert rows(tree, 10, 1) == {"a": (0, 6), "c": (6, 9)}
    assert rows(tree, 1, 5) == {"a": (0, 1), "ab": (0, 1)}
    assert rows(branch("", 1.0), 10, 5) == {}


def test_wanted_blocks_have_a_row_however_unlikely_they_are(tree: Node) -> None:
    first, second, third = tree.children
    assert rows(tree, 10, 5, [third])["f"] == (9, 10)
    assert rows(tree, 3, 5, [third]) == {"a": (0, 1), "ab": (0, 1), "c": (1, 2), "cd": (1, 2), "f": (2, 3)}
    assert rows(tree, 1, 5, [third]) == {"f": (0, 1)}
    assert rows(tree, 1, 5, [second, second.children[1], third]) == {"c": (0, 1), "ce": (0, 1)}
    assert rows(tree, 2, 5, [first, third]) == {"a": (0, 1), "ab": (0, 1), "f": (1, 2)}


async def test_continuations_are_walked_and_put_into_the_text(model: Path) -> None:
    loaded = load_model(model)
    async with playing(model, paused=30) as app:
        view = await opened(app, "left", "left", "left", "left")
        text, start = app.text, len(app.text) - 4
        assert (view.before, view.following) == (text[:start], text[start:])
        assert view.root == multiverse(loaded, text[:start], depth=20, cutoff=0.001)
        assert list(view.words or ()) == next_words(loaded, text[:start])
        assert app.screen.copyable().text == app.text
        await app.shows("[Multiverse]", "UNDERLINED")

        await app.press("right", "down", "right")
        second = view.root.children[1]
        assert [id(each) for each in view.path] == [id(second), id(second.children[0])]
        await app.shows(f"{percent(second.children[0].probability)} as a whole (joint)")
        chosen = second.char + second.children[0].char
        await app.until(lambda: list(view.words or ()) == next_words(loaded, text[:start] + chosen))

        zoomed = multiverse(loaded, text[:start] + chosen, depth=30, cutoff=0.002)
        await app.press("plus", "right_curly_bracket", "comma")
        await app.until(lambda: view.root is not None and view.root.children == zoomed.children)
        assert view.chosen == view.zoomed == chosen
        await app.press("right")
        taken = view.chosen
        assert len(taken) == 3
        await app.press("left", "left")
        assert (view.zoomed, view.chosen) == ("", chosen)
        await app.press("plus", until=lambda: view.root is not None and view.root.children == zoomed.children)
        await app.press("right", "enter", gives=text[:start] + taken)
        await app.until(lambda: view.before == app.text and view.chosen == "")
        await app.says("4 characters are on branch 0 now")

        await app.go("play", "escape")
        stepper = Stepper(loaded)
        stepper.clamps = (parse_clamp("1:2=0.5"),)
        app.player.change_clamps(stepper.clamps)
        await app.press("f", shows="held: 1:2=0.5")
        held = multiverse(loaded, app.text, depth=30, cutoff=0.002, stepper=stepper)
        await app.until(lambda: view.root == held)
        await app.until(lambda: list(view.words or ()) == next_words(loaded, app.text, stepper=stepper))
        await app.press("right", "right")
        view.do_step(0, 1000)
        await app.until(lambda: view.words is not None)
        await app.press("comma", until=lambda: len(view.path) == 1)  # the second is less likely than the new cut-off
        await app.until(lambda: list(view.words or ()) == next_words(loaded, app.text + view.chosen, stepper=stepper))


async def test_colours_and_model_are_those_of_now(model: Path, other: Path) -> None:
    labels = ("≥20 %", "≥5 %", "≥1 %")
    async with playing(model, (140, 45), paused=30) as app:
        view = await opened(app)
        before = app.backgrounds(*labels)
        app.app.theme = LIGHT.name
        await app.pilot.pause()
        shades = app.backgrounds(*labels)
        assert shades == [shade.bgcolor and shade.bgcolor.name for shade in reversed(view.blocks.shades[1:])]
        assert all(now != was for now, was in zip(shades, before, strict=True))
        root, words = view.root, view.words
        app.player.change_speed(5)
        await app.until(lambda: view.state.speed == 5)
        assert view.words is words, "what the speed does not change is not computed again"
        app.player.open(PlayRequest(str(other), stream=False))  # of the same shape
        await app.until(lambda: app.model_name == "other" and view.root is not root and view.root is not None)


async def test_what_could_have_come_in_a_scored_text(model: Path) -> None:
    loaded = load_model(model)
    async with scored(model) as (app, score):
        await app.says("first character: not predicted")
        view = await opened(app)
        symbol = loaded.vocabulary.decode(prepare_prime(loaded, "").ids).replace("\n", "↵")
        await app.shows(f"the beginning of a text, after {symbol} ▏")
        await app.press("escape")

        view = await opened(app, "enter")
        cursor = score.text_view.cursor
        await app.until(lambda: view.before == app.text[:cursor] and view.root is not None)
        root = view.root
        came = next((child for child in root.children if child.char == app.text[cursor]), None)
        share = "below 0.1 %" if came is None else percent(came.probability)
        await app.shows(f"{quoted(app.text[cursor])} follows in the text: {share}")
        await app.pilot.click(ContinuationBlocks, offset=(2, 1))
        first = lay_out(root, view.blocks.rows, view.blocks.columns, (*view.path, *view.followed()))[0]
        assert [id(each) for each in view.path] == [id(first.branch)]
        await app.pilot.click(ContinuationBlocks, offset=(2, 1))
        assert view.zoomed == view.chosen == text_of(first)
        await app.press("right", "enter", shows="Esc back to the cursor Score")
        assert app.text == score.text_view.text()
        await app.press("escape")
        assert (view.zoomed, app.screen.view) == ("", view)
        await app.press("escape")
        assert app.screen.view is score
        assert score.text_view.cursor == cursor

        await app.score_part(20, 40)
        score.put_cursor(3)
        await app.press("f")  # in a part of a text it is after what is before that
        await app.until(lambda: (view.before, view.following) == (app.text[:23], app.text[23:]))


async def test_an_action_of_the_palette_does_not_act_in_a_view_that_came_meanwhile(model: Path) -> None:
    async with playing(model, (100, 30), paused=5) as app:
        await app.press("ctrl+p", *"slower", shows="Fewer characters a second")
        await app.screen.do_view("multiverse")
        await app.until(lambda: app.screen.view_name == "multiverse")
        await app.press("enter")
        await app.until(lambda: app.app.screen is app.screen)  # and no unexpected error was logged


async def test_blocks_use_the_width_and_name_joint_and_conditional_probabilities(model: Path) -> None:
    async with playing(model, (140, 45), paused=30) as app:
        view = await opened(app)
        view.root = branch("", 1.0, branch("a", 0.6, branch("b", 0.3)), branch("c", 0.2))
        view._draw()
        lines = [view.blocks.render_line(row).text.rstrip() for row in range(view.blocks.size.height)]
        assert [share for share in (20, 30, 60) if any(line.endswith(f" {share} %") for line in lines)] == [20, 30]
        await app.press("right", "right")
        of_two = "30 % as a whole (joint) “b” 50 % after those before it (conditional)"
        await app.shows(of_two, "HEIGHT, % joint probability")

"""The list of branches by itself, narrow and wide."""

from __future__ import annotations

from textual.app import App, ComposeResult

from charlstm.generation.document import BranchInfo
from charlstm_tui.generate.branch_tree import BranchTree, words_at
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.desk import Desk
from charlstm_tui.player.model_thread import ModelThread
from charlstm_tui.theme import DARK, own_variables


class Host(App[None]):
    def __init__(self, theme: str) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {**super().get_theme_variable_defaults(), **own_variables(self.current_theme)}

    def compose(self) -> ComposeResult:
        yield BranchTree(Desk(ModelThread(print), 0, StreamView(), print, spawn=print, post=print))

    @property
    def tree(self) -> BranchTree:
        return self.query_one(BranchTree)

    def rows(self) -> list[str]:
        return [self.tree.render_line(y).text.rstrip() for y in range(self.tree.size.height)]


def branch(number: int) -> BranchInfo:
    """One that grows from the one before."""
    name = "the light speaks"
    parent = None if number == 0 else number - 1
    return BranchInfo(number, parent, 10 * number, 1000 + 10 * number, name, "", current=number < 20)


async def test_every_branch_is_one_line_with_its_name_at_any_width() -> None:
    app = Host(DARK.name)
    async with app.run_test(size=(30, 20)) as pilot:
        app.tree.show([branch(number) for number in range(35)])
        app.tree.focus()
        await pilot.pause()
        assert all("the light" in row for row in app.rows())
        await pilot.resize_terminal(100, 20)
        await pilot.pause()
        assert all("the light speaks" in row and "–1," in row for row in app.rows())
        assert any(row.startswith("●") for row in app.rows())
        assert not any("▸" in row for row in app.rows())  # which is where the cursor of a list is
        assert {row.replace("●", " ").replace("└", " ").split()[0] for row in app.rows()} <= set(map(str, range(35)))


async def test_figure_gives_way_to_a_name_that_would_be_cut() -> None:
    app = Host(DARK.name)
    async with app.run_test(size=(27, 20)) as pilot:
        branches = [
            BranchInfo(0, None, 0, 900, "", "", True),
            BranchInfo(1, 0, 1193, 1300, "the light speaks", "", True),
        ]
        app.tree.show([*branches, BranchInfo(2, 0, 1067, 1300, "brief", "", True)])
        await pilot.pause()
        assert [row.split() for row in app.rows()[1:3]] == [
            ["└", "1", "the", "light", "speaks"], ["●", "└", "2", "brief", "1,067"],
        ]  # fmt: skip


def test_a_branch_is_called_by_the_words_where_it_parts() -> None:
    branch = BranchInfo(
        3, 0, 500, 900, "", "lm, and nobody spoke of it.", current=False, before="and then the sea was ca"
    )
    assert words_at(branch, 16).plain == "…was calm, and …"
    assert words_at(branch, 30).plain == "…sea was calm, and nobody …"
    first = BranchInfo(0, None, 0, 900, "", "\n\nIt was late.\nHe left.", current=True)
    assert words_at(first, 30).plain == "It was late. ↵ He left."
    line = BranchInfo(1, 0, 500, 900, "", "\nMy lord, come.", current=False, before="He lived.\n\nANTONY:")
    assert words_at(line, 20).plain == "My lord, come."
    assert words_at(line, 40).plain == "…ANTONY: My lord, come."
    assert all(0 < words_at(branch, width).cell_length <= width for width in range(6, 80))

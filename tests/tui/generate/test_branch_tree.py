"""The list of branches by itself, narrow and wide."""

from charlstm.generation.document import BranchInfo
from charlstm_tui.generate.branch_tree import BranchTree, words_at
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.model_thread import ModelThread
from charlstm_tui.player.text_player import TextPlayer
from hosted_widget import drawn_rows, hosted, resize


def tree() -> BranchTree:
    return BranchTree(TextPlayer(ModelThread(print), 0, StreamView(), print, spawn=print, post=print))


def branch(number: int) -> BranchInfo:
    """One that grows from the one before."""
    name = "the light speaks"
    parent = None if number == 0 else number - 1
    return BranchInfo(number, parent, 10 * number, 1000 + 10 * number, name, "", current=number < 20)


async def test_every_branch_is_one_line_with_its_name_at_any_width() -> None:
    async with hosted(tree(), (30, 20)) as (shown, pilot):
        shown.show([branch(number) for number in range(35)])
        shown.focus()
        await pilot.pause()
        assert all("the light" in row for row in drawn_rows(shown))
        await resize(pilot, 100, 20)
        rows = drawn_rows(shown)
        assert all("the light speaks" in row and "–1," in row for row in rows)
        assert any(row.startswith("●") for row in rows)
        assert not any("▸" in row for row in rows)  # which is where the cursor of a list is
        assert {row.replace("●", " ").replace("└", " ").split()[0] for row in rows} <= set(map(str, range(35)))


async def test_figure_gives_way_to_a_name_that_would_be_cut() -> None:
    branches = [
        BranchInfo(0, None, 0, 900, "", "", True),
        BranchInfo(1, 0, 1193, 1300, "the light speaks", "", True),
        BranchInfo(2, 0, 1067, 1300, "brief", "", True),
    ]
    async with hosted(tree(), (27, 20)) as (shown, pilot):
        shown.show(branches)
        await pilot.pause()
        assert [row.split() for row in drawn_rows(shown)[1:3]] == [
            ["└", "1", "the", "light", "speaks"], ["●", "└", "2", "brief", "1,067"],
        ]  # fmt: skip


def test_a_branch_is_called_by_the_words_where_it_parts() -> None:
    branch = BranchInfo(3, 0, 500, 900, "", "lm, and nobody spoke.", current=False, before="and then the sea was ca")
    assert words_at(branch, 16).plain == "…was calm, and …"
    assert words_at(branch, 30).plain == "…sea was calm, and nobody …"
    first = BranchInfo(0, None, 0, 900, "", "\n\nIt was late.\nHe left.", current=True)
    assert words_at(first, 30).plain == "It was late. ↵ He left."
    line = BranchInfo(1, 0, 500, 900, "", "\nMy lord, come.", current=False, before="He lived.\n\nANTONY:")
    assert [words_at(line, width).plain for width in (20, 40)] == ["My lord, come.", "…ANTONY: My lord, come."]
    assert all(0 < words_at(branch, width).cell_length <= width for width in range(6, 80))

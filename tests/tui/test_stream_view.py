"""The text view by itself: follows its end, stays where it was scrolled to, selects, copies, walks."""

import random
from array import array

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Offset
from textual.selection import Selection
from textual.theme import BUILTIN_THEMES

from charlstm_tui.generate.stream_view import StreamView, default_scale
from charlstm_tui.player.marks import CELL, OFF, RANK, SURPRISE, Origin, Scale, uniform
from charlstm_tui.theme import DARK, LIGHT, TEXT, contrast
from charlstm_tui.widgets.find import Search
from hosted_widget import Host, drawn_rows, hosted, resize
from recorded_run import NASTY

LINES = "".join(f"line {number}\n" for number in range(200))


async def test_rows_of_verse_that_wrap_are_marked_and_those_of_prose_are_not() -> None:
    verse = "a line of some words\nand one\nand two\n" * 3 + "\nthe last line of all\n"
    async with hosted(StreamView(), (20, 24)) as (view, pilot):
        view.append(verse)
        width = view.scrollable_content_region.width
        assert drawn_rows(view)[:3] == [f"{'a line of some':{width - 1}}›", "words", "and one"]
        assert drawn_rows(view)[13] == f"{'the last line of':{width - 1}}›"
        await resize(pilot, 30, 24)
        assert "›" not in "".join(drawn_rows(view))  # all lines have room
        await resize(pilot, 20, 24)
        assert "›" in "".join(drawn_rows(view))
        view.append("words of prose " * 30)
        view.scroll_to(y=0, animate=False)
        assert "›" not in "".join(drawn_rows(view))
        assert view.text().startswith(verse)


async def test_cursor_on_the_space_at_which_verse_wraps_is_seen() -> None:
    async with hosted(StreamView(), (20, 12)) as (view, _):
        width = view.scrollable_content_region.width
        row = "x" * (width - 1)
        view.append(f"{row} y\n" + "z\n" * 9)
        assert drawn_rows(view)[0] == f"{row}›"
        view.cursor = width - 1
        strip = view.render_line(0)
        assert [segment.text for segment in strip if segment.style is not None and segment.style.reverse][:1] == [" "]
        assert strip.cell_length == view.region.width


async def test_full_rows_leave_a_cell_for_the_cursor_beside_the_scrollbar() -> None:
    async with hosted(StreamView(), (20, 12)) as (view, pilot):
        view.append("words of prose " * 100)
        for width in (20, 24):
            await resize(pilot, width, 12)
            assert view.show_vertical_scrollbar
            assert max(map(len, drawn_rows(view))) <= view.scrollable_content_region.width - 1


async def test_follows_the_end_only_while_it_is_in_view() -> None:
    async with hosted(StreamView(), (40, 10)) as (view, pilot):
        for line in LINES.splitlines(keepends=True):
            view.append(line)
        assert "line 199" in drawn_rows(view)
        await pilot.pause()
        view.scroll_to(y=20, animate=False)
        view.append("more\n" * 50)
        assert drawn_rows(view)[0] == "line 20"
        view.scroll_to(y=view.max_scroll_y, animate=False)
        view.append("the end")
        assert "the end" in drawn_rows(view)


async def test_places_that_are_found_are_marked_across_rows_and_in_new_text() -> None:
    def marked() -> list[str]:
        rows = [view.render_line(y) for y in range(3)]
        return ["".join(segment.text for segment in row if segment.style and segment.style.reverse) for row in rows]

    async with hosted(StreamView(), (14, 6)) as (view, pilot):
        view.append("a long wordabc def gh")
        await pilot.pause()
        assert [row.strip() for row in drawn_rows(view)[:3]] == ["a long", "wordabc def", "gh"]
        view.show_search(Search("DEF GH"), 15)
        assert (view.cursor, marked()) == (15, ["", "def ", "gh"])
        view.show_search(Search(), None)
        view.cursor = 0
        view.show_search(Search("f ghi"), None)
        assert marked() == ["a", "", ""]  # the cursor alone
        view.append("ij")
        assert marked() == ["a", "f ", "ghi"]
        view.show_search(Search(), None)
        assert marked() == ["a", "", ""]


async def test_the_scrollbar_follows_the_rows_and_goes_with_them() -> None:
    async with hosted(StreamView(), (40, 10)) as (view, pilot):
        view.append("one\n")
        await pilot.pause()
        assert not view.show_vertical_scrollbar
        view.append(LINES)
        await pilot.pause()
        for _ in range(3):
            view.append(LINES)
            assert view.max_scroll_y == view.virtual_size.height - 10 == view.scroll_offset.y
        assert view.virtual_size.height == 4 * 200 + 2
        view.replace(8, view.length, "", ())
        await pilot.pause()
        assert (view.show_vertical_scrollbar, view.scroll_offset.y) == (False, 0)


async def test_keeps_its_place_when_the_width_changes() -> None:
    async with hosted(StreamView(), (60, 10)) as (view, pilot):
        view.append("word " * 2000)
        for place in (9000, 5000, 6000, 0):  # below, above, on the next screens, at the top
            view.reveal(place)
            top = view.scroll_offset.y
            starts = view._text_layout.starts
            assert starts[top] <= place < starts[top + 10]
            view.reveal(starts[top + 5])
            assert view.scroll_offset.y == top, "it was seen already"
        view.cursor = 5000
        view.reveal(5000)
        await resize(pilot, 31, 14)
        top = view._text_layout.starts[view.scroll_offset.y]
        assert abs(top - 5000) < 31 * 14 + 60 * 10


async def test_any_text_is_literal_and_keeps_the_layout() -> None:
    texts = (NASTY, "[/red]", "\x1b[2J\x00\n\t|", "你好" * 50, "e\u0301\u0301" * 60, "שלום עולם " * 20)
    async with hosted(StreamView()) as (view, pilot):
        for text in texts:
            view.clear()
            view.append(text, uniform(text, Origin.MODEL))
            await pilot.pause()
            assert view.text() == text
            for y in range(view.size.height):
                strip = view.render_line(y)
                assert strip.cell_length == view.size.width, text
                assert not set(strip.text) & {"\x1b", "\x00", "\n", "\t", "\u202e"}


async def test_selection_is_of_characters_not_of_what_is_drawn() -> None:
    async with hosted(StreamView()) as (view, pilot):
        view.append("a\tb\x00c\nsecond 你好 line\nthird")
        assert view.get_selection(Selection(None, None)) == (view.text(), "\n")
        # the tab is drawn as four cells: offset 5 is the b
        assert view.get_selection(Selection(Offset(5, 0), Offset(6, 1))) == ("b\x00c\nsecond", "\n")
        pilot.app.screen.selections = {view: Selection(Offset(0, 1), Offset(6, 1))}
        await pilot.pause()
        assert pilot.app.screen.get_selected_text() == "second"
        chosen = pilot.app.screen.get_component_rich_style("screen--selection").bgcolor
        assert [segment.text for segment in view.render_line(1) if segment.style and segment.style.bgcolor == chosen]


async def test_the_mouse_selects_across_rows_and_a_click_puts_the_cursor() -> None:
    async with hosted(StreamView()) as (view, pilot):
        view.append("first row\nsecond row\nthird row")
        await pilot.mouse_down(StreamView, offset=(6, 0))
        await pilot.hover(StreamView, offset=(5, 1))
        await pilot.mouse_up(StreamView, offset=(5, 1))
        await pilot.pause()
        assert pilot.app.screen.get_selected_text() == "row\nsecond"
        pilot.app.screen.clear_selection()
        await pilot.click(StreamView, offset=(3, 2))
        assert view.cursor == view.text().index("third") + 3


async def test_walking_by_rows_keeps_the_column() -> None:
    async with hosted(StreamView()) as (view, _):
        view.append("a long first row\nab\nanother long row")
        view.cursor = 12
        found = [view.walk(0, rows) for rows in (1, 1, -2, -1, 3)]
        assert found == [19, 20 + 12, 12, 0, view.length]  # 19 is the short row's newline
        assert (view.walk(-100), view.walk(1000), view.at_end) == (0, view.length, True)


async def test_a_suggestion_within_the_text_is_no_part_of_it() -> None:
    async with hosted(StreamView()) as (view, pilot):
        view.append("one two\nthree")
        view.cursor = 7
        view.show_suggestion(" or more of them,\nsome", 7)
        assert drawn_rows(view)[:3] == ["one two or more of them,", "some", "three"]
        assert (view.text(), view.length) == ("one two\nthree", 13)
        assert (view.row_start(7), view.row_end(7), view.row_start(9)) == (0, 7, 8)
        assert [view.walk(0, 1), view.walk(1), view.rows_away(8, 1)] == [7, 8, 13]  # first the row of the suggestion
        for column, row, position in ((3, 0, 3), (9, 0, 7), (2, 1, 7), (2, 2, 10)):
            await pilot.click("StreamView", offset=(column, row))
            assert view.cursor == position
        view.replace(7, 7, " or", uniform(" or", Origin.TYPED))  # typed before it
        view.replace(11, 16, "four", uniform("four", Origin.TYPED))  # after it
        assert drawn_rows(view)[:3] == ["one two or or more of them,", "some", "four"]
        view.replace(9, 11, "", ())  # around it
        assert drawn_rows(view)[:1] == ["one two ofour"]


async def test_what_is_drawn_in_part_is_what_is_drawn_anew() -> None:
    """Only rows that changed are drawn; the screen must look as if all of it had been."""
    rng = random.Random(4)
    async with hosted(StreamView(), (24, 7)) as (view, pilot):

        def screen() -> list[list[Segment]]:
            return [list(strip) for strip in pilot.app.screen._compositor.render_strips()]

        known = ""
        for _ in range(150):
            text = "".join(rng.choices("abc  你\n\u0301", k=rng.randrange(30)))
            origins = [rng.choice(list(Origin)[:4]) << 12 | rng.randrange(5) << RANK.shift for _ in text]
            match rng.randrange(7):
                case 0 | 1:
                    view.append(text, origins)
                    known += text
                case 2:
                    view.show_suggestion(text, rng.choice([None, rng.randrange(view.length + 1)]))
                case 3:
                    view.cursor = rng.randrange(view.length + 1)
                    view.reveal(view.cursor)
                case 4:
                    view.cursor = None
                case 5:
                    start, stop = sorted(rng.randrange(view.length + 1) for _ in range(2))
                    stop = min(stop, start + rng.randrange(40))
                    view.replace(start, stop, text, origins)
                    known = known[:start] + text + known[stop:]
                case 6:
                    start = rng.randrange(view.length + 1)
                    marks = array("H", [rng.choice(origins or [0]) for _ in range(min(9, view.length - start))])
                    view.set_marks(start, marks, rng.choice([None, rng.randrange(view.length + 1)]))
            assert view.text() == known
            start, stop = sorted(rng.randrange(view.length + 1) for _ in range(2))
            assert view.text(start, stop) == known[start:stop]
            assert (len(view.marks()), view.words) == (view.length, len(known.split()))
            await pilot.pause()
            pilot.app.screen._on_timer_update()  # the next frame, in which what scrolled is drawn
            await pilot.pause()
            drawn = screen()
            view.notify_style_update()
            view.refresh()
            await pilot.pause()
            assert drawn == screen()


THEMES = (DARK.name, LIGHT.name, *(name for name in sorted(BUILTIN_THEMES) if not name.startswith("ansi")))


def graded(scale: Scale, origin: Origin) -> list[int]:
    """The marks of a character of each level."""
    return [origin << 12 | level << scale.shift for level in range(1, len(scale.labels) + 1)]


def styles(view: StreamView) -> dict[str, Style]:
    """Of each character of the first row."""
    return {char: style for text, style, _ in view.render_line(0) if style for char in text.strip()}


def contrasts(view: StreamView) -> dict[str, float]:
    """The contrast of each character of the first row with its background."""
    return {
        char: contrast(Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor))
        for char, style in styles(view).items()
    }


@pytest.mark.parametrize("colors", ["truecolor", "256"])
async def test_text_is_readable_on_every_level_and_levels_get_further_from_the_background(colors: str) -> None:
    async with hosted(StreamView(), colors=colors) as (view, pilot):
        view.append("abcd", graded(SURPRISE, Origin.MODEL))
        view.append("efgh", graded(SURPRISE, Origin.TYPED))
        view.cursor = 7
        for theme in THEMES:
            pilot.app.theme = theme
            await pilot.pause()
            found = contrasts(view)
            assert all(found[char] >= TEXT for char in "abcdfg"), (theme, found)
            shown = {char: style.bgcolor for char, style in styles(view).items()}
            if colors == "256":
                shown = {char: color.downgrade(ColorSystem.EIGHT_BIT) for char, color in shown.items()}
            assert shown["b"] == shown["f"]
            plain, *others = (Color.from_rich_color(shown[char]) for char in "abcd")
            distances = [contrast(plain, other) for other in (plain, *others)]
            assert distances == sorted(set(distances)), (theme, distances)


async def test_text_is_readable_on_every_level_of_a_cell_also_selected_and_each_looks_different() -> None:
    async with hosted(StreamView()) as (view, pilot):
        view.scale = CELL
        view.append("abcde", graded(CELL, Origin.MODEL))
        view.cursor = None
        for theme in THEMES:
            pilot.app.theme = theme
            await pilot.pause()
            found = contrasts(view)
            assert all(found[char] >= TEXT for char in "abcde"), (theme, found)
            assert len({(each.bgcolor, each.italic, each.underline) for each in styles(view).values()}) == 5
            pilot.app.screen.selections = {view: Selection(Offset(1, 0), Offset(4, 0))}
            await pilot.pause()
            found = contrasts(view)
            assert all(found[char] >= TEXT for char in "bcd"), (theme, found)
            pilot.app.screen.clear_selection()


@pytest.mark.parametrize(("theme", "colors"), [(DARK.name, "truecolor"), (LIGHT.name, "256"), (DARK.name, "standard")])
async def test_levels_and_own_text_are_told_apart_also_without_colour(theme: str, colors: str) -> None:
    async with hosted(StreamView(), colors=colors) as (view, pilot):
        pilot.app.theme = theme
        await pilot.pause()
        view.scale = default_scale(pilot.app)
        view.append("abcd", graded(view.scale, Origin.MODEL))
        view.append("efgh", graded(view.scale, Origin.TYPED))
        found = styles(view)
        for one, own in zip("abcd", "efgh", strict=True):
            assert (found[one].color, found[one].italic) != (found[own].color, found[own].italic), one
        marks = {(found[each].bgcolor, found[each].underline, found[each].bold, found[each].reverse) for each in "abcd"}
        assert len(marks) == 4
        view.shows_levels = False
        found = styles(view)
        assert len({str(found[each]) for each in "abcd"}) == len({str(found[each]) for each in "efgh"}) == 1
        assert str(found["a"]) != str(found["e"])
        view.scale = OFF
        assert len({str(styles(view)[each]) for each in "abcd"}) == 1


def test_with_few_colours_or_none_marks_by_rank_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    scales = {"truecolor": SURPRISE, "256": SURPRISE, "standard": RANK, None: RANK}
    assert {colors: default_scale(Host(StreamView(), colors=colors)) for colors in scales} == scales
    monkeypatch.setenv("NO_COLOR", "1")
    assert default_scale(Host(StreamView())) is RANK

"""The text view by itself: follows its end, stays where it was scrolled to, selects, copies, walks."""

from __future__ import annotations

import random
from array import array

import pytest
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.color import Color
from textual.geometry import Offset
from textual.selection import Selection
from textual.strip import Strip
from textual.theme import BUILTIN_THEMES

from charlstm_tui.generate.stream_view import StreamView, default_scale
from charlstm_tui.player.marks import CELL, OFF, RANK, SURPRISE, Origin, Scale, uniform
from charlstm_tui.theme import DARK, LIGHT, TEXT, contrast, legible_colours, own_variables
from charlstm_tui.widgets.find import Search
from recorded_run import NASTY

LINES = "".join(f"line {number}\n" for number in range(200))


class Host(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def compose(self) -> ComposeResult:
        yield StreamView()

    @property
    def view(self) -> StreamView:
        return self.query_one(StreamView)

    def shown(self) -> list[str]:
        return [self.view.render_line(y).text.rstrip() for y in range(self.view.size.height)]


async def test_rows_of_verse_that_wrap_are_marked_and_those_of_prose_are_not() -> None:
    verse = "a line of some words\nand one\nand two\n" * 3 + "\nthe last line of all\n"
    app = Host()
    async with app.run_test(size=(20, 24)) as pilot:
        await pilot.pause()
        app.view.append(verse)
        width = app.view.scrollable_content_region.width
        assert app.shown()[:3] == [f"{'a line of some':{width - 1}}›", "words", "and one"]
        assert app.shown()[13] == f"{'the last line of':{width - 1}}›"
        await pilot.resize_terminal(30, 24)
        await pilot.pause()
        assert "›" not in "".join(app.shown())  # all lines have room
        await pilot.resize_terminal(20, 24)
        await pilot.pause()
        assert "›" in "".join(app.shown())
        app.view.append("words of prose " * 30)
        app.view.scroll_to(y=0, animate=False)
        assert "›" not in "".join(app.shown())
        assert app.view.text().startswith(verse)


async def test_cursor_on_the_space_at_which_verse_wraps_is_seen() -> None:
    app = Host()
    async with app.run_test(size=(20, 12)) as pilot:
        await pilot.pause()
        width = app.view.scrollable_content_region.width
        row = "x" * (width - 1)
        app.view.append(f"{row} y\n" + "z\n" * 9)
        assert app.shown()[0] == f"{row}›"
        app.view.cursor = width - 1
        strip = app.view.render_line(0)
        assert [segment.text for segment in strip if segment.style is not None and segment.style.reverse][:1] == [" "]
        assert strip.cell_length == app.view.region.width


async def test_full_rows_leave_a_cell_for_the_cursor_beside_the_scrollbar() -> None:
    app = Host()
    async with app.run_test(size=(20, 12)) as pilot:
        await pilot.pause()
        app.view.append("words of prose " * 100)
        await pilot.pause()
        rows = app.shown()
        assert app.view.show_vertical_scrollbar
        assert max(map(len, rows)) <= app.view.scrollable_content_region.width - 1
        await pilot.resize_terminal(24, 12)
        await pilot.pause()
        assert max(map(len, app.shown())) <= app.view.scrollable_content_region.width - 1


async def test_follows_the_end_only_while_it_is_in_view() -> None:
    app = Host()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        for line in LINES.splitlines(keepends=True):
            app.view.append(line)
        assert "line 199" in app.shown()
        await pilot.pause()
        app.view.scroll_to(y=20, animate=False)
        app.view.append("more\n" * 50)
        assert app.shown()[0] == "line 20"
        app.view.scroll_to(y=app.view.max_scroll_y, animate=False)
        app.view.append("the end")
        assert "the end" in app.shown()


async def test_places_that_are_found_are_marked_across_rows_and_in_new_text() -> None:
    app = Host()

    def marked() -> list[str]:
        rows = [app.view.render_line(y) for y in range(3)]
        return ["".join(segment.text for segment in row if segment.style and segment.style.reverse) for row in rows]

    async with app.run_test(size=(14, 6)) as pilot:
        await pilot.pause()
        app.view.append("a long wordabc def gh")
        await pilot.pause()
        assert [row.strip() for row in app.shown()[:3]] == ["a long", "wordabc def", "gh"]
        app.view.show_search(Search("DEF GH"), 15)
        assert app.view.cursor == 15
        assert marked() == ["", "def ", "gh"]
        app.view.show_search(Search(), None)
        app.view.cursor = 0
        app.view.show_search(Search("f ghi"), None)
        assert marked() == ["a", "", ""]  # the cursor alone
        app.view.append("ij")
        assert marked() == ["a", "f ", "ghi"]
        app.view.show_search(Search(), None)
        assert marked() == ["a", "", ""]


async def test_the_scrollbar_follows_the_rows_and_goes_with_them() -> None:
    app = Host()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        app.view.append("one\n")
        await pilot.pause()
        assert not app.view.show_vertical_scrollbar
        app.view.append(LINES)
        await pilot.pause()
        for _ in range(3):
            app.view.append(LINES)
            assert app.view.max_scroll_y == app.view.virtual_size.height - 10 == app.view.scroll_offset.y
        assert app.view.virtual_size.height == 4 * 200 + 2
        app.view.replace(8, app.view.length, "", ())
        await pilot.pause()
        assert not app.view.show_vertical_scrollbar
        assert app.view.scroll_offset.y == 0


async def test_keeps_its_place_when_the_width_changes() -> None:
    app = Host()
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        app.view.append("word " * 2000)
        for place in (9000, 5000, 6000, 0):  # below, above, on the next screens, at the top
            app.view.reveal(place)
            top = app.view.scroll_offset.y
            starts = app.view._text_layout.starts
            assert starts[top] <= place < starts[top + 10]
            app.view.reveal(starts[top + 5])
            assert app.view.scroll_offset.y == top, "it was seen already"
        app.view.cursor = 5000
        app.view.reveal(5000)
        await pilot.resize_terminal(31, 14)
        await pilot.pause()
        top = app.view._text_layout.starts[app.view.scroll_offset.y]
        assert abs(top - 5000) < 31 * 14 + 60 * 10


@pytest.mark.parametrize(
    "text", [NASTY, "[/red]", "\x1b[2J\x00\n\t|", "你好" * 50, "e\u0301\u0301" * 60, "שלום עולם " * 20]
)
async def test_any_text_is_literal_and_keeps_the_layout(text: str) -> None:
    app = Host()
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        app.view.append(text, uniform(text, Origin.MODEL))
        await pilot.pause()
        assert app.view.text() == text
        for y in range(app.view.size.height):
            strip = app.view.render_line(y)
            assert strip.cell_length == app.view.size.width
            assert not set(strip.text) & {"\x1b", "\x00", "\n", "\t", "\u202e"}


async def test_selection_is_of_characters_not_of_what_is_drawn() -> None:
    app = Host()
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        app.view.append("a\tb\x00c\nsecond 你好 line\nthird")
        view = app.view
        assert view.get_selection(Selection(None, None)) == (view.text(), "\n")
        # the tab is drawn as four cells: offset 5 is the b
        assert view.get_selection(Selection(Offset(5, 0), Offset(6, 1))) == ("b\x00c\nsecond", "\n")
        app.screen.selections = {view: Selection(Offset(0, 1), Offset(6, 1))}
        await pilot.pause()
        assert app.screen.get_selected_text() == "second"
        chosen = app.screen.get_component_rich_style("screen--selection").bgcolor
        assert [segment.text for segment in view.render_line(1) if segment.style and segment.style.bgcolor == chosen]


async def test_the_mouse_selects_across_rows_and_a_click_puts_the_cursor() -> None:
    app = Host()
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        app.view.append("first row\nsecond row\nthird row")
        await pilot.mouse_down(StreamView, offset=(6, 0))
        await pilot.hover(StreamView, offset=(5, 1))
        await pilot.mouse_up(StreamView, offset=(5, 1))
        await pilot.pause()
        assert app.screen.get_selected_text() == "row\nsecond"
        app.screen.clear_selection()
        await pilot.click(StreamView, offset=(3, 2))
        assert app.view.cursor == app.view.text().index("third") + 3


async def test_walking_by_rows_keeps_the_column() -> None:
    app = Host()
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        app.view.append("a long first row\nab\nanother long row")
        app.view.cursor = 12
        assert app.view.walk(0, 1) == 19  # the short row's newline
        assert app.view.walk(0, 1) == 20 + 12
        assert app.view.walk(0, -2) == 12
        assert app.view.walk(0, -1) == 0
        assert app.view.walk(0, 3) == app.view.length
        assert app.view.walk(-100) == 0
        assert app.view.walk(1000) == app.view.length
        assert app.view.at_end


async def test_a_suggestion_within_the_text_is_no_part_of_it() -> None:
    app = Host()
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        view = app.view
        view.append("one two\nthree")
        view.cursor = 7
        view.show_suggestion(" or more of them,\nsome", 7)
        assert app.shown()[:3] == ["one two or more of them,", "some", "three"]
        assert view.text() == "one two\nthree"
        assert view.length == 13
        assert (view.row_start(7), view.row_end(7), view.row_start(9)) == (0, 7, 8)
        assert view.walk(0, 1) == 7  # the row of the suggestion
        assert view.walk(1) == 8
        assert view.rows_away(8, 1) == 13
        for column, row, position in ((3, 0, 3), (9, 0, 7), (2, 1, 7), (2, 2, 10)):
            await pilot.click("StreamView", offset=(column, row))
            assert view.cursor == position
        view.replace(7, 7, " or", uniform(" or", Origin.TYPED))  # typed before it
        view.replace(11, 16, "four", uniform("four", Origin.TYPED))  # after it
        assert app.shown()[:3] == ["one two or or more of them,", "some", "four"]
        view.replace(9, 11, "", ())  # around it
        assert app.shown()[:1] == ["one two ofour"]


async def test_levels_are_told_apart_without_colour_too() -> None:
    app = Host()
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        bits = [Origin.MODEL << 12 | grade << RANK.shift for grade in (1, 2, 3, 4)]
        app.view.append("abcd", bits)

        def looks() -> dict[str, tuple[bool, bool, bool]]:
            styles = {one.text: one.style for one in app.view.render_line(0) if one.style and one.text.strip()}
            return {text: (bool(s.underline), bool(s.bold), bool(s.reverse)) for text, s in styles.items()}

        app.view.scale = RANK
        assert len({looks()[char] for char in "abcd"}) == 4
        app.view.scale = OFF
        assert set(looks()) == {"abcd"}


async def test_what_is_drawn_in_part_is_what_is_drawn_anew() -> None:
    """Only rows that changed are drawn; the screen must look as if all of it had been."""
    rng = random.Random(4)
    app = Host()
    async with app.run_test(size=(24, 7)) as pilot:
        await pilot.pause()
        view = app.view

        def screen() -> list[list[Segment]]:
            return [list(strip) for strip in app.screen._compositor.render_strips()]

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
            assert len(view.marks()) == view.length
            assert view.words == len(known.split())
            await pilot.pause()
            app.screen._on_timer_update()  # the next frame, in which what scrolled is drawn
            await pilot.pause()
            drawn = screen()
            view.notify_style_update()
            view.refresh()
            await pilot.pause()
            assert drawn == screen()


class Themed(Host):
    """Under any theme, with the terminal's number of colours."""

    def __init__(self, theme: str, color_system: str | None = "truecolor") -> None:
        super().__init__()
        self.wanted = theme
        self.console = Console(color_system=color_system, force_terminal=True)  # type: ignore[arg-type]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return own_variables(self.current_theme)

    def get_css_variables(self) -> dict[str, str]:
        variables = super().get_css_variables()
        return {**variables, **legible_colours(self.current_theme, variables)}

    def on_mount(self) -> None:
        self.theme = self.wanted


THEMES = (DARK.name, LIGHT.name, *(name for name in sorted(BUILTIN_THEMES) if not name.startswith("ansi")))


def contrasts(strip: Strip) -> dict[str, float]:
    """The contrast of each character's text with its background."""
    found = {}
    for text, style, _ in strip:
        if style is not None and style.color is not None and style.bgcolor is not None:
            colors = [Color.from_rich_color(color) for color in (style.color, style.bgcolor)]
            found.update({char: contrast(*colors) for char in text})
    return found


@pytest.mark.parametrize("colors", ["truecolor", "256"])
@pytest.mark.parametrize("theme", THEMES)
async def test_text_is_readable_on_every_level_and_levels_get_further_from_the_background(
    theme: str, colors: str
) -> None:
    app = Themed(theme, colors)
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        app.view.scale = SURPRISE
        app.view.append("abcd", [Origin.MODEL << 12 | level << SURPRISE.shift for level in (1, 2, 3, 4)])
        app.view.append("efgh", [Origin.TYPED << 12 | level << SURPRISE.shift for level in (1, 2, 3, 4)])
        app.view.cursor = 7
        strip = app.view.render_line(0)
        found = contrasts(strip)
        assert all(found[char] >= TEXT for char in "abcdfg"), found
        backgrounds = {char: style.bgcolor for text, style, _ in strip if style for char in text}
        if colors == "256":
            backgrounds = {char: color.downgrade(ColorSystem.EIGHT_BIT) for char, color in backgrounds.items() if color}
        assert backgrounds["b"] == backgrounds["f"]
        distances = [
            contrast(Color.from_rich_color(backgrounds["a"]), Color.from_rich_color(backgrounds[char]))
            for char in "abcd"
        ]
        assert distances == sorted(set(distances)), distances


@pytest.mark.parametrize("theme", THEMES)
async def test_text_is_readable_on_every_level_of_a_cell_also_selected_and_each_looks_different(theme: str) -> None:
    app = Themed(theme)
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        app.view.scale = CELL
        app.view.append("abcde", [Origin.MODEL << 12 | level << CELL.shift for level in (1, 2, 3, 4, 5)])
        app.view.cursor = None
        strip = app.view.render_line(0)
        found = contrasts(strip)
        assert all(found[char] >= TEXT for char in "abcde"), found
        looks = {
            char: (style.bgcolor, style.italic, style.underline) for text, style, _ in strip if style for char in text
        }
        assert len({looks[char] for char in "abcde"}) == 5
        app.screen.selections = {app.view: Selection(Offset(1, 0), Offset(4, 0))}
        await pilot.pause()
        found = contrasts(app.view.render_line(0))
        assert all(found[char] >= TEXT for char in "bcd"), found


@pytest.mark.parametrize(("theme", "colors"), [(DARK.name, "truecolor"), (LIGHT.name, "256"), (DARK.name, "standard")])
async def test_own_text_is_told_apart_on_every_level(theme: str, colors: str) -> None:
    app = Themed(theme, colors)
    async with app.run_test(size=(30, 12)) as pilot:
        await pilot.pause()
        app.view.scale = default_scale(app)
        for origin in (Origin.MODEL, Origin.TYPED):
            text = "abcd" if origin is Origin.MODEL else "efgh"
            app.view.append(text, [origin << 12 | level << app.view.scale.shift for level in (1, 2, 3, 4)])
        styles = {char: style for text, style, _ in app.view.render_line(0) if style for char in text}
        for one, own in zip("abcd", "efgh", strict=True):
            told_apart = styles[one].color != styles[own].color or styles[own].italic != styles[one].italic
            assert told_apart, (one, styles[one], styles[own])


@pytest.mark.parametrize(
    ("colors", "no_color", "scale"),
    [
        *(("truecolor", False, SURPRISE), ("256", False, SURPRISE)),
        *(("standard", False, RANK), (None, False, RANK), ("truecolor", True, RANK)),
    ],
)
async def test_with_few_colours_or_none_marks_by_rank_are_the_default(
    colors: str | None, no_color: bool, scale: Scale, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    app = Themed(DARK.name, colors)
    async with app.run_test(size=(30, 12)):
        assert default_scale(app) is scale

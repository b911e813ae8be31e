"""Finding in a text works in the same way in every text of the app."""

from pathlib import Path

from textual.content import Content
from textual.widgets import Input
from textual.widgets._toast import Toast

from charlstm_tui.corpus.text_pane import TextPreview
from charlstm_tui.widgets.find import FindBar, Search, row_of
from driven_app import Driven, driven


def test_search_tells_case_only_when_asked() -> None:
    assert Search("aa").places("aaAa") == [0, 2]
    assert Search("aa", match_case=True).places("aaAa") == [0]
    assert Search("").places("text") == []
    assert Search("ed", whole_words=True).places("Ed edits; red Ed") == [0, 14]
    assert Search(" ed", whole_words=True).places("an ed, an edit") == [2]
    assert Search(".").places("a.b") == [1]
    assert Search("b").highlight(Content("abab"), 1).spans[0].start == 1


def test_row_of_a_place_is_that_of_the_wrapped_text() -> None:
    content = Content("one two three four\n\nfive")
    lines = [line.plain for line in content.wrap(9)]
    for word in ("one", "two", "three", "four", "five"):
        assert word in lines[row_of(content, content.plain.index(word), 9)]
    assert row_of(Content(""), 0, 9) == 0


async def find(app: Driven, needle: str, count: str) -> None:
    await app.press("ctrl+f", until=lambda: isinstance(app.screen.focused, Input) and app.screen.query(FindBar))
    app.screen.query_one(FindBar).query_one(Input).value = needle
    await app.shows(count)


async def test_preview_of_a_text_is_searched(places: Path) -> None:
    Path("poems.txt").write_text("\n".join(f"line {number} of Poems" for number in range(90)))
    async with driven(places) as app:
        await app.in_mode("corpus")
        await app.shows("line 1 of Poems")
        await find(app, "line 7", "1 of 11")
        await app.press("enter", shows=("line 70 of Poems", "2 of 11"))
        app.burst("up", "up", "up", "down")  # equal ones are one step
        await app.shows("line 79 of Poems", "11 of 11")
        app.screen.query_one(FindBar).query_one(Input).value = "poems"
        await app.shows("of 90", "Ctrl+L case")
        for _ in range(2):
            app.app.notify_info("Said meanwhile.")  # a notification covers neither the bar nor the text
        text = await app.shows("Said meanwhile.", "Ctrl+L case", "Find")
        assert text.count("Said meanwhile.") == 1
        await app.until(lambda: app.screen.query_one(Toast).region.y == app.screen.query_one(FindBar).region.bottom)
        await app.press("ctrl+l", shows="not found · case as typed")
        await app.press("ctrl+l", "ctrl+o")
        app.screen.query_one(FindBar).query_one(Input).value = "poem"
        await app.shows("not found · whole words")
        await app.press("ctrl+o", shows="of 90")
        await app.press("ctrl+l")
        await app.press("escape")
        await app.until(lambda: not app.mode.query(FindBar) and isinstance(app.mode.focused, TextPreview))
        assert app.app.last_search.match_case
        await app.go("runs")
        await app.press("ctrl+f", shows="no text here")


async def test_find_in_the_preview_of_a_long_text_says_how_much_is_searched(places: Path) -> None:
    Path("novel.txt").write_text("the sea and the sky\n" * 2_000)
    async with driven(places) as app:
        await app.shows("the sea and the sky")
        await find(app, "the", "1 of 1,200 in the 12,000 characters shown")
        await app.shows("Esc close")

"""Snapshots of screens: their files, and what a test says of a screen that differs."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from driven_app import Driven
from screen_snapshots import WRITE, Snapshot, SnapshotFolder


def test_differences_of_snapshots_name_rows_then_cells_with_their_styles() -> None:
    plain, bold = "foreground on panel", "foreground on panel bold"
    old = Snapshot(["keys", "same"], [[plain] * 4, [plain] * 4])
    new = Snapshot(["1 key", "same"], [[plain, plain, plain, bold, plain], [plain, bold, bold, plain]])
    assert list(old.differences(old)) == []
    assert list(old.differences(new)) == [
        *("row 1", "  - keys", "  + 1 key"),
        f"row 1: {bold} is new",
        f"row 2, columns 2 to 3: was {plain}, is {bold}",
    ]


def test_styles_of_a_snapshot_keep_their_letters_when_it_is_written_anew() -> None:
    old = Snapshot(["ab"], [["one", "one", "two"]])
    text = old.to_text("")
    assert text.endswith("\n..a\n---- letters\n. one\na two\n")
    new = Snapshot(["ab"], [["three", "two", "two"]])
    assert new.to_text(text).endswith("\n.aa\n---- letters\n. three\na two\n")
    assert Snapshot.from_text(new.to_text(text)) == new


async def test_screen_that_differs_from_its_snapshot_says_how_and_what_accepts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Words(App[None]):
        def compose(self) -> ComposeResult:
            yield Static("now")

    monkeypatch.setattr("screen_snapshots.STILL", 1)
    app = Words()
    async with app.run_test(size=(8, 2)) as pilot:
        it = Driven(app, pilot)  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match="make snapshots"), SnapshotFolder(tmp_path) as screens:
            await screens.compare("new", it)
        monkeypatch.setenv(WRITE, "1")
        with SnapshotFolder(tmp_path) as screens:
            await screens.compare("words", it)
        monkeypatch.delenv(WRITE)
        with SnapshotFolder(tmp_path) as screens:
            await screens.compare("words", it)
        app.query_one(Static).update("then")
        with (
            pytest.raises(AssertionError, match=r"words.txt:\nrow 1\n  - now\n  \+ then\n"),
            SnapshotFolder(tmp_path) as screens,
        ):
            await screens.compare("words", it)

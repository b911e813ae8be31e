"""The candidates by themselves: what their rows say and draw."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from textual.app import App, ComposeResult

from charlstm.generation.rows import Alternative, NextCharDistribution
from charlstm.generation.sampler_settings import SamplerKeywords, SamplerSettings
from charlstm.generation.sampling import Sampler
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.sampler_panel import SamplerPanel, hides_temperature
from charlstm_tui.theme import DARK

MODEL = {"␣": 0.52, "e": 0.28, "t": 0.12, "a": 0.05, "o": 0.03}
NO_FILTER = SamplerSettings(temperature=1, min_p=None)


def distribution(settings: SamplerSettings) -> NextCharDistribution:
    """What the sampler makes of :data:`MODEL`."""
    probabilities = np.array(list(MODEL.values()), np.float32)
    weights = Sampler(settings).weights(np.log(probabilities))
    drawn = weights / weights.sum()
    alternatives = tuple(
        Alternative(" " if char == "␣" else char, float(probability), float(chance), bool(chance))
        for char, probability, chance in zip(MODEL, probabilities, drawn, strict=True)
    )
    kept = weights > 0
    entropy = float(-(probabilities * np.log2(probabilities)).sum())
    return NextCharDistribution(alternatives, entropy, int(kept.sum()), len(MODEL), float(probabilities[kept].sum()))


class Host(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.picked: list[str] = []

    def compose(self) -> ComposeResult:
        yield Candidates()

    def on_candidates_picked(self, event: Candidates.Picked) -> None:
        self.picked.append(event.char)


@asynccontextmanager
async def rows(settings: SamplerSettings, width: int = 28, height: int = 10) -> AsyncIterator[list[str]]:
    app = Host()
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        candidates = app.query_one(Candidates)
        candidates.show(distribution(settings), settings, None, "the sea")
        yield [candidates.render_line(y).text.rstrip() for y in range(height)]


async def test_rows_show_the_models_bar_the_samplers_mark_and_what_is_cut() -> None:
    async with rows(NO_FILTER) as shown:
        assert shown[:7] == [
            "NEXT “…ea” █ model │ sampler",
            "  ␣ █████│       52 %   52 %",
            "  e ██│          28 %   28 %",
            "  t █│           12 %   12 %",
            "  a │           5.0 %  5.0 %",
            "  o │           3.0 %  3.0 %",
            "all 5 kept",
        ]
    async with rows(SamplerSettings(temperature=1, top_k=2, min_p=None)) as shown:
        assert shown[1:5] == [
            "  ␣ █████▎│      52 %   65 %",
            "  e ██▊│         28 %   35 %",
            "── 3 cut by top-k: 20 % ────",
            "entropy 1.2 nats",
        ]


@pytest.mark.parametrize(
    ("settings", "width", "words"),
    [
        (SamplerSettings(temperature=5, min_p=None), 28, "\n  ␣ ██│██▎ "),  # the mark is inside the bar
        (SamplerSettings(temperature=1, min_p=None), 60, "all 5 kept · entropy 1.2 nats"),
        (SamplerSettings(temperature=1, top_k=1, min_p=None), 60, "1 of 5 kept: 52 % · temperature does nothing here"),
    ],
)
async def test_rows_and_foot_say_what_the_sampler_does(settings: SamplerSettings, width: int, words: str) -> None:
    async with rows(settings, width) as shown:
        assert words in "\n".join(shown)


@pytest.mark.parametrize("width", [12, 18, 23, 28, 37, 53])
@pytest.mark.parametrize("height", [2, 4, 8, 30])
async def test_rows_fit_any_size(width: int, height: int) -> None:
    async with rows(SamplerSettings(top_k=2), width, height) as shown:
        assert all(len(row) <= width for row in shown)
        assert "  ␣" in shown[1] or height < 3


@pytest.mark.parametrize(
    "settings",
    [
        NO_FILTER,
        SamplerSettings(),
        SamplerSettings(temperature=0),
        SamplerSettings(temperature=3, min_p=None),
        SamplerSettings(temperature=0.3, top_p=0.9),
        SamplerSettings(typical=0.5, min_p=None),
        SamplerSettings(kind="reference", top_k=3),
    ],
    ids=str,
)
async def test_each_column_adds_up_with_what_is_cut(settings: SamplerSettings) -> None:
    def figure(words: str) -> float:
        return float(words.strip("<>"))

    async with rows(settings, 53) as shown:
        found = [re.findall(r"[<>\d.]+(?= %)", row) for row in shown[1:]]
        columns = [(figure(each[0]), figure(each[1])) for each in found if len(each) == 2]
        cut = next((figure(re.findall(r"[<>\d.]+(?= %)", row)[0]) for row in shown if "cut by" in row), 0.0)
        assert len(columns) == 5 or cut
        assert abs(sum(model for model, _ in columns) + cut - 100) < 1.5
        assert abs(sum(drawn for _, drawn in columns) - 100) < 1.5


async def test_a_list_to_choose_from_scrolls_to_all_of_them() -> None:
    chars = [chr(ord("A") + n) for n in range(26)]
    alternatives = tuple(Alternative(char, 1 / 26, 1 / 20, n < 20) for n, char in enumerate(chars))
    app = Host()
    async with app.run_test(size=(28, 10)) as pilot:
        await pilot.pause()
        candidates = app.query_one(Candidates)
        many = NextCharDistribution(alternatives, 4.7, 20, 26, 0.8)
        candidates.show(many, SamplerSettings(top_k=20), "C", "the sea")

        def shown() -> list[str]:
            return [candidates.render_line(y).text[:3].rstrip() for y in range(10)]

        assert shown()[1:8] == ["  A", "  B", "  C", "  D", "  E", "  F", "  G"]  # no digit is a key yet
        candidates.choosing = True
        await pilot.pause()
        assert candidates.chosen is not None
        assert candidates.chosen.char == "C"  # which is in the text
        reversed_in = [
            "".join(each.text for each in candidates.render_line(y) if each.style is not None and each.style.reverse)
            for y in range(1, 6)
        ]
        assert reversed_in == ["", "", "3 C", "", ""]
        for place in range(3, 26):
            candidates.do_choice(1)
            assert candidates.chosen.char == chars[place]
            assert any(row.endswith(chars[place]) for row in shown()[1:9])
        assert shown()[1:9] == ["  T", "──", "  U", "  V", "  W", "  X", "  Y", "  Z"]
        assert "20 of 26 kept" in candidates.render_line(9).text  # while choosing, what is cut is listed too
        candidates.do_choice(-100)
        assert "↓ 19 more" in candidates.render_line(9).text
        assert shown()[1:8] == ["1 A", "2 B", "3 C", "4 D", "5 E", "6 F", "7 G"]
        await pilot.click(candidates, offset=(2, 4))
        assert app.picked == ["D"]
        candidates.choosing = False
        assert shown()[1:8] == ["  A", "  B", "  C", "  D", "  E", "  F", "  G"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"top_k": 1}, "top-k 1 hides temperature"),
        ({"top_k": 2}, "top-k 2 hides much of temperature"),
        ({"min_p": 0.5}, "min-p 0.50 hides much of temperature"),
        ({"min_p": 1.0}, "min-p 1.00 hides temperature"),
        ({"top_p": 0.2}, "top-p 0.20 hides much of temperature"),
        ({"temperature": 0.0}, "temperature 0: filters do nothing"),
        ({"min_p": 0.05}, ""),
        ({"top_k": 40, "top_p": 0.9}, ""),
    ],
)
async def test_panel_says_which_filter_hides_what_temperature_does(settings: SamplerKeywords, words: str) -> None:
    chosen = SamplerSettings(**settings)
    assert hides_temperature(chosen) == words

    class Panel(Host):
        def compose(self) -> ComposeResult:
            yield SamplerPanel()

    async with Panel().run_test() as pilot:
        panel = pilot.app.query_one(SamplerPanel)
        panel.show(chosen, 60)
        await pilot.pause()
        shown = [panel.render_line(row).text.strip() for row in range(panel.size.height)]
        assert shown[-1].startswith("!") == bool(words)
        assert not words or shown[-1] == f"!    {words}"

"""The candidates by themselves: what their rows say and draw."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from textual.pilot import Pilot

from charlstm.generation.rows import Alternative, NextCharDistribution
from charlstm.generation.sampler_settings import SamplerKeywords, SamplerSettings
from charlstm.generation.sampling import Sampler
from charlstm_tui.generate.candidates import Candidates, filters_on
from charlstm_tui.generate.sampler_panel import SamplerPanel, hides_temperature
from hosted_widget import drawn_rows, hosted

MODEL = {"␣": 0.52, "e": 0.28, "t": 0.12, "a": 0.05, "o": 0.03}
NO_FILTER = SamplerSettings(temperature=1, min_p=None)


def distribution(settings: SamplerSettings) -> NextCharDistribution:
    """What the sampler makes of :data:`MODEL`."""
    probabilities = np.array(list(MODEL.values()), np.float32)
    weights = Sampler(settings).weights(np.log(probabilities))
    alternatives = tuple(
        Alternative(" " if char == "␣" else char, float(probability), float(chance), bool(chance))
        for char, probability, chance in zip(MODEL, probabilities, weights / weights.sum(), strict=True)
    )
    kept = weights > 0
    entropy = float(-(probabilities * np.log2(probabilities)).sum())
    return NextCharDistribution(alternatives, entropy, int(kept.sum()), len(MODEL), float(probabilities[kept].sum()))


async def rows(
    candidates: Candidates, pilot: Pilot[None], settings: SamplerSettings, width: int = 28, height: int = 10
) -> list[str]:
    """What the candidates show in this size."""
    candidates.styles.width, candidates.styles.height = width, height
    candidates.show(distribution(settings), settings, None, "the sea")
    await pilot.pause()
    return drawn_rows(candidates)


async def test_rows_show_the_models_bar_the_samplers_mark_and_what_is_cut() -> None:
    async with hosted(Candidates(), (80, 60)) as shown:
        assert (await rows(*shown, NO_FILTER))[:7] == [
            "NEXT “…ea” █ model │ sampler",
            "  ␣ █████│       52 %   52 %",
            "  e ██│          28 %   28 %",
            "  t █│           12 %   12 %",
            "  a │           5.0 %  5.0 %",
            "  o │           3.0 %  3.0 %",
            "all 5 kept",
        ]
        assert (await rows(*shown, replace(NO_FILTER, top_k=2)))[1:5] == [
            "  ␣ █████▎│      52 %   65 %",
            "  e ██▊│         28 %   35 %",
            "── 3 cut by top-k: 20 % ────",
            "entropy 1.2 nats",
        ]
        hot = await rows(*shown, replace(NO_FILTER, temperature=5))
        assert hot[1].startswith("  ␣ ██│██▎ "), "the mark is inside the bar"
        one = "1 of 5 kept: 52 % · temperature does nothing here"
        for top_k, words in ((None, "all 5 kept · entropy 1.2 nats"), (1, one)):
            assert words in "\n".join(await rows(*shown, replace(NO_FILTER, top_k=top_k), 60))
    assert filters_on(SamplerSettings(kind="reference")) == ["top-k"]


async def test_rows_fit_any_size() -> None:
    async with hosted(Candidates(), (80, 60)) as shown:
        for width, height in product((12, 18, 23, 28, 37, 53), (2, 4, 8, 30)):
            found = await rows(*shown, SamplerSettings(top_k=2), width, height)
            figures = "52 %   68 %" if width > 12 else "52 %"  # what does not fit is left out, not cut
            assert height < 3 or re.fullmatch(rf"  ␣ .*{figures}", found[1])
            assert len(shown[0].shown) == 1 or height > 4, "no digit picks what is not drawn"


async def test_a_list_to_choose_from_scrolls_to_all_of_them() -> None:
    chars = [chr(ord("A") + n) for n in range(26)]
    alternatives = tuple(Alternative(char, 1 / 26, 1 / 20, n < 20) for n, char in enumerate(chars))
    async with hosted(Candidates(), (28, 10)) as (candidates, pilot):
        candidates.show(NextCharDistribution(alternatives, 4.7, 20, 26, 0.8), SamplerSettings(top_k=20), "C", "the sea")

        def shown() -> list[str]:
            return [row[:3].rstrip() for row in drawn_rows(candidates)]

        assert shown()[1:8] == ["  A", "  B", "  C", "  D", "  E", "  F", "  G"]  # no digit is a key yet
        candidates.choosing = True
        await pilot.pause()
        assert candidates.chosen.char == "C"  # which is in the text
        strips = [candidates.render_line(y) for y in range(1, 6)]
        marked = ["".join(each.text for each in strip if each.style and each.style.reverse) for strip in strips]
        assert marked == ["", "", "3 C", "", ""]
        for place in range(3, 26):
            candidates.do_choice(1)
            assert candidates.chosen.char == chars[place]
            assert any(row.endswith(chars[place]) for row in shown()[1:9])
        assert shown()[1:9] == ["  T", "──", "  U", "  V", "  W", "  X", "  Y", "  Z"]
        assert "20 of 26 kept" in drawn_rows(candidates)[9]  # while choosing, what is cut is listed too
        candidates.do_choice(-100)
        assert "↓ 19 more" in drawn_rows(candidates)[9]
        assert shown()[1:8] == ["1 A", "2 B", "3 C", "4 D", "5 E", "6 F", "7 G"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"top_k": 1}, "top-k 1 hides temperature"), ({"top_k": 2}, "top-k 2 hides much of temperature"),
        ({"min_p": 0.5}, "min-p 0.50 hides much of temperature"), ({"min_p": 1.0}, "min-p 1.00 hides temperature"),
        ({"top_p": 0.2}, "top-p 0.20 hides much of temperature"),
        ({"temperature": 0.0}, "temperature 0: filters do nothing"),
        ({"min_p": 0.05}, ""), ({"top_k": 40, "top_p": 0.9}, ""),
    ],
)  # fmt: skip
def test_which_filter_hides_what_temperature_does(settings: SamplerKeywords, words: str) -> None:
    assert hides_temperature(SamplerSettings(**settings)) == words


async def test_panel_says_which_filter_hides_what_temperature_does_as_its_last_row() -> None:
    async with hosted(SamplerPanel()) as (panel, pilot):
        for top_k, last in ((1, "!    top-k 1 hides temperature"), (40, None)):
            panel.show(SamplerSettings(top_k=top_k), 60)
            await pilot.pause()
            assert [row for row in drawn_rows(panel) if row.startswith("!")] == ([last] if last else [])
            assert not last or drawn_rows(panel)[-1] == last

"""What is to be played, as a table: what a choice, a key, a start and a run make of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from charlstm_tui.choices import ModelChoice
from charlstm_tui.to_play import LEAST_PLAYED, Asked, OnBetter, Playing, ToPlay

RUN, OTHER, BOX, STORY = Path("/runs/one"), Path("/runs/two"), ModelChoice("demo"), Path("/runs/one/story.json")
BEST, SNAPSHOT = ModelChoice(str(RUN)), ModelChoice(str(RUN), 400)

Event = Callable[[ToPlay], ToPlay]


def opens(choice: ModelChoice) -> Event:
    return lambda now: now.choose(choice).open(choice, 0.0)


def asks(choice: ModelChoice, asked: Asked = Asked.PLAY) -> Event:
    return lambda now: now.choose(choice, asked)


def waits(now: ToPlay) -> ToPlay:
    return now.wait(RUN)


NOTHING, STAND_IN, BEFORE_RUN, BEGUN, OWN = Playing
TABLE: dict[str, tuple[list[Event], Playing, ModelChoice | None, ModelChoice | None]] = {
    # events, what is played, the choice that is played, the choice that an entry into Generate finds
    "the app starts": ([], NOTHING, None, None),
    "the first choice of Generate": ([lambda now: now.open(BEST, 0.0)], BEGUN, BEST, None),
    "a run": ([opens(BEST)], BEGUN, BEST, BEST),
    "a snapshot": ([opens(SNAPSHOT)], BEGUN, SNAPSHOT, SNAPSHOT),
    "a key": ([opens(BEST), ToPlay.touch], OWN, BEST, BEST),
    "a saved text": ([lambda now: now.continue_session(STORY).open_session(BOX)], OWN, BOX, BOX),
    "a run warms up": ([asks(BEST), waits], STAND_IN, None, BEST),
    "a run warms up above a text": ([opens(BOX), asks(BEST), waits], BEFORE_RUN, BOX, BEST),
    "Esc while a run warms up": ([asks(BEST), waits, ToPlay.stop_waiting], NOTHING, None, None),
    "Esc above a text": ([opens(BOX), asks(BEST), waits, ToPlay.stop_waiting], BEGUN, BOX, BOX),
    "the run has learnt something": ([asks(BEST), waits, opens(BEST)], BEGUN, BEST, BEST),
    "what stands in was worked on": ([asks(BEST), waits, ToPlay.touch, ToPlay.stay], OWN, BOX, BOX),
    "the text before was worked on": ([opens(BOX), asks(BEST), waits, ToPlay.touch, ToPlay.stay], OWN, BOX, BOX),
    "another model reads the text": ([opens(BOX), ToPlay.touch, lambda now: now.go_on_with(BEST)], OWN, BEST, BEST),
    "a better model": ([opens(BEST), ToPlay.touch, lambda now: now.begin_again(9.0)], BEGUN, BEST, BEST),
    "a new text ends waiting": ([opens(BOX), asks(BEST), waits, asks(SNAPSHOT, Asked.BEGIN)], BEGUN, BOX, SNAPSHOT),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_events_make_what_is_played(case: str) -> None:
    events, state, played, chosen = TABLE[case]
    now = ToPlay()
    for event in events:
        now = event(now)
    assert (now.state, now.played, now.chosen, now.session) == (state, played, chosen, None)
    assert now.awaited == (RUN if state in (STAND_IN, BEFORE_RUN) else None)


def test_choice_that_is_played_is_opened_again_only_for_who_asks() -> None:
    now = opens(BEST)(ToPlay())
    assert [now.is_played(choice) for choice in (None, BEST, SNAPSHOT)] == [True, True, False]
    assert not asks(BEST)(now).is_played(BEST)
    assert asks(BEST)(now).go_on().is_played(BEST)
    assert asks(BEST)(asks(BEST, Asked.BEGIN)(now)).asked is Asked.BEGIN


def test_who_comes_back_to_an_awaited_run_goes_on_waiting_and_who_asks_for_it_waits_anew() -> None:
    now = waits(asks(BEST)(ToPlay())).touch()
    assert waits(now) is now
    assert not now.wait(OTHER).waits_for(RUN)
    assert waits(asks(BEST)(now)).untouched


def test_better_model_is_for_a_text_that_nobody_changed_once_it_was_read() -> None:
    now = opens(BEST)(ToPlay())
    assert now.on_better(LEAST_PLAYED / 2, is_shown=True) is OnBetter.LATER
    assert now.on_better(LEAST_PLAYED, is_shown=True) is OnBetter.BEGIN
    assert now.on_better(LEAST_PLAYED, is_shown=False) is OnBetter.OFFER
    assert now.touch().on_better(LEAST_PLAYED, is_shown=True) is OnBetter.OFFER


def test_all_that_is_played_and_awaited_follows_a_renamed_run() -> None:
    now = waits(opens(SNAPSHOT)(ToPlay()).choose(BEST)).continue_session(STORY).after_rename(RUN, OTHER)
    assert (now.chosen, now.played) == (ModelChoice(str(OTHER)), ModelChoice(str(OTHER), 400))
    assert (now.awaited, now.session) == (OTHER, OTHER / "story.json")

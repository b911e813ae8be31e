"""Duel: one prime and seed with two settings or models, or with cells held and without, streaming side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from charlstm.insight.features import BUILT_IN, feature_rate
from charlstm_tui.actions import Action, key_of
from charlstm_tui.formatting import percent
from charlstm_tui.generate.sampler_dialog import Chosen, SamplerDialog
from charlstm_tui.generate.sampler_panel import CAPTION, adjust, faster, other_settings, speed_words
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.generate.view_bar import held_words
from charlstm_tui.player.marks import Origin, uniform
from charlstm_tui.player.state import NORMAL_SPEED, PlaybackState
from charlstm_tui.player.thread import PAUSE_AFTER

SIDES = (1, 2)
"""The numbers of the player's playbacks that are the two sides."""
SHORT_TEMPERATURE = "temp"
"""The caption of the temperature where a side is narrow."""
NOT_HERE = ("edit_prime", "save", "last_session")
"""Handlers of actions of Generate that Duel has nothing for."""


class DuelView(GenerateView):
    """Two sides. The keys change the settings of the one in focus."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._states: dict[int, PlaybackState] = {}
        self._features: tuple[str, ...] = ()  # whose rates are shown

    def compose(self) -> ComposeResult:
        for number in SIDES:
            with Vertical(classes="duel-side", id=f"side-{number}"):
                yield Static(classes="duel-head", id=f"head-{number}")
                yield StreamView(id=f"duel-{number}")

    # ---- for the screen

    def view(self, number: int) -> StreamView:
        """The text of one side."""
        return self.query_one(f"#duel-{number}", StreamView)

    @property
    def text_view(self) -> StreamView:
        return self.view(self.chosen)

    @property
    def chosen(self) -> int:
        """The side in focus."""
        return SIDES[1] if self.view(SIDES[1]).has_focus else SIDES[0]

    def state(self, number: int) -> PlaybackState | None:
        """The last state of a side."""
        return self._states.get(number)

    @property
    def running(self) -> bool:
        """Whether a side streams."""
        return any(state.running for state in self._states.values())

    def scopes(self) -> tuple[str, ...]:
        return ("generate", "generate.duel")

    def can(self, action: Action) -> bool:
        return action.handler not in NOT_HERE and bool(self._states)

    def labels(self) -> dict[str, str]:
        return {"generate.stream": "pause" if self.running else "generate"}

    def figures(self) -> list[str]:
        speed = next((state.speed for state in self._states.values()), NORMAL_SPEED)
        less, more = key_of("generate.temperature_down"), key_of("generate.temperature_up")
        return [
            f"▶ {speed_words(speed)}" if self.running else "‖ paused",
            f"{key_of('app.next_pane')} other side",
            f"{less} {more} … its settings",
        ]

    def enter(self, played: PlaybackState, features: Sequence[str] = ()) -> None:
        """Play the prime of ``played`` on both sides: on the second with the cells that are held or, if there are none,
        with a higher temperature. The heads show how often ``features`` are true in what is generated."""
        self._states.clear()
        self._features = tuple(features)
        for number in SIDES:
            self.view(number).clear()
        self.view(SIDES[0]).focus()
        settings = played.settings
        hotter = replace(settings, temperature=round(min(2.0, settings.temperature + 0.4), 2))
        second = settings if played.clamps else hotter
        for number, chosen, clamps in zip(SIDES, (settings, second), ((), played.clamps), strict=True):
            request = replace(
                played.request, prime=played.prime, settings=chosen, speed=played.speed or NORMAL_SPEED, stream=True,
                session=None, clamps=clamps,
            )  # fmt: skip
            self.player.load(request, number)

    def leave(self) -> None:
        """End both sides."""
        for number in SIDES:
            self.player.remove(number)

    def open_model(self, model_name: str) -> None:
        self._load(self.chosen, model_name=model_name, step=None, clamps=())

    # ---- the player's states

    def show(self, state: PlaybackState) -> None:
        """Show what has changed on one side."""
        before = self._states.get(state.number)
        running = self.running
        self._states[state.number] = state
        view = self.view(state.number)
        if before is None or before.session_id != state.session_id or before.prime != state.prime:
            view.clear()
            view.append(state.prime, uniform(state.prime, Origin.PRIME))
        base = len(state.prime)
        if state.text or base + state.length != view.length:
            view.replace_from(base + state.start, state.text, state.marks)
        self._draw_heads()
        if state.note or state.failure:
            self.say(state.failure or state.note, error=bool(state.failure))
        if before is None or running != self.running:
            self.post_message(self.Changed())

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_heads)  # when the heads have their size

    def on_descendant_focus(self) -> None:
        """The keys are the other side's now."""
        self._draw_heads()
        self.post_message(self.Changed())

    @on(StreamView.CursorMoved)
    def _cursor_moved(self, event: StreamView.CursorMoved) -> None:
        event.stop()

    def _draw_heads(self) -> None:
        for number, state in self._states.items():
            head = self.query_one(f"#head-{number}", Static)
            head.set_class(number == self.chosen, "-chosen")
            head.update(self._head(number, state))

    def _head(self, number: int, state: PlaybackState) -> Content:
        if state.error or state.busy or state.facts is None:
            return Content.styled(state.error or state.busy, "$error" if state.error else "$quiet")
        facts, settings = state.facts, state.settings
        step = "" if facts.step is None else f" @ {facts.step:,}"
        values = []
        if any(each.clamps for each in self._states.values()):
            values = [held_words(state.clamps) if state.clamps else "no cell held"]
            text = self.view(number).text(len(state.prime))
            values += [rate_words(name, text) for name in self._features]
        values.append(f"{CAPTION['temperature']} {settings.temperature:.2f}")
        values += [
            f"{CAPTION[name]} {value:g}" for name in ("top_k", "top_p", "min_p") if (value := getattr(settings, name))
        ]
        values += other_settings(settings)
        mean = "" if state.bits_per_char is None else f"{state.bits_per_char:.2f} bits"
        mark = ("▸ " if number == self.chosen else "  ", "$accent")
        width = max(10, self.query_one(f"#head-{number}").content_size.width - len(mark[0]))
        name, bits = facts.name + step, f"  mean {mean}" if mean else ""
        if cell_len(name) + len(bits) > width:
            bits = f"  {mean}" if mean else ""
        shown = Content.styled(name, "bold").truncate(max(1, width - len(bits)), ellipsis=True)
        settings_line = " · ".join(values)
        if len(settings_line) > width:
            settings_line = settings_line.replace(CAPTION["temperature"], SHORT_TEMPERATURE)
        about = Content.styled(settings_line, "$quiet").truncate(width, ellipsis=True)
        return Content.assemble(mark, shown, bits, "\n  ", about)

    # ---- actions

    def do_stream(self) -> None:
        running = self.running
        for number in SIDES:
            self.player.pause(number) if running else self.player.stream(PAUSE_AFTER, number)

    def do_speed(self, direction: int) -> None:
        for number in SIDES:
            self.player.change_speed(lambda speed: faster(speed, direction), number)

    def do_adjust(self, name: str, direction: int) -> None:
        self.player.change_settings(lambda settings: adjust(settings, name, direction), self.chosen)

    def do_all_settings(self) -> None:
        number = self.chosen
        state = self._states.get(number)
        if state is None:
            return

        def chosen(answer: Chosen | None) -> None:
            if answer is not None:
                self.player.change_settings(lambda _: answer.settings, number)

        side = "left" if number == SIDES[0] else "right"
        self.app.push_screen(SamplerDialog(f"How characters are chosen on the {side}", state.settings), chosen)

    def do_duel_again(self) -> None:
        for number in SIDES:
            state = self._states.get(number)
            if state is not None:
                self._load(number, seed=state.request.seed + 1)

    def _load(self, number: int, **changes: Any) -> None:
        """Play a side from the prime, with ``changes`` and the settings that it has."""
        state = self._states.get(number)
        if state is not None:
            request = replace(state.request, settings=None, speed=None, stream=True, **changes)
            self.player.load(request, number)


def rate_words(feature: str, text: str) -> str:
    """How often a feature is true in a text, or its mean: ``inside quotes 34 %``."""
    rate = feature_rate(feature, text)
    return f"{feature} {percent(rate) if BUILT_IN[feature][0] == 'yes/no' else f'{rate:.1f}'}"

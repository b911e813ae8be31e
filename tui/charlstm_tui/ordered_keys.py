"""Handle keys one after another, so that a key reaches the dialog or view that the key before opens, at any speed of
typing.

Textual sends a key to the widget that has the focus when the app reads it. A key that opens a dialog, an input or a
view does so only when it has come back to the app from the focused widget and its parents. By then the app has read the
next keys of a quick typist, or a paste, and sent them to the widget that had the focus before.

Keys that wait are handled without a picture between them: a picture takes longer than most keys, so a held key would
go on after it was released. What only a picture shows is put off until then (:meth:`OrderedKeys.before_draw`).
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.events import Event, Idle, Key, Paste
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, TextArea

LONGEST_WAIT = 15.0
"""Seconds after which waiting keys are dropped, so that later keys act. Opening a form of many parts took 8 s on a busy
machine; a key that does not wait for it acts on what stands below, where it may delete a run."""
CHECK_INTERVAL = 0.02
"""Seconds between two looks, while keys wait, at whether what they wait for is there or has gone."""

DRAW_INTERVAL = 0.1
"""Seconds between two pictures while keys wait."""

MOST_AT_ONCE = 100
"""Equal keys that are handled as one, at most."""

FOLLOW_AFTER = 0.05
"""Seconds until a message follows a key behind which no other waits: first the screen shows what the key did."""


if TYPE_CHECKING:
    _Base = Screen[Any]
else:
    _Base = object  # Textual looks for styles in the first base that is a widget


class Typed(Event, bubble=False):
    """The keys that came from the terminal at once. Sent one by one, a quick key costs more on its way to the app than
    what it does."""

    def __init__(self, keys: list[Key]) -> None:
        super().__init__()
        self.keys = keys


class TakesHeldKeys:
    """A base of widgets with keys that a person holds, such as the arrows of a list. Such a key is handled at once, and
    not sent through the widget's parents."""

    def take_key(self, key: str, times: int) -> int:
        """Handle a key that came ``times`` times in a row; how many of these were handled."""
        raise NotImplementedError


class KeyHandled(Message, verbose=True):
    """Follows a key from the focused widget through its parents to the app: when it arrives, the key was handled."""


class TakesKeys(_Base):
    """A base of screens that get keys in their order. Goes before ``Screen`` among the bases."""

    def keys_wait(self, event: Key | Paste) -> bool:
        """Whether the key waits for what is being opened here."""
        return False

    def starts_action(self, event: Key | Paste) -> bool:
        """Whether this may be the key of an action, which may depend on what was put off until the next picture."""
        return False

    def take_key(self, event: Key | Paste, times: int) -> int:
        """Handle a key now that came ``times`` times in a row, if that opens nothing. Returns how many of these were
        handled; Textual sends a key of which none was."""
        for node in self.focused.ancestors_with_self if self.focused is not None else ():
            if isinstance(node, TakesHeldKeys) and isinstance(event, Key):
                return node.take_key(event.key, times)
        return 0

    def before_draw(self, act: Callable[[], object]) -> None:
        """See :meth:`OrderedKeys.before_draw`."""
        app = self.app
        app.before_draw(act) if isinstance(app, OrderedKeys) else act()

    @property
    def _puts_off_drawing(self) -> bool:
        """Whether the picture is put off while keys wait. A new layout is not: the next key may depend on it."""
        app = self.app
        return isinstance(app, OrderedKeys) and app.puts_off_drawing and not self._layout_required

    def on_idle(self, event: Idle) -> None:
        if self._puts_off_drawing:
            event.prevent_default()

    def _on_timer_update(self) -> None:
        if not self._puts_off_drawing:  # else Textual would draw between the messages that one key causes
            super()._on_timer_update()


class OrderedKeys(App[None]):
    """An app in which a key waits until the key before was handled and the dialog or view that it opened is there."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: deque[Key | Paste] = deque()
        self._following: KeyHandled | None = None  # what follows the key that is being handled
        self._target: MessagePump = self  # to which both are sent
        self._follows = True  # whether it was sent
        self._again = False  # whether it has to go a second time
        self._sent_at = 0.0
        self._check: Timer | None = None  # while keys wait
        self._waits_since = 0.0  # for what is being opened; 0 while no key waits for that
        self.puts_off_drawing = False
        """Whether the screen is not drawn now, because keys wait."""
        self._draws_later = False  # whether a picture was asked for behind the messages that wait
        self._draw_at = 0.0  # the earliest time of the next picture while keys wait
        self._before_draw: dict[Callable[[], object], None] = {}  # in the order in which they were asked for

    async def on_event(self, event: Event) -> None:
        if not isinstance(event, Typed | Key | Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        if not self.screen_stack:
            return  # the app is ending, and Textual would look for a screen
        self._keys.extend(event.keys if isinstance(event, Typed) else (event,))
        if self._following is None and not self._waits_since:
            await self._handle_keys()
        if self._following is not None and self._keys:
            self._send_following(self._following)
            self.puts_off_drawing = self.puts_off_drawing or time.monotonic() < self._draw_at
        if self._keys and self._check is None:
            self._check = self.set_interval(CHECK_INTERVAL, self._check_target)

    # ---- pictures

    def before_draw(self, act: Callable[[], object]) -> None:
        """Call ``act`` before the next picture: now, or while keys wait once for all of them."""
        if self.puts_off_drawing:
            self._before_draw[act] = None
        else:
            self._before_draw.pop(act, None)
            act()

    def bring_up_to_date(self) -> None:
        """Do now what was put off until the next picture, for what depends on it."""
        while self._before_draw:
            act = next(iter(self._before_draw))
            del self._before_draw[act]
            act()

    def _put_off_drawing(self) -> None:
        """Put off pictures while more keys wait than the next one, but for one every :data:`DRAW_INTERVAL` seconds."""
        if (len(self._keys) > 1 or self.message_queue_size) and time.monotonic() < self._draw_at:
            self.puts_off_drawing = True
        else:
            self._draw()

    def _draw(self) -> None:
        """Let the screen be drawn, with all that was put off."""
        self._draw_at = time.monotonic() + DRAW_INTERVAL
        before, self.puts_off_drawing = self.puts_off_drawing, False
        self.bring_up_to_date()
        if before and self.screen_stack:
            self.screen.check_idle()

    def _draw_after_keys(self) -> None:
        """Draw, unless more keys have come: then they are what draws."""
        self._draws_later = False
        if not self._keys and self.puts_off_drawing:
            if self.message_queue_size and time.monotonic() < self._draw_at:  # which may be keys
                self._draws_later = True
                self.call_later(self._draw_after_keys)
            else:
                self._draw()

    # ---- keys

    async def _handle_keys(self) -> None:
        self._following = None
        while self._keys and self._following is None:
            event, screen = self._keys[0], self.screen
            if self._must_wait(event):
                self._waits_since = self._waits_since or time.monotonic()
                self._draw()
                return
            if self._waits_since:  # first what the screen still has to do, such as setting the focus
                self._waits_since = 0.0
                self._follow(screen)
                return
            self._put_off_drawing()
            if isinstance(screen, TakesKeys):
                if screen.starts_action(event):
                    self.bring_up_to_date()
                elif taken := screen.take_key(event, self._times()):
                    for _ in range(taken):
                        self._keys.popleft()
                    if self._keys and not self.puts_off_drawing:
                        self._follow(screen)  # which is drawn meanwhile
                    continue
            self._keys.popleft()
            await super().on_event(event)
            target = self.focused or self.screen
            if not event.is_forwarded:  # an action was carried out
                self._follow(self)
            elif not _is_typed(event, target):
                self._again = isinstance(event, Key) and event.key == "enter"
                self._follow(target)
        if not self._keys and self.puts_off_drawing and not self._draws_later:
            self._draws_later = True
            self.call_later(self._draw_after_keys)
        if not self._keys and self._check is not None:
            self._check.stop()
            self._check = None

    def _times(self) -> int:
        """How many keys at the head of those that wait are the same, up to :data:`MOST_AT_ONCE`."""
        first, times = self._keys[0], 0
        for key in itertools.islice(self._keys, MOST_AT_ONCE):
            if not (isinstance(first, Key) and isinstance(key, Key) and key.key == first.key):
                break
            times += 1
        return times or 1

    def _must_wait(self, event: Key | Paste) -> bool:
        """Whether the screen is not there yet that is to get the key, or is opening something."""
        screen = self.screen
        if not screen.is_mounted:
            return True
        return isinstance(screen, TakesKeys) and not _is_typed(event, self.focused) and screen.keys_wait(event)

    def _follow(self, target: MessagePump) -> None:
        self._following = following = KeyHandled()
        self._target, self._sent_at, self._follows = target, time.monotonic(), False
        if self._keys:
            self._send_following(following)
        else:
            self.set_timer(FOLLOW_AFTER, lambda: self._send_following(following))

    def _send_following(self, following: KeyHandled) -> None:
        if following is self._following and not self._follows:
            self._follows, self._sent_at = True, time.monotonic()
            self._target.post_message(following)

    def on_key_handled(self, event: KeyHandled) -> None:
        event.stop()
        if event is self._following:
            self.call_later(self._next_key, event)  # after what was called later meanwhile, such as setting the focus

    async def _next_key(self, event: KeyHandled) -> None:
        if event is not self._following:
            return
        if self._again:  # what a widget does after a key, such as submitting a line, is a message that comes behind it
            self._again = False
            self._follow(self._target)
        else:
            await self._handle_keys()

    async def _check_target(self) -> None:
        """Handle the next key if the awaited dialog or view is there, or the widget of the key before has gone."""
        if not self.screen_stack:  # the app is ending
            return
        gone = isinstance(self._target, Widget) and not self._target.is_attached
        if (self._waits_since or not gone) and time.monotonic() - (self._waits_since or self._sent_at) > LONGEST_WAIT:
            left_out, self._waits_since = len(self._keys), 0.0
            self._keys.clear()
            keys = "1 key" if left_out == 1 else f"{left_out} keys"
            self.notify(f"Left out {keys}: what should get them did not open within {LONGEST_WAIT:.0f} s.")
        elif not (gone or self._waits_since):
            return
        self._again = False
        await self._handle_keys()


def _is_typed(event: Key | Paste, target: object) -> bool:
    """Whether the event is text for an input, which opens nothing."""
    return isinstance(target, Input | TextArea) and (isinstance(event, Paste) or event.is_printable)

"""The one table of actions: from it come key bindings, footer, help and palette.

An action is a key's meaning in a *scope*. ``SCOPES`` has those that are active in each view, and a test proves that no
key has two meanings in one. This module knows no widgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from textual.binding import Binding, BindingType

MODES: tuple[tuple[str, str], ...] = (
    ("corpus", "Corpus"),
    ("train", "Train"),
    ("generate", "Generate"),
    ("runs", "Runs"),
)

#: The app's own: what is always active; what a view may take; and the two that need a focus outside inputs.
ANYWHERE, PANES, DIGITS, OUTSIDE = "anywhere", "panes", "modes", "outside"
#: Scopes whose actions act while a text field has the focus.
IN_INPUTS = (ANYWHERE, PANES, "generate.write", "generate.write.suggestion")
COMMON = (ANYWHERE, PANES, DIGITS, OUTSIDE)
#: Who carries out the actions of a scope, where that is not the view: a part of it, or the screen of the mode.
BY = {
    "train": "screen", "generate.models": "screen", "generate.views": "screen", "generate.model": "screen",
    "generate.walk": "text", "generate.tree": "tree", "generate.choices": "candidates",
    "generate.write.suggestion": "writing",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    """An action: a key, its scopes and its handler.

    The handler is the method ``do_<handler>`` of the app (scopes ``anywhere``, ``panes``, ``modes``, ``outside``) or of
    the part ``by`` in the mode that begins the scope's name; it is called with ``args``. ``footer`` orders the labels
    at the bottom of the screen, the smallest first; 0 keeps it out.
    """

    id: str
    default_keys: tuple[str, ...]
    scopes: tuple[str, ...]
    label: str
    help: str
    handler: str
    args: tuple[Any, ...] = ()
    footer: int = 0
    palette: bool = True
    words: str = ""
    """Other words for the action, for the palette."""
    by: str = ""
    """Who carries it out: the view that is shown, a part of it with this name, or the ``screen`` of the mode."""
    needs: str = ""
    """The name in :meth:`~charlstm_tui.view.View.has` that the action acts on; empty if nothing is needed."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The user's keys for the action, else the default keys."""
        return _configured_keys.get(self.id, self.default_keys)

    @property
    def scope(self) -> str:
        """The first of its scopes."""
        return self.scopes[0]

    @property
    def mode(self) -> str | None:
        """The mode that the action belongs to; ``None`` for the app's own."""
        head = self.scope.partition(".")[0]
        return head if any(head == mode for mode, _ in MODES) else None

    @property
    def acts_in_inputs(self) -> bool:
        """Whether it acts while a text field has the focus: what is always active, and what Ctrl sets off."""
        return any(scope in IN_INPUTS for scope in self.scopes) or all("ctrl+" in key for key in self.keys)

    @property
    def key_label(self) -> str:
        """The first key as a person calls it."""
        return key_name(self.keys[0]) if self.keys else ""


def row(
    scopes: str, name: str, keys: str, label: str, about: str, *args: Any, handler: str = "", footer: int = 0,
    palette: bool = True, words: str = "", by: str = "", needs: str = "",
) -> Action:  # fmt: skip
    """A row of the table, in scopes of one mode. The method that carries it out is ``do_HANDLER``, by default that of
    the action; ``by`` is by default who has those of the first scope."""
    scope, *_ = where = tuple(scopes.split())
    mode = scope.partition(".")[0]
    id = f"{'app' if mode in COMMON else mode}.{name}"
    by = by or BY.get(scope, "")
    default_keys, handler = tuple(keys.split()), handler or name
    return Action(id, default_keys, where, label, about, handler, args, footer, palette, words, by, needs)


_NAMES = {
    "question_mark": "?", "colon": ":", "slash": "/", "comma": ",", "full_stop": ".", "plus": "+", "minus": "-",
    "left_square_bracket": "[", "right_square_bracket": "]", "left_curly_bracket": "{", "right_curly_bracket": "}",
    "escape": "Esc", "enter": "Enter", "space": "Space",
    "tab": "Tab", "left": "←", "right": "→", "up": "↑", "down": "↓", "equals_sign": "=",
    "exclamation_mark": "!",
    "home": "Home", "end": "End", "pageup": "PageUp", "pagedown": "PageDown",
}  # fmt: skip


def key_name(key: str) -> str:
    """A Textual key name as a person reads it: ``ctrl+right`` is ``Ctrl+→``, ``T`` stays ``T``."""
    *modifiers, last = key.split("+")
    capital = bool(modifiers) or (last[:1] == "f" and last[1:].isdigit())
    return "+".join([*(word.capitalize() for word in modifiers), _NAMES.get(last, last.upper() if capital else last)])


_configured_keys: dict[str, tuple[str, ...]] = {}

ACTIONS: tuple[Action, ...] = (
    # ---- the app, wherever the focus is
    row(ANYWHERE, "help", "f1", "help", "All keys of this pane, with explanations.", palette=False),
    row(ANYWHERE, "palette", "ctrl+p", "palette", "Find any action by its name.", palette=False),
    row(ANYWHERE, "quit", "ctrl+q", "quit", "Leave; asks first when a run trains or a text is not saved.",
        palette=False),
    row(ANYWHERE, "copy", "ctrl+c", "copy", "Copy the selected text, or all of it when nothing is selected.",
        words="clipboard yank"),
    row(ANYWHERE, "screenshot", "ctrl+t", "screenshot", "Save a picture of the screen, as SVG.",
        words="svg picture screen export"),
    row(ANYWHERE, "find", "ctrl+f", "find", "Find in the text in focus, or in the first of the screen.",
        words="search"),
    row(ANYWHERE, "back", "escape", "back", "Close the dialog, input or view. Never quits.", palette=False),
    row(PANES, "next_pane", "tab", "next pane", "Move to the next pane.", palette=False),
    row(PANES, "previous_pane", "shift+tab", "previous pane", "Move to the previous pane.", palette=False),
    *(
        row(DIGITS, f"mode_{mode}", str(number), title, f"Go to {title}.", mode, handler="go")
        for number, (mode, title) in enumerate(MODES, 1)
    ),
    row(OUTSIDE, "help_key", "question_mark", "help", "All keys of this pane, with explanations.", handler="help",
        words="shortcuts bindings"),
    row(OUTSIDE, "palette_key", "colon", "palette", "Find any action by its name.", handler="palette", palette=False),
    row(OUTSIDE, "quit_key", "q", "quit", "Leave; asks first when a run trains or a text is not saved.", handler="quit",
        words="exit close"),
    row(OUTSIDE, "errors", "exclamation_mark", "show errors",
        "Show the unexpected errors of this session, to copy them.", words="log traceback problem bug"),
    row(OUTSIDE, "zoom", "z", "zoom", "Show this pane alone, or all panes again.", footer=60,
        words="maximize full screen"),
    row(OUTSIDE, "units", "u", "nats/bits", "Show losses in nats or in bits per character."),
    # ---- Corpus
    row("corpus", "use", "enter", "use", "Take this text and go to Train.", footer=1, needs="usable"),
    row("corpus", "open_path", "o", "open path", "Type the path of a file or folder; Tab completes it.", footer=2,
        words="load text"),
    row("corpus", "find", "slash", "filter", "Show only the texts whose names have these letters.", footer=3),
    row("corpus", "licence", "l", "licence", "Leave out Project Gutenberg's header and licence, or not.",
        "strip_boilerplate", True, False, handler="switch", footer=4, needs="text"),
    row("corpus", "lines", "p", "lines", "Join the lines of wrapped prose into paragraphs, or not.",
        "lines", "auto", "keep", handler="switch", footer=5, needs="lines"),
    row("corpus", "split_units", "s", "units", "Read the text as units: names, poems or tunes.", footer=9,
        needs="text", words="lines blank prefix"),
    row("corpus", "held_out", "h", "held out", "Hold out the end of the text, or blocks spread over it.",
        "split", "tail", "blocks", handler="switch", footer=6, needs="lines"),
    # ---- Train, in all of its states
    row("train", "previous_run", "comma", "previous run", "Look at the previous run.", 1, handler="another_run",
        footer=8, needs="previous run"),
    row("train", "next_run", "full_stop", "next run", "Look at the next run.", -1, handler="another_run",
        needs="next run"),
    row("train.chart", "log_axis", "g", "log axis", "Logarithmic axes: the loss, both, steps or time, none."),
    row("train.chart", "time_axis", "t", "steps/time", "Draw the chart by steps, or by training time."),
    row("train.chart", "smoothing", "s", "smoothing", "Smooth the training curve less or more."),
    row("train.chart", "zoom_in", "plus equals_sign", "closer", "Zoom the chart into the latest steps.", 1,
        handler="closer"),
    row("train.chart", "zoom_out", "minus", "wider", "Zoom the chart out again, up to the planned end.", -1,
        handler="closer"),
    row("train.chart", "others", "o", "other runs", "The curves of all runs on this text, on one chart.",
        words="compare overlay earlier", needs="other runs"),
    row("train.chart", "save_chart", "w", "save chart", "Save the whole curves in nats as SVG, or the losses as CSV.",
        words="svg csv export write file"),
    # before: choosing
    row("train.before", "start", "enter", "start", "Start training with these settings.", footer=1, needs="unstarted"),
    row("train.before", "previous_preset", "left", "preset", "The preset before this one.", -1, handler="preset",
        needs="text"),
    row("train.before", "next_preset", "right", "preset", "The preset after this one.", 1, handler="preset", footer=2,
        needs="text"),
    row("train.before", "all_settings", "a", "all settings", "Show and change every setting.", footer=3, needs="text"),
    row("train.before", "from_nothing", "0", "from nothing", "Start from random weights, or from the model in the box.",
        needs="start"),
    row("train.before", "from_model", "f", "from model", "Start from the weights of a trained model.", footer=4,
        needs="text"),
    row("train.before", "reset", "d", "reset", "Back to the preset as it is.", footer=5, needs="changes"),
    row("train.before", "queue", "l", "later", "Put the run into the queue: it begins when the runs before it have "
        "ended.", footer=7, words="queue behind after wait", needs="runs ahead"),
    row("train.before", "more_time", "m", "more time", "Raise the time limit while other programs slow it down.",
        footer=6, needs="slowdown"),
    # during
    row("train.live", "pause", "space", "pause", "Pause training, or continue.", footer=1, needs="training"),
    row("train.live", "stop", "x", "stop", "Stop the run at a checkpoint; it can be resumed.", footer=2, needs="live"),
    row("train.live", "rate", "r", "rate", "Set the learning rate now; the rest of the schedule follows.", footer=3,
        needs="training"),
    row("train.live train.after", "more", "m", "more minutes", "Train some minutes more, in place of other limits.",
        footer=6, needs="speed"),
    row("train.live", "finish", "F", "finish", "Lower the rate to zero in about half a minute, validate, end.",
        footer=7, needs="training"),
    row("train.live", "checkpoint", "ctrl+s", "checkpoint", "Save the exact state now.", footer=4, words="save",
        needs="training"),
    row("train.live", "play_now", "enter", "play now", "Play this run's best model.", handler="play", footer=5,
        needs="model"),
    # after
    row("train.after", "play", "enter", "play", "Play this run's best model.", footer=1, needs="model"),
    row("train.after", "resume", "space", "resume", "Resume a run that was stopped, crashed, or diverged.", footer=2,
        needs="resumable"),
    row("train.after", "new", "n", "new run", "Back to the settings, for another run.", footer=4,
        by="screen"),
    # ---- Generate
    row("generate.begin", "edit_prime", "e", "edit prime", "Write the text that generation starts from.", footer=19,
        words="opening begin start over", needs="model"),
    row("generate.begin", "new_text", "W", "new text",
        "Write on an empty page, on which nothing is generated by itself.",
        footer=20, words="write empty blank page story begin start over", by="screen", needs="model"),
    row("generate.models", "open_model", "o", "open model", "Play another run, file or the model in the box.",
        footer=12, words="load"),
    row("generate.models", "texts", "O", "texts", "Go on with another text: all that were saved, of all models.",
        footer=21, words="load open sessions stories list delete"),
    row("generate", "faster", "plus equals_sign", "faster", "More characters a second.", 1, handler="speed",
        words="speed"),
    row("generate", "slower", "minus", "slower", "Fewer characters a second.", -1, handler="speed",
        words="speed"),
    row("generate", "temperature_down", "t", "temperature −", "Lower temperature: more predictable.",
        "temperature", -1, handler="adjust"),
    row("generate", "temperature_up", "T", "temperature +", "Higher temperature: more varied.",
        "temperature", 1, handler="adjust"),
    row("generate", "top_k_down", "k", "top-k −", "Smaller top-k: fewer candidates.", "top_k", -1, handler="adjust"),
    row("generate", "top_k_up", "K", "top-k +", "Larger top-k: more candidates, then no limit.",
        "top_k", 1, handler="adjust"),
    row("generate", "top_p_down", "p", "top-p −", "Smaller top-p: only the likeliest share.",
        "top_p", -1, handler="adjust"),
    row("generate", "top_p_up", "P", "top-p +", "Larger top-p: a larger share, then all.", "top_p", 1,
        handler="adjust"),
    row("generate", "min_p_down", "m", "min-p −", "Smaller min-p: let less likely ones in.",
        "min_p", -1, handler="adjust"),
    row("generate", "min_p_up", "M", "min-p +", "Larger min-p: cut the unlikely ones.", "min_p", 1, handler="adjust"),
    row("generate", "all_settings", "a", "all settings", "All settings of the sampler, also those without a key.",
        footer=11, words="repetition penalty"),
    row("generate.play generate.duel generate.write", "save", "ctrl+s", "save", "Save the session, or export its text; "
        "in Duel both texts.", footer=5, needs="saveable",
        words="export as text markdown html write file page print"),
    row("generate.play", "last_session", "l", "last session", "Continue the last session that was worked on.",
        footer=10, words="resume reopen history story", by="screen"),
    row("generate", "stream", "space", "generate", "Generate, or pause.", footer=1),
    row("generate.play", "next_unit", "U", "next unit",
        "Generate to the end of the next unit, such as a name or a tune.",
        footer=4, needs="units", words="line poem tune name"),
    row("generate.play", "new_units", "Y", "new units",
        "Generate twenty units that the training text does not have, and take one.",
        needs="new units", words="line poem tune name unique novel samples list"),
    row("generate", "find", "slash", "find", "Find in the text.", palette=False, by="screen"),
    row("generate.walk", "walk_left", "left", "back", "Move back by one character.", -1, 0, handler="walk", footer=2),
    row("generate.walk", "walk_right", "right", "on", "Move on; at the end, generate a character.", 1, 0,
        handler="walk"),
    row("generate.walk", "walk_up", "up", "line up", "Move up by one line.", 0, -1, handler="walk", palette=False),
    row("generate.walk", "walk_down", "down", "line down", "Move down by one line.", 0, 1, handler="walk",
        palette=False),
    row("generate.walk", "word_back", "ctrl+left", "word back", "Move back by one word.", -1, handler="walk_words",
        palette=False),
    row("generate.walk", "word_on", "ctrl+right", "word on", "Move on by one word.", 1, handler="walk_words",
        palette=False),
    row("generate.walk", "row_start", "home ctrl+a", "line start", "Go to the start of the line.", -1,
        handler="walk_row", palette=False),
    row("generate.walk", "row_end", "end ctrl+e", "line end", "Go to the end of the line.", 1, handler="walk_row",
        palette=False),
    row("generate.walk", "page_up", "pageup", "page up", "Move up by one page.", -1, handler="walk_page",
        palette=False),
    row("generate.walk", "page_down", "pagedown", "page down", "Move down by one page.", 1, handler="walk_page",
        palette=False),
    row("generate.walk", "text_start", "ctrl+home", "start", "Go to the start of the text.", -1, handler="walk_text",
        words="top beginning first"),
    row("generate.walk", "text_end", "ctrl+end G", "end", "Go to the end of the text.", 1, handler="walk_text",
        words="bottom last"),
    row("generate.text", "choices", "enter", "choices", "Pick another character at the cursor.", footer=3),
    row("generate.text", "regenerate", "r", "regenerate", "Regenerate from the cursor; the old text stays as a branch.",
        footer=9),
    row("generate.text", "continuations", "n", "continuations", "Read several continuations, and pick one.", footer=14,
        words="suggestions variants side by side"),
    row("generate.text", "less_likely", "full_stop", "less likely", "Put the next less likely character at the cursor, "
        "and continue it.", 1, handler="alternative", words="next alternative"),
    row("generate.text", "likelier", "comma", "likelier", "Put the next likelier character at the cursor, and continue "
        "it.", -1, handler="alternative", words="previous alternative"),
    row("generate.text", "own_text", "i", "own text", "Write text of your own at the cursor.", footer=8),
    row("generate.play", "branches", "b", "branches",
        "Show the branches as a tree, with their words.", footer=6),
    row("generate.play", "colour", "c", "colour", "Colour by surprise, rank or entropy, or not at all.", footer=7,
        words="highlight heatmap"),
    row("generate.play", "next_copied", "y", "copied", "Go to the next stretch that is copied from the training text."),
    row("generate.begin", "earlier", "left_square_bracket", "earlier", "Play an earlier model of the run: a text of "
        "yours stays, any other begins again.", -1, handler="checkpoint", needs="snapshots"),
    row("generate.begin", "later", "right_square_bracket", "later", "Play a later model of the run: a text of "
        "yours stays, any other begins again.", 1, handler="checkpoint", needs="snapshots"),
    row("generate.play", "write", "w", "Write", "Write together with the model.", by="screen", needs="not write"),
    # ---- Look inside: the views that explain, from each of them too
    row("generate.views", "look_inside", "I", "look inside", "Choose among the views that explain the model and the "
        "text.", words="explain score cells context multiverse duel"),
    row("generate.views", "score", "s", "Score", "See how surprising a text is; in Score what is selected, or all.",
        "score", handler="view"),
    row("generate.views", "cells", "x", "Cells", "See what single cells of the model follow in the text, and hold one.",
        "cells", handler="view", needs="not cells"),
    row("generate.views", "context", "g", "Context", "See how many characters back the model looks, and what for.",
        "context", handler="view", words="memory history look back", needs="not context"),
    row("generate.views", "multiverse", "f", "Multiverse", "See what could come next, as far as the cut-off, and "
        "choose from it.", "multiverse", handler="view", words="futures continuations loom", needs="not multiverse"),
    row("generate.views", "duel", "d", "Duel",
        "Two settings or models side by side, from the cursor on; while cells are "
        "held, from the prime, with them and without.", "duel", handler="view", needs="not duel"),
    row("generate.cells", "previous_cell", "left_curly_bracket", "previous cell", "Colour by the previous named cell.",
        -1, handler="another_cell"),
    row("generate.cells", "next_cell", "right_curly_bracket", "next cell", "Colour by the next named cell.", 1,
        handler="another_cell", footer=1),
    row("generate.cells", "find_cell", "slash", "go to cell", "Type the layer and number of a cell, or a feature.",
        footer=2),
    row("generate.cells", "next_place", "full_stop", "next place",
        "Go to the next place where the cell is most active.", 1, handler="place", footer=3),
    row("generate.cells", "previous_place", "comma", "previous place", "Go to the previous place where it is most "
        "active.", -1, handler="place"),
    row("generate.cells", "hold_higher", "plus equals_sign", "hold higher",
        "Hold the cell at a higher value while text is generated.", 1, handler="hold", footer=5),
    row("generate.cells", "hold_lower", "minus", "hold lower",
        "Hold the cell at a lower value while text is generated.", -1, handler="hold"),
    row("generate.cells", "let_go", "0", "let go", "Hold no cell any more.", footer=6, needs="held cells"),
    row("generate.cells", "cells_stream", "space", "generate", "Generate, or pause.", handler="stream", footer=8),
    row("generate.cells", "expect", "E", "likeliest next", "Show the likeliest next characters under the line at the "
        "cursor, or no longer.", footer=14),
    row("generate.cells", "through_training", "h", "through training", "Show what the cell did at the snapshots of the "
        "run, or no longer.", footer=15, needs="snapshots"),
    row("generate.cells", "lesions", "L", "what matters",
        "Show which cells matter: how much worse the model is without "
        "each, and where.", footer=16, words="lesion damage silence ablation", needs="activations"),
    row("generate.cells", "earlier_step", "left_square_bracket", "earlier step", "Colour by what the cell did at an "
        "earlier step.", -1, handler="other_step", footer=18, needs="steps"),
    row("generate.cells", "later_step", "right_square_bracket", "later step", "Colour by what the cell did at a later "
        "step.", 1, handler="other_step", needs="steps"),
    row("generate.multiverse", "put_in", "enter", "put in", "Put the chosen continuation into the text, as a branch.",
        footer=1, needs="continuation"),
    row("generate.multiverse", "step_on", "right", "walk", "Walk on to the likeliest next character.", 1, 0,
        handler="step", footer=2),
    row("generate.multiverse", "step_back", "left", "back", "Walk back by a character.", -1, 0, handler="step"),
    row("generate.multiverse", "step_up", "up", "likelier", "The continuation above.", 0, -1, handler="step",
        palette=False),
    row("generate.multiverse", "step_down", "down", "less likely", "The continuation below.", 0, 1, handler="step",
        palette=False),
    row("generate.multiverse", "zoom_in", "plus equals_sign", "closer", "Show what could come after the chosen "
        "continuation alone.", footer=3, needs="path"),
    row("generate.multiverse", "zoom_out", "minus", "wider", "Show again what was shown before.", footer=4,
        needs="zoom"),
    row("generate.multiverse", "shallower", "left_curly_bracket", "depth −", "Shorter continuations.", -1,
        handler="depth"),
    row("generate.multiverse", "deeper", "right_curly_bracket", "depth +", "Longer continuations.", 1, handler="depth"),
    row("generate.multiverse", "cutoff_down", "full_stop", "cut-off −", "Less likely continuations too.", -1,
        handler="cutoff"),
    row("generate.multiverse", "cutoff_up", "comma", "cut-off +", "Only likelier continuations.", 1, handler="cutoff"),
    row("generate.duel", "keep_side", "enter", "keep", "Put what this side generated into the text, at the cursor.",
        footer=6, words="take choose better put in", needs="text"),
    row("generate.duel", "duel_colour", "c", "colour", "Colour by surprise, rank or entropy, or not at all.",
        handler="colour", footer=3),
    row("generate.duel", "duel_again", "r", "regenerate", "Generate both sides again, with the next seed.", 1,
        footer=2),
    row("generate.duel", "duel_before", "B", "seed before", "Generate both sides again, with the seed before.", -1,
        handler="duel_again", footer=7, words="same again previous", needs="seed"),
    row("generate.score", "score_open", "o", "open text", "Score a file.", footer=1),
    row("generate.score", "score_next", "enter", "next surprise", "Go to the place, or sentence, marked in the "
        "list, then to the next of the list.", footer=2),
    row("generate.score", "score_list", "S", "sentences", "List the hardest sentences, or the most surprising "
        "characters.", footer=5, words="order sentences characters list"),
    row("generate.score", "score_learn", "ctrl+b", "learn",
        "Let the model learn while it reads, or score with its fixed "
        "weights again.", footer=3, words="dynamic evaluation adapt"),
    row("generate.score", "score_learn_less", "minus", "learn less", "Learn less from what is read.", -1,
        handler="score_strength", footer=10, words="strength rate dynamic weaker slower", needs="learning"),
    row("generate.score", "score_learn_more", "plus equals_sign", "learn more", "Learn more from what is read.", 1,
        handler="score_strength", footer=9, words="strength rate dynamic stronger faster", needs="learning"),
    row("generate.score", "score_colour", "c", "colour", "Colour by surprise, rank or entropy, or not at all.",
        handler="colour", footer=6),
    # ---- Score, Cells and Context, which have a text to read; and what the model makes of the text of any view
    row("generate.reading", "read_left", "left", "back", "Move back.", -1, 0, handler="walk", footer=4),
    row("generate.reading", "read_right", "right", "on", "Move on.", 1, 0, handler="walk", footer=7),
    row("generate.reading", "read_up", "up", "line up", "Move up.", 0, -1, handler="walk", palette=False),
    row("generate.reading", "read_down", "down", "line down", "Move down.", 0, 1, handler="walk", palette=False),
    row("generate.text generate.score generate.cells", "why", "v", "why", "Show or hide which earlier "
        "characters decide the one at the cursor.", footer=13, words="explain influence"),
    row("generate.model", "report", "R", "report",
        "Write a web page about the model on this text, and open it.",
        words="html browser explain teach"),
    row("generate.tree", "prune_branch", "D", "prune", "Remove the branch and what grows from it.", footer=3,
        needs="fork"),
    row("generate.tree", "name_branch", "N", "name", "Give the branch a name.", footer=2, needs="branch"),
    row("generate.choices", "pick_chosen", "enter", "choose", "Take the highlighted choice; the text branches here.",
        footer=2, palette=False),
    row("generate.choices", "choice_up", "up", "likelier", "Go to the choice above.", -1, handler="choice",
        palette=False),
    row("generate.choices", "choice_down", "down", "less likely", "Go to the choice below.", 1, handler="choice",
        footer=3, palette=False),
    *(
        row(
            "generate.choices", f"pick_{n}", str(n), "pick", f"Take choice {n}; the text branches here.", n,
            handler="pick", footer=1 if n == 1 else 0, palette=False, needs=f"choice {n}",
        )
        for n in range(1, 10)
    ),
    row("generate.play generate.write", "undo", "ctrl+z", "undo", "Undo the last change.",
        footer=15, words="take back revert", by="writing", needs="undo"),
    row("generate.play generate.write", "redo", "ctrl+y", "redo", "Redo what was undone.", words="repeat again",
        by="writing", needs="redo"),
    row("generate.play generate.write", "give_title", "f2", "title", "Give the session a title.",
        words="name rename session"),
    row("generate.play generate.write", "replace", "ctrl+u", "replace", "Find in the text, and replace what is found: "
        "one place or all.", words="substitute search exchange rename", by="screen"),
    row("generate.play generate.write", "text_only", "ctrl+d", "focus mode", "Show the text alone, or all panes again.",
        words="distraction free zen full screen only text"),
    row("generate.write", "continuations_written", "ctrl+n", "continuations",
        "Read several continuations, and pick one.",
        handler="continuations", footer=6, words="suggestions variants side by side"),
    row("generate.write", "accept_word", "ctrl+right ctrl+o", "accept word", "Accept the next word of the suggestion.",
        footer=2, by="writing", needs="suggestion"),
    row("generate.write", "settings_written", "ctrl+g", "sampler", "All settings of the sampler that suggests.",
        handler="all_settings", footer=16, words="temperature settings top-k"),
    row("generate.write", "colour_written", "f3", "colour", "Colour the text as in Play, or leave it plain.",
        handler="colour", footer=20, words="highlight heatmap surprise"),
    row("generate.write", "learn_written", "ctrl+b", "learn",
        "Suggest with a copy that learns from the text; again: one "
        "that learns more, then the model itself.", footer=19, words="dynamic evaluation adapt style strength",
        by="learning"),
    row("generate.write", "cut", "ctrl+x", "cut", "Cut what is selected, by the mouse or by Shift and the arrows.",
        footer=17, words="delete selection clipboard", by="writing"),
    row("generate.write", "cut_rest", "ctrl+r", "cut the rest", "Cut all of the text from the cursor to the end.",
        footer=18, words="delete remove truncate end", by="writing"),
    row("generate.write", "next_suggestion", "ctrl+l ctrl+down", "another", "Show another suggestion.", 1,
        handler="another_suggestion", footer=3, words="next suggestion other", by="writing", needs="suggestions"),
    row("generate.write", "previous_suggestion", "ctrl+k ctrl+up", "one before", "Show the suggestion before.",
        -1, handler="another_suggestion", words="previous suggestion", by="writing", needs="suggestions"),
    row("generate.write.suggestion", "accept_suggestion", "tab", "accept", "Accept the whole suggestion.", footer=1),
    # ---- Runs
    row("runs", "open", "enter", "open", "Look at this run in Train.", footer=1, needs="run"),
    row("runs", "play", "p", "play", "Play this run's best model.", footer=2, needs="run"),
    row("runs", "mark", "space", "mark", "Mark the run, for comparing.", footer=3, needs="run"),
    row("runs", "compare", "c", "compare", "What differs between the marked runs.", footer=4, words="diff settings",
        needs="marked"),
    row("runs", "overlay", "v", "curves", "The curves of the marked runs on one chart.", footer=5, needs="run",
        by="screen"),
    row("runs", "mark_all", "a", "mark all", "Mark all runs that are shown, or none.", footer=14, needs="runs"),
    row("runs", "resume", "r", "resume", "Continue training where it stopped.", footer=6, words="go on",
        needs="resumable"),
    row("runs", "queue", "l", "later", "Resume the run when those before it have ended, or take it out of that "
        "queue.", footer=7, words="queue behind after wait remove", needs="runs ahead"),
    row("runs", "stop", "x", "stop", "Stop the run at a checkpoint; it can be resumed.", footer=8, needs="live"),
    row("runs", "rename", "N n", "name", "Give the run another name.", footer=9, words="rename", needs="run"),
    row("runs", "import_model", "i", "import", "Import a model of the reference script as a model file.", footer=13),
    row("runs", "sort", "s", "sort", "Sort by created, best, name, state or size, in turn.", footer=11, needs="runs"),
    row("runs", "find", "slash", "filter", "Filter the runs by words in name, text, tags or state.",
        footer=12, needs="runs"),
    row("runs", "tags", "t", "tags", "Give the run tags, to find it by.", footer=15, needs="run"),
    row("runs", "note", "e", "note", "Write a note on the run.", footer=16, needs="run"),
    row("runs", "save_curves", "ctrl+s", "save chart", "Save the curves of the marked runs as SVG, or losses as CSV.",
        footer=17, words="svg csv export write file", needs="run"),
    row("runs", "delete", "D", "delete", "Delete the run and all of its files; asks first.", footer=10, words="remove",
        needs="run"),
    row("runs.overlay", "cursor_left", "left", "cursor", "Move the cursor back; the list has the losses there.", -1,
        handler="cursor", footer=1),
    row("runs.overlay", "cursor_right", "right", "cursor", "Move the cursor on.", 1, handler="cursor"),
    row("runs.overlay", "cursor_far_left", "shift+left", "cursor", "Move the cursor back by ten columns.", -10,
        handler="cursor", palette=False),
    row("runs.overlay", "cursor_far_right", "shift+right", "cursor", "Move the cursor on by ten columns.", 10,
        handler="cursor", palette=False),
    row("runs.overlay", "select_previous", "up", "run", "Bring the previous run to the top.", -1, handler="select"),
    row("runs.overlay", "select_next", "down", "run", "Bring the next run to the top, the others without training.", 1,
        handler="select", footer=2),
    row("runs.overlay", "overlay_axis", "o", "over", "Over steps, epochs, characters, time, or a setting.", footer=3),
    row("runs.overlay", "overlay_behind", "b", "raw losses", "Every logged loss behind the training curves, or none.",
        footer=4),
    row("runs.overlay", "overlay_smoothing", "S", "smoothing", "Smooth the training curves less or more.", footer=5),
    row("runs.overlay", "overlay_log", "g", "log axis", "Logarithmic axes: the loss, both, the other, none.", footer=7),
    row("runs.overlay", "overlay_closer", "plus equals_sign", "closer", "Zoom into the latest part.", 1,
        handler="overlay_zoom", footer=8),
    row("runs.overlay", "overlay_wider", "minus", "wider", "Zoom out again.", -1, handler="overlay_zoom"),
    row("runs.overlay", "save_chart", "ctrl+s", "save", "Save the chart in nats as SVG, or all losses as CSV.",
        footer=6, words="svg csv export write file"),
    row("runs.overlay", "overlay_compare", "d", "what differs", "What differs between these runs.", footer=9,
        by="screen"),
    row("runs.overlay", "overlay_close", "v", "curves off", "Back to the table of runs.", palette=False, by="screen"),
)  # fmt: skip

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}

_BEGIN = ("generate.models", "generate.begin")
_PLAY = (*_BEGIN, "generate.views", "generate", "generate.play", "generate.model")
#: The scopes that are active in each view, by its id; those that it has at times after a comma and a word.
SCOPES: dict[str, tuple[str, ...]] = {
    "corpus-texts": (*COMMON, "corpus"),
    "setup": (*COMMON, "train", "train.before"),
    "watch": (*COMMON, "train", "train.chart", "train.live"),
    "watch, over": (*COMMON, "train", "train.chart", "train.after"),
    "play": (*COMMON, *_PLAY),
    "play, text": (*COMMON, *_PLAY, "generate.walk", "generate.text"),
    "play, branches": (*COMMON, *_PLAY, "generate.tree"),
    "play, empty": (*COMMON, *_BEGIN),
    "play, choices": (ANYWHERE, PANES, OUTSIDE, "generate.choices"),
    "play, writing": (ANYWHERE, PANES, "generate.write"),
    "play, suggestion": (ANYWHERE, "generate.write", "generate.write.suggestion"),
    "score": (*COMMON, "generate.views", "generate.model", "generate.reading", "generate.score"),
    "duel": (*COMMON, "generate.models", "generate", "generate.views", "generate.duel"),
    "cells": (*COMMON, "generate.views", "generate.model", "generate.cells"),
    "cells, text": (*COMMON, "generate.views", "generate.model", "generate.reading", "generate.cells"),
    "multiverse": (*COMMON, "generate.views", "generate.model", "generate.multiverse"),
    "context": (*COMMON, "generate.views", "generate.model", "generate.reading", "generate.context"),
    "runs-list": (*COMMON, "runs"),
    "runs-overlay": (*COMMON, "runs.overlay"),
}


def bindings(*heads: str) -> list[BindingType]:
    """Textual bindings for all actions whose scope is, or begins with, one of ``heads`` (a mode or a common scope).

    Bindings that work anywhere run before the focused widget.
    """
    return [
        Binding(
            ",".join(action.default_keys), f"do({action.id!r})", action.label, show=False, tooltip=action.help,
            id=action.id,
            priority=action.scope == ANYWHERE and action.handler != "back",
        )
        for action in ACTIONS
        if action.default_keys and action.scope.partition(".")[0] in heads
    ]  # fmt: skip


def use_keys(configured: Mapping[str, tuple[str, ...]]) -> None:
    """From now on these actions have other keys than their own, in Textual's names. Called at the start of the app."""
    _configured_keys.clear()
    _configured_keys.update(configured)
    keys_in.cache_clear()


def key_of(action_id: str) -> str:
    """The key of an action as a person calls it, for sentences: ``key_of("train.pause")`` is ``Space``."""
    return BY_ID[action_id].key_label


@cache
def active(scopes: tuple[str, ...]) -> tuple[Action, ...]:
    """The actions of these scopes, in the table's order."""
    return tuple(action for action in ACTIONS if any(scope in scopes for scope in action.scopes))


@cache
def keys_in(scopes: tuple[str, ...], typing: bool) -> frozenset[str]:
    """The keys of the actions of these scopes, in Textual's names; while something is typed, of those that act then."""
    return frozenset(key for action in active(scopes) if action.acts_in_inputs or not typing for key in action.keys)

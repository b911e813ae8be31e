"""Commands that train: ``presets``, ``train``, ``resume``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli import options, output
from charlstm.display import (
    as_sentence,
    duration,
    loss_figure,
    percent,
    plural,
    shell_command,
    shell_word,
    size,
    table,
    visible,
)
from charlstm.errors import Advice, DivergedError, ExitCode, RunError, SettingsError, TextError
from charlstm.line import TerminalLine
from charlstm.runs.contention import FOREGROUND_NICENESS, NOTABLE_SLOWDOWN, probe_slowdown, slowdown_words
from charlstm.runs.folder import RunFolder, RunSpec, text_names
from charlstm.runs.index import located
from charlstm.runs.on_end import end_words
from charlstm.runs.queue_file import waiting_runs
from charlstm.setting_fields import setting_fields
from charlstm.system import prepare_for_torch
from charlstm.text.reading import USUAL, TextOptions
from charlstm.training.ending import lower_rate
from charlstm.training.events import ESTIMATE, Controlled, Event, Failed, Finished
from charlstm.training.presets import DEFAULT, base_of, with_given
from charlstm.training.presets import presets as known_presets
from charlstm.training.settings import Settings, parse_setting
from charlstm.training.torchrun import torchrun_rank

if TYPE_CHECKING:
    from charlstm.cli.training_view import Limits
    from charlstm.model.file import ModelConfig
    from charlstm.runs.launch import NewRun
    from charlstm.runs.start_models import StartModel
    from charlstm.text.corpus import Corpus, ValidationText
    from charlstm.training.plan import MeasuredSpeed

LONGER = 5
"""A run that has hardly read its text is offered so many times its minutes."""


def shortcuts(command: Any) -> Any:
    """Add an option for each of the most used settings; the command receives them by name."""
    for each in reversed(setting_fields(Settings).values()):
        if each.option:
            metavar = f"[{'|'.join(each.words)}]" if each.words else {int: "N", str: "NAME"}.get(each.kind, "X")
            help_text = each.help if each.words else f"{each.help} Takes {each.takes}."
            command = click.option(each.option_name, each.name, metavar=metavar, help=help_text)(command)
    return command


def settings_from_options(assignments: tuple[str, ...], given: dict[str, str | None]) -> dict[str, Any]:
    """The settings that the command line gives, by --set and by options such as --lr. The latter take precedence.

    Raises :class:`SettingsError` for an unknown setting or a value that is not accepted.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise SettingsError(f"--set takes KEY=VALUE, not {assignment!r}")
        name = name.strip().replace("-", "_")
        changes[name] = parse_setting(name, value)
    return changes | {name: parse_setting(name, text) for name, text in given.items() if text is not None}


class PresetChoice(click.Choice[str]):
    """The names of the presets, with those that the user's configuration has when they are asked for."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(known_presets())


start_option = click.option(
    "--from",
    "start_word",
    metavar="MODEL",
    help="Start from the weights of this model; none: from random ones; auto: from the one of demo and your runs that "
    "predicts TEXT best, if one helps and has not read what is held out.  [default: demo, the model in the box, where "
    "it predicts TEXT well before any training and no network is set; none with reference, and as RUN did with --like]",
)

val_file_option = click.option(
    "--val-file",
    "val_files",
    metavar="FILE",
    multiple=True,
    shell_complete=options.complete_text,
    help="Validate on this text, and hold nothing of TEXT out for that; may be repeated. The vocabulary comes from "
    "both; text options apply to each.",
)


@click.command()
@options.optional_text_argument
@val_file_option
@start_option
@click.option("--settings", "list_settings", is_flag=True, help="List all settings and the values that they take.")
@options.settings_option
@options.text_options
@options.json_option
def presets(
    text: tuple[str, ...],
    val_files: tuple[str, ...],
    start_word: str | None,
    list_settings: bool,
    assignments: tuple[str, ...],
) -> None:
    """List the presets; with TEXT, estimate the time, memory and speed of each on this machine as it is now.

    Presets adapt to the size of the text. The speed is measured once for a few seconds, and stored where no other
    program trains or computes. How much other programs slow it down is estimated each time, for the niceness that is
    set. START is the model whose weights a run would begin with.

    With --json: a list with name and about; with --settings of name, about, takes and default; with TEXT of these
    figures and all settings of each preset.
    """
    if list_settings:
        listed = [
            {"name": each.name, "about": each.about, "takes": each.takes, "default": each.write(each.default, "none")}
            for each in setting_fields(Settings).values()
        ]
        lines = [f"{row['name']:<18} {row['about']}; takes {row['takes']}; default {row['default']}" for row in listed]
        output.print_result(listed, "\n".join(lines))
        return
    if not text:
        if assignments or val_files or start_word:
            raise click.UsageError("Name a TEXT: what presets come to depends on it")
        names = [{"name": each.name, "about": each.about} for each in known_presets().values()]
        output.print_result(names, "\n".join(f"{each['name']:<10} {each['about']}" for each in names))
        return
    from charlstm.runs.start_models import find_start, starts_from_model
    from charlstm.training.estimate import estimate

    prepare_for_torch()  # as a worker does
    changes = settings_from_options(assignments, {})
    niceness = changes.get("niceness")
    slowdown = probe_slowdown(FOREGROUND_NICENESS if niceness is None else niceness)
    if slowdown < NOTABLE_SLOWDOWN:
        slowdown = 1.0
    corpus = options.load_corpus(text, options.given_text_options(), val_files)
    chars, symbols, validation = corpus.text_chars, len(corpus.vocabulary), corpus.validation
    takes_start = {name for name in known_presets() if starts_from_model(start_word, name, changes)}
    start = None
    if takes_start:
        start = find_start(start_word, corpus, preset_for(corpus, None, DEFAULT, changes))
    if start is not None:
        check_own_network(start.config, changes)
    rows, cells = [], []
    for each in known_presets().values():
        begins_with = start if each.name in takes_start else None
        settings = preset_for(corpus, begins_with, each.name, changes)
        split = settings if validation is None else settings.with_changes(val_fraction=0.0)  # nothing is held out
        val_chars = None if validation is None else validation.chars
        known = symbols if begins_with is None else begins_with.symbols
        measured = _measured_speed(split, chars, known)
        estimated = estimate(split, chars, known, measured, val_chars=val_chars, slowdown=slowdown)
        asked = {"name": each.name, "about": each.about, "settings": settings.to_dict()}
        busy = {"slowdown": round(slowdown, 2), "crowded": measured.crowded}
        rows.append(output.joined(asked, estimated, busy))
        cells.append(
            (
                each.name,
                "–" if begins_with is None else begins_with.name,
                f"{settings.num_layers} × {settings.hidden_size}",
                f"{estimated.parameters:,}",
                duration(estimated.seconds),
                size(estimated.memory_bytes),
                f"{estimated.chars_per_second:,.0f}",
                estimated.precision,
                each.about,
            )
        )
    titles = ("PRESET", "START", "NETWORK", "PARAMETERS", "TIME", "MEMORY", "CHARACTERS/S", "PRECISION", "")
    output.print_result(rows, "\n".join(table(titles, cells, right=("PARAMETERS", "TIME", "MEMORY", "CHARACTERS/S"))))
    if slower := slowdown_words(slowdown, "will be"):
        output.print_remark(slower)


def _measured_speed(settings: Settings, chars: int, vocab_size: int) -> MeasuredSpeed:
    """The stored speed of a training step, or a new measurement, which needs torch."""
    from charlstm.training.estimate import batch_shape, find_speed

    found = find_speed(settings, vocab_size, *batch_shape(settings, chars))
    if found is None:
        from charlstm.engine.benchmark import measured_speed

        found = measured_speed(settings, chars, vocab_size)
    return found


@click.command(
    epilog=options.examples(
        "charlstm train novel.txt --preset quick",
        "charlstm train poems/ --set hidden_size=256 --epochs 5",
        "charlstm train novel.txt --val-file sequel.txt",
        "charlstm train --like RUN --seed 2",
        "charlstm train novel.txt --from RUN --max-minutes 20",
        "cat *.py | charlstm train - --name code --detach",
    )
)
@options.optional_text_argument
@click.option(
    "--preset",
    "preset_name",
    type=PresetChoice(),
    help=f"The settings to begin with.  [default: {DEFAULT}]",
)
@click.option(
    "--like",
    metavar="RUN",
    shell_complete=options.complete_run,
    help="Take settings and text options of RUN as they are now instead of a preset; its text too, unless TEXT is "
    "given. The weights of RUN itself are not taken: --from does that.",
)
@val_file_option
@start_option
@click.option("--name", metavar="NAME", callback=options.run_name, help="Name of the run.  [default: TEXT-PRESET-N]")
@click.option("--detach", is_flag=True, help="Train in the background and return at once.")
@click.option("--plain", is_flag=True, help="Print plain lines, without a progress bar.")
@options.settings_option
@shortcuts
@options.text_options
@options.common_options
def train(
    text: tuple[str, ...],
    preset_name: str | None,
    like: str | None,
    val_files: tuple[str, ...],
    start_word: str | None,
    name: str | None,
    detach: bool,
    plain: bool,
    assignments: tuple[str, ...],
    begin: Callable[[NewRun, Limits], None] | None = None,
    **given: str | None,
) -> None:
    """Train on TEXT: files, a folder, - for standard input, or a built-in text such as python-reference.

    A setting comes from an option or --set; else from the run of --like or the preset.

    Everything about the run is in its folder. Ctrl-C writes a checkpoint and ends; `charlstm resume` continues the run
    exactly from there. torchrun starts several processes that share the training.

    The first limit that is reached ends the run: epochs, max_steps or max_minutes; patience may end it sooner. A limit
    of your own replaces the other limits of a preset with a time limit, or of --like.

    With --preset reference TEXT is read --as-is, unless an option says otherwise.

    With --json: one event a line; `started` and `resumed` also have `run`, the name of the run, and `path`, its folder.
    With --detach: {"name", "path"}.
    """
    from charlstm.cli.training_view import Limits
    from charlstm.runs import launch
    from charlstm.runs.start_models import find_start, no_gain, starts_from_model

    _train_as_other_rank(detach)
    changes = settings_from_options(assignments, given)
    spec = None
    if like is None:
        preset_name = preset_name or DEFAULT
        corpus = open_text(text, usual_options(preset_name), val_files)
        settings = preset_for(corpus, None, preset_name, changes)
    else:
        if preset_name:
            raise SettingsError("--like takes all settings from a run, so there can be no preset: leave out --preset")
        run = options.find_run(like)
        spec = run.spec()
        preset_name, settings = spec.preset, with_given(spec.settings, changes)
        corpus = _open_text_of_run(run, spec, text, val_files)
        start_word = start_word or _start_of(like, spec)
    if corpus.validation is not None:
        check_validation_text(corpus.validation, changes)
    print_reading(corpus, spec)
    start = None
    if starts_from_model(start_word, preset_name, changes):
        with TerminalLine() as bar:
            left_out: list[StartModel] = []
            start = find_start(
                start_word, corpus, settings, options.given_runs_dir(), bar.stage("trying models"), left_out.append
            )
        if left_out:
            names = ", ".join(f"{model.words} ({percent(model.read or 0)})" for model in left_out)
            output.print_note(
                f"Left out, since the held-out part was read in training: {names}. "
                f"--from {shell_word(left_out[0].name)} takes it all the same"
            )
    if start is not None:
        check_own_network(start.config, changes)
        if spec is None:
            settings = preset_for(corpus, start, preset_name, changes)
        as_it_is = spec is None and not changes
        print_start(start, no_gain(start, preset_name, corpus.text_chars) if as_it_is else "")
    limits = Limits(settings, frozenset(changes), f"preset {preset_name}" if like is None else f"as in {like}")
    model_from = None if start is None else start.path
    new = launch.NewRun(
        corpus, settings, preset_name, name=name, runs_dir=options.given_runs_dir(), model_from=model_from
    )
    launch.check_device(settings.device, here=True)  # which a worker would say too, when nobody may look any more
    if begin is not None:  # the command `queue add`
        begin(new, limits)
        return
    if detach:
        _print_detached(launch.start_run(new), limits)
        return
    _train_in_foreground(launch.create_new_run(new), {}, limits, plain=plain)


@click.command()
@options.run_argument
@click.option("--detach", is_flag=True, help="Train in the background and return at once.")
@click.option("--plain", is_flag=True, help="Print plain lines, without a progress bar.")
@options.settings_option
@shortcuts
@options.common_options
def resume(run: str, detach: bool, plain: bool, assignments: tuple[str, ...], **given: str | None) -> None:
    """Continue RUN from its last checkpoint, exactly as if it had not been stopped.

    A finished run continues with a higher limit, such as --epochs 6 or --max-minutes 20 (in total). Its other limits
    stay: --set max_minutes=none takes one away. Changed settings are recorded.

    With --json: as `train`.
    """
    from charlstm.cli.training_view import Limits
    from charlstm.runs import launch
    from charlstm.runs.series import RunSeries

    _train_as_other_rank(detach)
    found = options.find_run(run)
    changes = settings_from_options(assignments, given)
    settings = launch.settings_to_continue(found, found.spec().settings.with_changes(**changes))
    limits = Limits(settings, frozenset(changes), "as before")
    if detach:
        unread = launch.unread_commands(found, RunSeries.of(found.events()), launch.control_size(found))
        if unread:
            output.print_remark(unread)
        _print_detached(launch.resume_run(found, changes=changes), limits)
        return
    _train_in_foreground(found, changes, limits, plain=plain)


def _train_as_other_rank(detach: bool) -> None:
    """Under torchrun, train as one of the ranks above 0, and exit. Returns in rank 0 and without torchrun.

    The other ranks neither read the text nor create a run.
    """
    torchrun = torchrun_rank()
    if torchrun is None:
        return
    if detach:
        raise SettingsError("--detach cannot be used under torchrun: remove it")
    if torchrun.rank == 0:
        return

    from charlstm.runs import worker

    worker.train_as_other_rank(torchrun)
    # There is nothing to save, and gloo's threads have aborted Python at a normal exit.
    sys.stderr.flush()
    os._exit(0)


def _train_in_foreground(run: RunFolder, changes: dict[str, Any], limits: Limits, *, plain: bool) -> None:
    """Train in this process and show the events. Raises :class:`RunError` when the run fails or does not begin, and
    :class:`DivergedError` when it diverges."""
    from charlstm.cli.training_view import EventView, ring
    from charlstm.runs.series import RunSeries
    from charlstm.runs.text import baseline_losses
    from charlstm.runs.verdict import advice_to_resume, judge
    from charlstm.runs.worker import run_foreground

    output.print_remark(f"Run {run.name} in {run.path}")
    _print_waiting(run)
    last: Event | None = None
    ended_by = ""  # the name of a signal
    # events is closed when showing fails (a closed terminal), so that the run still writes its checkpoint and ends
    with (
        EventView(run, json=output.wants_json(), plain=plain, limits=limits, before=run.events()) as view,
        contextlib.closing(run_foreground(run, changes=changes, show_validation=view.show_final_validation)) as events,
    ):
        for event in events:
            last = event
            if isinstance(event, Controlled) and event.id.startswith("SIG"):
                ended_by = event.id
            view.show([event])
    status = run.status()
    ring(end_words(run.name, status))
    if isinstance(last, Failed):
        raise RunError(status.message or last.message)
    if not isinstance(last, Finished):  # stopped before the first step, or while the disk was full
        raise RunError(status.message or f"The run {run.name} has not begun")
    # of the whole run, whose first part another process may have trained
    references = {} if output.wants_json() else baseline_losses(run)
    judged = judge(RunSeries.of(run.events()), status, references=references)
    if judged.remark:  # such as what went wrong with the program of on_end
        output.print_note(as_sentence(judged.remark))
    rate = f"{lower_rate(run.spec().settings.lr):.1g}"
    if judged.kind == "diverged":
        raise DivergedError(
            f"{run.name}: {judged.text} {advice_to_resume(rate)}", Advice("resume", run.name, setting="lr")
        )
    if not output.wants_json():
        if missed := limits.missed(last.limit):
            without = shell_command("resume", run.name, "--set", f"{last.limit}=none")
            output.print_note(f"{missed}. To train longer: {without}")
        if judged.needs_lower_rate or (judged.flaw is not None and not judged.flaw.reads_well):
            output.print_note(judged.text)
        elif judged.from_model is not None:
            output.print_note(judged.from_model.describe(bits=False))
            if judged.from_model.hardly_changed and last.limit == "max_minutes":
                minutes = f"{LONGER * (run.spec().settings.max_minutes or 1.0):g}"
                output.print_note(f"More minutes help: {shell_command('resume', run.name, '--max-minutes', minutes)}")
        if judged.kind == "finished" and last.loss is not None and not last.is_whole:
            output.print_note(f"To read all held-out characters: {shell_command('eval', run.name)}")
        verb = "resume" if last.reason == "stopped" else "generate"
        command = shell_command(verb, run.name)
        if judged.needs_lower_rate:  # it diverged, and ended before the loss was no number
            command = shell_command("train", "--like", run.name, "--lr", rate)
        output.print_note(f"Next: {command}")
    if ended_by and torchrun_rank() is None:  # torchrun would report a failure of this process
        raise click.exceptions.Exit(ExitCode.of_signal(ended_by))


def usual_options(preset_name: str) -> TextOptions:
    """How a text is read for a preset: the reference is for a text as it is."""
    return TextOptions() if base_of(preset_name) == "reference" else USUAL


def open_text(text: tuple[str, ...], usual: TextOptions, val_files: tuple[str, ...]) -> Corpus:
    """Open ``text`` with the given options, and the ``usual`` ones where none are given."""
    if not text:
        raise click.MissingParameter(ctx=click.get_current_context(), param_hint="'TEXT...'", param_type="argument")
    return options.load_corpus(text, options.given_text_options(usual), val_files)


def _open_text_of_run(run: RunFolder, spec: RunSpec, text: tuple[str, ...], val_files: tuple[str, ...]) -> Corpus:
    """Open the text for a new run like ``run``: ``text`` with that run's text options, or without ``text`` its own.

    Its own text has to be the one that it was trained on, unchanged, except with other text options or another text to
    validate on: then the sources are read anew.
    """
    from charlstm.runs.text import open_text as text_of_run

    used = TextOptions.from_dict(spec.corpus.get("options", {}))
    read_as = options.given_text_options(used)
    if text:
        return options.load_corpus(text, read_as, val_files)
    if spec.corpus.get("fingerprint") and read_as == used and not val_files:
        try:
            with TerminalLine() as bar:
                return text_of_run(run, progress=bar.update)
        except TextError as error:
            raise TextError(f"The text of {run.name} cannot be used again, so name a TEXT ({error})") from None
    sources = spec.corpus.get("sources", ())
    validation = val_files or spec.validation_sources
    if "-" in (*sources, *validation):
        raise TextError(f"The text of {run.name} came from standard input and cannot be read again: name a TEXT")
    return options.load_corpus(sources, read_as, validation)


def check_validation_text(validation: ValidationText, changes: dict[str, Any]) -> None:
    name = visible(validation.name, keep="")
    if "val_fraction" in changes:
        raise SettingsError(f"val_fraction has no effect, since validation is on {name}: leave it out")
    output.print_note(f"Validation is on {name}, {validation.chars:,} characters; the vocabulary is that of both texts")


def preset_for(corpus: Corpus, start: StartModel | None, name: str, changes: dict[str, Any]) -> Settings:
    """The settings of the preset ``name`` for a run on ``corpus`` that begins with the weights of ``start``, with the
    user's ``changes``."""
    from charlstm.runs.start_models import preset_from

    return with_given(preset_from(start, name, corpus.text_chars, len(corpus.vocabulary)), changes)


def check_own_network(model: ModelConfig, changes: dict[str, Any]) -> None:
    """Raises :class:`SettingsError` when ``changes`` request another network than that of the ``model`` that training
    starts from, or initial weights."""
    remedy = "or start from nothing with --from none"
    if "init" in changes:
        raise SettingsError(f"init has no effect where training starts from a model: leave it out, {remedy}")
    for name in ("hidden_size", "num_layers"):
        size = getattr(model, name)
        if changes.get(name, size) != size:
            raise SettingsError(f"{name} is {size} in the model that training starts from: leave {name} out, {remedy}")


def _start_of(like: str, spec: RunSpec) -> str:
    """What ``--from`` has to say for a run that starts like the run ``like``.

    Raises :class:`SettingsError` when that started from a model that is not there any more.
    """
    if spec.lineage is None:
        return "none"
    path = str(spec.lineage.get("from", ""))
    if path.endswith(".safetensors") and os.path.isfile(path):
        return path
    raise SettingsError(
        f"{like} started from {path or 'a model'}, which is not there any more: name a model or none with --from"
    )


def print_reading(corpus: Corpus, like: RunSpec | None) -> None:
    """Say what was joined in the text and left out of it, and if the run that the new one is to be ``like`` has read
    the same text in another way."""
    name, report = visible(corpus.name, keep=""), corpus.report
    if report.joined:
        output.print_remark(f"{name}: {report.joined}; --lines keep keeps them")
    if corpus.options.units is not None:
        output.print_remark(f"{name}: {corpus.units_words}")
    if report.left_out:
        output.print_remark(f"{name}: left out: {report.left_out_words}")
    if corpus.options.strip_boilerplate and report.boilerplate:
        chars = sum(part.chars for part in report.boilerplate)
        output.print_remark(
            f"{name}: {chars:,} characters of Project Gutenberg header and licence left out; --no-strip-boilerplate "
            "keeps them"
        )
    if like is not None:
        new = replace(like, corpus=corpus.to_record())
        if text_names([like, new]) != [like.corpus_name, new.corpus_name]:
            output.print_remark(
                f"The run of --like read {name} {like.reading}, this one reads it {new.reading}: their losses cannot "
                "be compared"
            )


def print_start(start: StartModel, about_preset: str) -> None:
    """Say which weights the run starts from, what they know of the text, and a sentence about the preset."""
    share = percent(start.read or 0)
    read = f"It has read {share} of the held-out part, so the losses are too low\n" if start.has_read_it else ""
    more = "".join(f"{sentence}\n" for sentence in (start.reading, about_preset) if sentence)
    output.print_remark(
        f"Starts from {start.words}: {ESTIMATE}{loss_figure(start.loss)} nats per character on passages of this text\n"
        f"{read}{more}--from none starts from nothing"
    )


def _print_waiting(run: RunFolder) -> None:
    """Say how many runs of the queue begin only when ``run`` has ended."""
    try:
        waiting = [each for each in waiting_runs() if each.path != located(run.path)]
    except RunError as error:
        output.print_note(str(error))
    else:
        if waiting:
            output.print_remark(f"{plural(len(waiting), 'run')} of the queue will begin when it has ended")


def _print_detached(run: RunFolder, limits: Limits) -> None:
    """Print the name of a run that was started in the background, and what will end it."""
    output.print_result(run, run.name)
    _print_waiting(run)
    output.print_remark(f"The run {limits.listed()}")
    output.print_remark(
        f"It trains in the background. Watch it: {shell_command('watch', run.name)}, or open charlstm-tui"
    )

"""What a command refuses: one sentence on stderr, nothing on stdout, and the exit code of its kind."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.cli.main import run
from charlstm.errors import ExitCode
from charlstm.model.file import load_model, save_model
from charlstm.runs.folder import find_run
from command_line import TEXT, TINY

FAILED = """
train nowhere.txt | nowhere.txt
train '' | empty
train --like nobody | There is no run 'nobody'
train --like fox --settings-file none.toml | The settings file none.toml cannot be read:
train --like fox --settings-file data | The settings file data cannot be read:
train --like gone | The text of gone cannot be used again, so name a TEXT
train --like piped --clean | came from standard input
train words.txt --val-file nowhere.txt | no file nowhere.txt
stats '' | empty
generate nobody | no run
play nobody | no run
generate ~nobody-here/x.safetensors | no model file
generate theirs.net | charlstm import theirs.net
generate fox --prime-file nowhere | nowhere
generate fox --clamp 2:1=0 | no cell 2:1
generate lone.safetensors --checkpoints | not a run
control fox pause | takes no commands: resume it with a later end (`charlstm resume fox`)
eval fox data/fox.txt --part test | no test part, because test_fraction was 0: use --part validation
eval runs/fox/model.safetensors | was trained on (fox.txt) does not come with the model: give a text
eval fox digits.txt | fewer than two characters
novelty data/fox.txt --model no.safetensors | There is no model file no.safetensors
import nowhere.net | There is no checkpoint file nowhere.net
import data/fox.txt | is not a PyTorch checkpoint
import runs/fox/model.safetensors | a charlstm model already
import theirs.net --out nowhere/x.safetensors | no folder nowhere
import theirs.net --out data | is a folder
export fox --to script --out new/ | new/ is a folder
export demo --to script --snapshot 0 | no snapshots
export fox data/fox.txt/ | is a file and not a folder
log fox --to tensorboard --out data/fox.txt | choose another folder with --out
info runs/fox/model.safetensors --snapshot 7 | it has 0,
influence fox digits.txt | fewer than two characters that the model knows
influence fox quick.txt --at 99999 | Position 99999 has no character
influence fox quick.txt --find cat | does not stand in
cells fox digits.txt --show 1:1 | no characters that the model knows
cells fox quick.txt --show 2:1 | no cell 2:1
cells fox quick.txt --probe 'position in word' | no yes/no feature 'position in word' in both of its halves. It has:
cells fox quick.txt --probe quotes | no yes/no feature 'quotes'
cells fox short.txt | 200 are needed
cells demo quick.txt --snapshots | not a run
context fox quick.txt --at 99999 | Position 99,999 has no character to measure: the text has
context fox quick.txt --at 200 | too short for a context of 300
multiverse fox --prime the --clamp 9:9=0 | no cell 9:9
report fox --out novel.txt | choose another name, so that it is not lost
generate fox --checkpoints --length 5 --out novel.txt | choose another name, so that it is not lost
report lone.safetensors --out page.html | Give a TEXT
resume fox --detach | is finished: resume it with more than max_steps=40 in all
cells demo | Give a TEXT
generate huge.safetensors | so large that its predictions are not finite
eval huge.safetensors short.txt | so large that its predictions are not finite
train data/fox.txt --from huge.safetensors | so large that its predictions are not finite
session novel.txt | novel.txt cannot be read: it is damaged, or no session
"""
"""Commands, and a part of what they say."""

WRONG_USAGE = """
dance | dance
genrate fox | did you mean generate
--lenth | see charlstm --help
generate fox --lenth 3 | see charlstm generate --help
train | Missing argument 'TEXT...'
train data/fox.txt --set n_hidden=3 | setting 'n_hidden'; did you mean hidden_size?
train data/fox.txt --set hidden_size=big | hidden_size takes a whole number
train data/fox.txt --set lr | KEY=VALUE
train data/fox.txt --lr -1 | lr takes a number above 0
train data/fox.txt --settings-file wrong.toml | wrong.toml, line 2: There is no setting 'n_layers'
train data/fox.txt --val-fraction 0.5 --test-fraction 0.5 | are 0.9 together at most, not 0.5 and 0.5
train data/fox.txt --name ../fox | cannot be a run's name
train data/fox.txt --from fox --hidden-size 9 | leave hidden_size out, or start from nothing with --from none
train data/fox.txt --from fox --set init=torch | init has no effect where training starts
train --like fox --preset best | there can be no preset: leave out --preset
train --like fox --settings-file p.toml | leave out `preset` in p.toml
train words.txt --val-file other.txt --val-fraction 0.2 | val_fraction has no effect, since validation is on
delete fox | --yes
runs --runs-dir '' | --runs-dir
runs --tag '' | tag
control fox stop --wait --timeout nan | not a number
control fox stop --timeout 1 | --timeout needs --wait
stats data/fox.txt --encoding nope | no text encoding 'nope'
stats data/fox.txt --pattern '' | file name patterns
stats data/fox.txt --as-is --lines auto | --lines has no effect with --as-is
generate fox --prime a --prime-file b | not both
generate fox --samples 2 --show-probs | remove --samples
generate fox --length 1000000000000 | 0<=x<=10000000
generate fox --until sunset | paragraph
generate fox --temperature nan | temperature takes a number
generate fox --top-k 0 | top_k
generate fox --sampler reference --temperature 0.5 | --temperature has no effect with --sampler reference
generate fox --samples 2 --seed 100000000000000000000 | at most 64 bits
generate fox --clamp 1:1 | is not a clamp
generate fox --clamp 1:1=1e39 | The value of a clamp takes a number from -1,000,000 to 1,000,000, not
generate fox --out x.html | --checkpoints
generate fox --checkpoints --samples 2 | cannot be combined
generate no-such-run --stop '' | at least one character
play fox --sampler reference --min-p 0.1 | --min-p has no effect with --sampler reference
eval fox --max-chars 9 | need a TEXT
eval fox --strength 1 | --strength is that of --dynamic
eval fox --dynamic --strength 11 | from 0 to 10
score fox | TEXT
novelty data/fox.txt | --model RUN
novelty data/fox.txt --model fox --corpus data/fox.txt | --model RUN
import theirs.net --out x.net | --out x.safetensors
export fox --to script --out x.safetensors | use .net for the export
export fox --to gguf | script
export fox | ends in .net, .onnx or /
export fox - --to folder | cannot be written to standard output
export fox x.net --out y.net | Name the file once
influence fox data/fox.txt --rank | --rank needs --find
influence fox data/fox.txt --rank --find dog --back 10 | give --back of more
cells fox data/fox.txt --feature x=a --feature x=b | the same name
session no-such.json --out - --force | --prose and --force are for the file of --out
influence fox data/fox.txt --find dog --at 5 | not both
context fox --encoding utf-8 | needs a TEXT
presets --set lr=1 | Name a TEXT
session no-such.json --prose | --prose and --force are for the file of --out
cells no-such-run data/fox.txt --feature x=[ | cannot be read
cells fox data/fox.txt --feature the | NAME=REGEX
cells fox quick.txt --show quotes | LAYER:CELL
cells fox data/fox.txt --show 1:1 --snapshots | --snapshots has no effect with --show: remove one of them
cells fox data/fox.txt --snapshots --snapshot 0 | --snapshot has no effect with --snapshots: remove one of them
multiverse fox --words 3 --depth 5 | --depth has no effect with --words: remove one of them
context fox data/fox.txt --at 500 --places 3 | --places has no effect with --at: remove one of them
cells fox data/fox.txt --show 1:1 --feature x=y | --feature has no effect with --show: remove one of them
cells fox data/fox.txt --probe blank --per-feature 2 | --per-feature has no effect with --probe: remove one of them
compare no-such-run --axis epochs | --axis needs --svg
compare fox --csv - --svg - | --csv - and --svg - would both write to standard output
report fox --out - --json | --json and --out - would both write to standard output
"""


@pytest.fixture(scope="module")
def files(workspace: Path) -> None:
    """The files that the commands name, and runs whose texts cannot be read again."""
    texts = {
        "digits.txt": "0123456789", "short.txt": "the dog", "novel.txt": TEXT, "words.txt": TEXT,
        "gone.txt": TEXT[:3000], "other.txt": TEXT[:500],
        "quick.txt": 'the "quick fox" jumps. The lazy "dog" runs.\n' * 30,
        "p.toml": 'preset = "best"', "wrong.toml": "lr = 1e-3\nn_layers = 2\n",
    }  # fmt: skip
    for name, content in texts.items():
        Path(name).write_text(content, encoding="utf-8")
    model = load_model(Path("runs/fox/model.safetensors"))
    save_model(Path("lone.safetensors"), model)
    huge = {name: np.full_like(array, 3e38) for name, array in model.weights.items()}  # finite, but not their sums
    save_model(Path("huge.safetensors"), replace(model, weights=huge))
    assert run(["export", "fox", "--to", "script", "--out", "theirs.net"]) == 0
    assert run(["train", "gone.txt", *TINY, "--name", "gone"]) == 0
    Path("gone.txt").write_text(TEXT + "more", encoding="utf-8")
    assert run(["cache", "prune"]) == 0
    find_run("gone").text_path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
        assert run(["train", "-", *TINY, "--name", "piped"]) == 0


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("code", "line"),
    [
        *((ExitCode.FAILED, line) for line in FAILED.strip("\n").split("\n")),
        *((ExitCode.WRONG_USAGE, line) for line in WRONG_USAGE.strip("\n").split("\n")),
    ],
)
def test_command_is_refused_in_one_sentence(code: ExitCode, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, _, sentence = line.partition(" | ")
    capsys.readouterr()
    assert run(shlex.split(words)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    if "--json" not in words:
        assert err.count("\n") == 1
        assert err.startswith("charlstm: ")

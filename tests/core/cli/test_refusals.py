"""What a command refuses: one sentence on stderr, nothing on stdout, and the exit code of its kind."""

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
from command_line import TEXT, TINY, Cli

FAILED = """
train '' | empty
train --like gone | The text of gone cannot be used again, so name a TEXT
train --like piped --no-normalize | came from standard input
generate nobody | no run
generate ~nobody-here/x.safetensors | no model file
generate theirs.net | charlstm import theirs.net
generate fox --until unit | not trained on units
generate lone.safetensors --checkpoints | not a run
control fox pause | takes no commands: resume it with a later end (`charlstm resume fox`)
eval fox data/fox.txt --part test | no test part, because test_fraction was 0: use --part validation
eval runs/fox/model.safetensors | was trained on (fox.txt) does not come with the model: give a text
eval fox digits.txt | fewer than two characters
import data/fox.txt | is not a PyTorch checkpoint
import theirs.net --out data | is a folder
export fox --to script --out new/ | new/ is a folder
export demo --to script --snapshot 0 | no snapshots
export fox data/fox.txt/ | is a file and not a folder
log fox --to tensorboard --out data/fox.txt | choose another folder with --out
resume fox --detach | is finished: resume it with more than max_steps=40 in all
report fox --out novel.txt | choose another name, so that it is not lost
report lone.safetensors --out page.html | Give a TEXT
generate huge.safetensors | so large that its predictions are not finite
eval huge.safetensors line.txt | so large that its predictions are not finite
"""
"""Commands, and a part of what they say."""

WRONG_USAGE = """
genrate fox | did you mean generate
--lenth | see charlstm --help
generate fox --lenth 3 | see charlstm generate --help
train | Missing argument 'TEXT...'
train data/fox.txt --set n_hidden=3 | setting 'n_hidden'; did you mean hidden_size?
train data/fox.txt --set lr | KEY=VALUE
train data/fox.txt --name ../fox | cannot be a run's name
train --like fox --preset best | there can be no preset: leave out --preset
train words.txt --val-file other.txt --val-fraction 0.2 | val_fraction has no effect, since validation is on
sweep data/fox.txt --grid lr=1,2 --lr 3 | lr is given twice
sweep data/fox.txt --grid seed=1,2 --seeds 2 | seed is given twice
sweep data/fox.txt --range lr=1e-3..1 | --range needs --random
sweep data/fox.txt --grid lr=1,2 --minutes 1 --epochs 1 | leave out the limit of each run
sweep data/fox.txt | Which settings are to be tried?
sweep --show x --lr 3 | has no effect with --show
sweep data/fox.txt --grid lr=1,2 --out x.svg | --out needs --show
sweep data/fox.txt --grid hidden_size=8,9 --from fox | leave hidden_size out
sweep words.txt --grid val_fraction=0.1,0.2 --val-file other.txt | val_fraction is given twice
delete fox | --yes
runs --runs-dir '' | --runs-dir
runs --tag '' | tag
control fox stop --wait --timeout nan | not a number
control fox stop --timeout 1 | --timeout needs --wait
stats data/fox.txt --pattern '' | file name patterns
generate fox --prime a --prime-file b | not both
generate fox --samples 2 --show-probs | remove --samples
generate fox --prime a --prime b --show-probs | take one prime
generate fox --temperature nan | temperature takes a number
generate fox --sampler reference --temperature 0.5 | --temperature has no effect with --sampler reference
generate fox --samples 2 --seed 100000000000000000000 | at most 64 bits
generate fox --checkpoints --samples 2 | cannot be combined
generate fox --until unit --show-probs | cannot be combined
generate fox --new | --new needs --until unit
generate no-such-run --stop '' | at least one character
eval fox --max-chars 9 | need a TEXT
eval fox --strength 1 | --strength is that of --dynamic
score fox data/fox.txt --against fox | The model fox is given twice
score fox data/fox.txt --against demo --top 3 | --top has no effect with --against
score fox data/fox.txt --against demo --dynamic | --dynamic has no effect with --against
novelty data/fox.txt | --model RUN
import theirs.net --out x.net | --out x.safetensors
export fox --to script --out x.safetensors | use .net for the export
export fox | ends in .net, .onnx or /
export fox - --to folder | cannot be written to standard output
export fox x.net --out y.net | Name the file once
cells fox data/fox.txt --feature x=a --feature x=b | the same name
presets --set lr=1 | Name a TEXT
cells fox data/fox.txt --feature the | NAME=REGEX
compare no-such-run --axis epochs | --axis needs --svg
compare fox --csv - --svg - | --csv - and --svg - would both write to standard output
"""


@pytest.fixture(scope="module")
def files(workspace: Path) -> None:
    """The files that the commands name, and runs whose texts cannot be read again."""
    texts = {
        "digits.txt": "0123456789", "line.txt": "the dog", "novel.txt": TEXT, "words.txt": TEXT,
        "other.txt": TEXT[:500], "gone.txt": TEXT[:3000], "quick.txt": 'The lazy "dog" runs.\n' * 60,
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


REFUSED = {ExitCode.FAILED: FAILED, ExitCode.WRONG_USAGE: WRONG_USAGE}


@pytest.mark.parametrize(
    ("code", "line"), [(code, line) for code, lines in REFUSED.items() for line in lines.strip().split("\n")]
)
def test_command_is_refused_in_one_sentence(cli: Cli, code: ExitCode, line: str, files: None) -> None:
    words, _, sentence = line.partition(" | ")
    before = sorted(Path("runs").iterdir())
    out, err = cli(*shlex.split(words), code=code)
    assert (out, sorted(Path("runs").iterdir()), err.count("\n")) == ("", before, 1)
    assert err.startswith("charlstm: ")
    assert sentence in err

"""A folder with a model to be given away: weights, configuration and a model card in Markdown.

The card says what the model file says of its training, what the model writes, and how plain torch loads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from charlstm import user_files
from charlstm.display import percent, visible
from charlstm.errors import CharLSTMError
from charlstm.generation.session import Session
from charlstm.model.file import Model, model_writer
from charlstm.text.batches import trained_texts

FILES = ("model.safetensors", "config.json", "README.md")
SAMPLES, SAMPLE_LENGTH = 2, 300
LOAD = """\
import json
import torch
from safetensors.torch import load_file

config = json.load(open("config.json", encoding="utf-8"))
symbols, size = config["symbols"], config["hidden_size"]
weights = {name: tensor.float() for name, tensor in load_file("model.safetensors").items()}
lstm, fc = torch.nn.LSTM(len(symbols), size, config["num_layers"]), torch.nn.Linear(size, len(symbols))
for name, module in (("lstm.", lstm), ("fc.", fc)):
    module.load_state_dict({key.removeprefix(name): weights[key] for key in weights if key.startswith(name)})
ids = torch.tensor([symbols.index(char) for char in config["prime"]])
outputs, state = lstm(torch.nn.functional.one_hot(ids, len(symbols)).float())
probabilities = fc(outputs[-1]).softmax(0)  # of the next character
"""


def write_folder(model: Model, folder: str | Path, name: str, *, overwrite: bool = True) -> None:
    """Write the model called ``name`` to the folder, which is made if need be.

    Raises as :func:`charlstm.user_files.save` does.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise CharLSTMError(f"{folder} is a file and not a folder: choose another name") from None
    weights, config, card = (user_files.check_destination(folder / file, overwrite=overwrite) for file in FILES)
    prime = _prime(model)
    shape = {"hidden_size": model.config.hidden_size, "num_layers": model.config.num_layers}
    about = {**shape, "prime": prime, "text_options": model.text_options.to_dict(), "symbols": model.vocabulary.symbols}
    user_files.save(weights, model_writer(model, str(weights)), overwrite=overwrite)
    user_files.save_text(config, json.dumps(about, ensure_ascii=False, indent=1) + "\n", overwrite=overwrite)
    user_files.save_text(card, "\n".join(_card(model, name, prime)), overwrite=overwrite)


def _prime(model: Model) -> str:
    """The text that samples begin with, of characters that the model knows."""
    prime = str(model.info.get("prime") or "")
    return "".join(char for char in prime if char in model.vocabulary) or model.vocabulary.symbols[0]


def _plain(value: object) -> str:
    """A value of the file for a line of Markdown, which it cannot leave."""
    return visible(str(value), keep="").replace("|", "\\|").replace("`", "'")


def _card(model: Model, name: str, prime: str) -> Iterator[str]:
    info, config = model.info, model.config
    texts = dict.fromkeys(_plain(text.get("corpus", "")) for text in trained_texts(info))
    yield f"# {_plain(name)}\n"
    yield (
        f"A character-level LSTM, {config.num_layers} layers of {config.hidden_size} units, {config.parameters:,} "
        f"weights, over {config.vocab_size:,} characters. It was trained with charlstm on "
        f"{', before that on '.join(texts) or 'a text that is not known'}.\n"
    )
    yield "**Licence**: to be filled in: that of the model, and that of the text.\n"
    yield "| | |\n|---|---|"
    loss = info.get("val_loss")
    if isinstance(loss, float) and math.isfinite(loss):
        kind = " (estimated)" if info.get("val_whole") is False else ""
        bits = f"{loss / math.log(2):.3f} bits"
        yield f"| loss on the held-out part{kind} | {loss:.3f} nats per character, {bits} |"
    share, by = info.get("read_share"), info.get("read_by")
    if isinstance(share, float):
        yield f"| of that part read before | {percent(share)}{f', by {_plain(by)}' if by else ''} |"
    for key in ("preset", "step"):
        if info.get(key) is not None:
            yield f"| {key} | {_plain(info[key])} |"
    settings = info.get("settings")
    if isinstance(settings, dict):
        words = ", ".join(f"{key} {value}" for key, value in settings.items() if value is not None)
        yield f"| settings | {_plain(words)} |"
    yield f"\n## What it writes\n\nAfter {prime!r}, at temperature 0.8:\n"
    for seed in range(SAMPLES):
        steps = Session(model, prime, seed=seed, temperature=0.8).stream(SAMPLE_LENGTH)
        yield "```text\n" + visible(prime + "".join(step.char for step in steps)).replace("```", "'''") + "\n```\n"
    yield "## Loading it\n\nIn plain torch, in this folder:\n\n```python\n" + LOAD + "```\n"
    yield f"Or with charlstm: `charlstm generate {FILES[0]}`."

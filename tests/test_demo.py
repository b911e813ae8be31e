"""What `make demo` needs is in the repository: the list of the books, and the scripts that gather and pack them."""

import csv
import importlib.util
import math
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from charlstm.engine.network import CharLSTM
from charlstm.model.file import load_model, save_model
from charlstm.text.passages import known_share, passages_of
from charlstm.text.vocabulary import REPLACEMENT, Vocabulary
from small_training import words

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
DEMO = CHECKPOINTS / "demo.safetensors"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CHECKPOINTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_list_has_the_books_that_the_model_has_read() -> None:
    with (CHECKPOINTS / "books.csv").open(encoding="utf-8", newline="") as lines:
        books = list(csv.DictReader(lines))
    demo = load_model(DEMO)
    assert demo.passages is not None
    assert len(books) == len({book["number"] for book in books}) == 79
    assert [book["use"] for book in books if book["use"] != "train"] == ["held out"] * 8
    read = [int(book["characters"]) for book in books if book["use"] == "train"]
    assert sum(read) == pytest.approx(160 * len(demo.passages), rel=0.02)


def test_books_are_gathered_without_header_and_compared_with_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare = script("prepare_books")
    folder, out, both, held_out = places = [tmp_path / name for name in ("folder", "out", "both", "held out")]
    folder.mkdir()
    header = "Frankenstein\r\n*** START OF THE PROJECT GUTENBERG EBOOK FRANKENSTEIN ***\r\n\r\n"
    texts = {"00084-frankenstein": f"{header}A story.\r\n", "pg345": "Another story.\n", "19": "A song.\n"}
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    same, listed = sha256(b"A story.\n").hexdigest(), tmp_path / "books.csv"
    books = (f"84,Frankenstein,{same},train", f"345,Dracula,{same},train", f"19,Hiawatha,{same},held out")
    listed.write_text("\n".join(("number,title,sha256,use", *books)))
    monkeypatch.setattr(prepare, "BOOKS", listed)
    prepare.main(*map(str, places))
    assert (out / "00084.txt").read_bytes() == b"A story.\n"
    for place in (out, both):
        assert sorted(file.name for file in place.iterdir()) == ["00084.txt", "00345.txt"]
    assert [file.read_text() for file in held_out.iterdir()] == ["A song.\n"]
    assert capsys.readouterr().err == "Dracula (345) is not the text that was used\n"


def test_packed_model_recognises_its_books_and_has_no_symbol_for_rare_characters(tmp_path: Path) -> None:
    text = words(2000)
    (tmp_path / "book.txt").write_text(text)
    vocabulary = Vocabulary([*sorted(set(text)), REPLACEMENT], replacement=REPLACEMENT)
    run, out = tmp_path / "run", tmp_path / "demo.safetensors"
    run.mkdir()
    trained = CharLSTM(len(vocabulary), 8, 1).to_model(vocabulary, info={"run": "prose", "prime": "the quick "})
    save_model(run / "model.safetensors", trained)
    script("pack_demo").main(str(run), str(tmp_path), str(tmp_path / "book.txt"), str(out))
    packed = load_model(out)
    assert packed.passages is not None
    assert known_share(packed.passages, passages_of([text])) == 1
    assert packed.vocabulary.symbols == vocabulary.symbols[:-1]
    assert packed.vocabulary.replacement is None
    assert packed.loss == pytest.approx(math.log(len(vocabulary)), abs=0.5)  # it has learnt nothing
    kept = trained.weights["fc.weight"][:-1]
    np.testing.assert_allclose(packed.weights["fc.weight"], kept, atol=1e-3)

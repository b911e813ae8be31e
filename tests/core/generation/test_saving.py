"""Saved sessions load and continue exactly; other files are refused with an error message."""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from charlstm import storage
from charlstm.errors import GenerationError
from charlstm.generation import saving
from charlstm.generation.clamp import Clamp, parse_clamp
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.saving import (
    export_session,
    from_dict,
    load_session,
    save_session,
    to_dict,
    to_html,
    to_markdown,
    to_text,
    to_tree_html,
)
from charlstm.generation.session import Session
from random_examples import examples


def play(session, length):
    return "".join(step.char for step in session.stream(length))


@pytest.fixture
def session(model):
    session = Session(model, "abZ", seed=5, sample=2, settings=SamplerSettings(mirostat=2.0))
    play(session, 300)
    session.rewind(130)
    session.choose("a" if session.at(130).char != "a" else "b")
    session.type("hij\n")
    play(session, 100)
    session.rename(1, "[/red]\x1b[2J")
    session.rewind(50)
    return session


def test_loaded_session_equals_the_saved_one_and_continues_alike(session, model, tmp_path):
    path = tmp_path / "one.json"
    save_session(session, path)
    loaded = load_session(path, model)
    assert loaded.branches() == session.branches()
    assert (loaded.position, loaded.seed, loaded.sample, loaded.settings, loaded.prime, loaded.unknown) == (
        session.position,
        session.seed,
        session.sample,
        session.settings,
        session.prime,
        session.unknown,
    )
    for number in (0, 1):
        loaded.switch(number)
        session.switch(number)
        assert loaded.read() == session.read()
        assert loaded.steps() == session.steps()
        assert loaded.peek() == session.peek()
        assert play(loaded, 100) == play(session, 100)
    assert to_dict(load_session(path, model)) == json.loads(path.read_text())


def test_mirostat_limits_are_saved_where_it_was_used(model):
    session = Session(model, "ab", seed=5)
    play(session, 40)
    assert to_dict(session)["branches"][0]["mirostat"] is None
    session.settings = SamplerSettings(mirostat=2.0)
    play(session, 30)
    session.settings = SamplerSettings()
    play(session, 30)
    values = json.loads(json.dumps(to_dict(session)))
    loaded = from_dict(values, model)
    assert to_dict(loaded) == values
    limits = [loaded.root.mirostat_after(position) for position in range(100)]
    assert [position for position, limit in enumerate(limits) if limit is not None] == list(range(40, 70))
    assert limits == [session.root.mirostat_after(position) for position in range(100)]


@pytest.mark.parametrize("limits", [np.array([np.inf]), np.zeros(299)])
def test_impossible_mirostat_limits_are_refused(session, model, limits):
    values = json.loads(json.dumps(to_dict(session)))
    padded = np.concatenate([np.full(300 - len(limits), 0) if len(limits) == 1 else [], limits]).astype("<f4")
    values["branches"][0]["mirostat"] = base64.b64encode(zlib.compress(padded.tobytes())).decode()
    with pytest.raises(GenerationError, match="damaged"):
        from_dict(values, model)


def test_other_weights_with_the_same_characters_continue_a_session(session, make_model):
    values = json.loads(json.dumps(to_dict(session)))
    older = make_model(seed=1)
    loaded = from_dict(values, older)
    assert loaded.read() == session.read()
    loaded.switch(0)
    fresh = Session(older, "ab")
    fresh.type(loaded.read())
    loaded.settings = fresh.settings
    assert loaded.peek() == fresh.peek()
    with pytest.raises(GenerationError, match="other characters"):
        from_dict(values, make_model("xyz"))


def test_number_of_saved_states_is_limited(model, monkeypatch):
    monkeypatch.setattr("charlstm.generation.saving.MAX_STATES", 5)
    session = Session(model, "ab")
    text = play(session, 3000)
    values = to_dict(session)
    assert len(values["branches"][0]["states_at"]) <= 5
    loaded = from_dict(values, model)
    loaded.rewind(2900)
    assert play(loaded, 100) == text[2900:]
    assert len(loaded.branches()) == 1


def change(values, path, value):
    *way, last = path
    for key in way:
        values = values[key]
    values[last] = value


def zeros(size):
    return base64.b64encode(zlib.compress(b"\0" * size)).decode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], 3),
        (["format"], "1"),
        (["kind"], "other"),
        (["symbols"], None),
        (["seed"], 1.5),
        (["seed"], 2**64),
        (["settings"], {"temperature": -1}),
        (["settings"], {"heat": 1}),
        (["settings"], None),
        (["prime"], "something else"),
        (["prime_ids"], [99]),
        (["prime_ids"], []),
        (["prime_ids"], [[0]]),
        (["unknown"], {"a": -1}),
        (["cursor", "branch"], 9),
        (["cursor", "position"], 10**9),
        (["branches"], []),
        (["branches"], 3),
        (["branches", 0, "parent"], 0),
        (["branches", 1, "parent"], None),
        (["branches", 1, "parent"], 7),
        (["branches", 1, "start"], 301),
        (["branches", 1, "number"], 0),
        (["branches", 1, "number"], -1),
        (["branches", 0, "text"], "abc"),
        (["branches", 0, "text"], "\ud800"),
        (["branches", 0, "figures"], "%%%"),
        (["branches", 0, "figures"], "AAAA"),
        (["branches", 0, "figures"], zeros(10**7)),
        (["branches", 0, "states"], zeros(10**7)),
        (["branches", 0, "mirostat"], zeros(10**7)),
        (["branches", 0, "states_at"], [1]),
        (["branches", 0, "states_at"], [10**6]),
        (["model"], None),
    ],
)
def test_damaged_values_are_refused_with_one_line(session, model, path, value):
    values = json.loads(json.dumps(to_dict(session)))
    change(values, path, value)
    with pytest.raises(GenerationError) as caught:
        from_dict(values, model)
    assert "\n" not in str(caught.value)


def test_hidden_states_beyond_one_are_refused(session, model):
    values = json.loads(json.dumps(to_dict(session)))
    states = np.frombuffer(zlib.decompress(base64.b64decode(values["branches"][0]["states"])), "<f4").copy()
    states[0] = 3e38
    values["branches"][0]["states"] = base64.b64encode(zlib.compress(states.tobytes())).decode()
    with pytest.raises(GenerationError, match="hidden states that are impossible"):
        from_dict(values, model)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 200),
        ("ids", 200),
        ("probability", np.nan),
        ("sampled", -1),
        ("rank", 0),
        ("entropy", np.inf),
        ("source", 9),
    ],
)
def test_impossible_statistics_are_refused(session, model, field, value):
    values = json.loads(json.dumps(to_dict(session)))
    rows = session.root.slice(0, 300).copy()
    rows[field][7] = value
    values["branches"][0]["figures"] = base64.b64encode(zlib.compress(rows.tobytes())).decode()
    with pytest.raises(GenerationError, match="damaged"):
        from_dict(values, model)


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.integers(0, 10**6))
def test_damaged_bytes_are_refused_or_read(session, model, tmp_path, junk, at):
    path = tmp_path / "junk.json"
    save_session(session, path)
    content = path.read_bytes()
    path.write_bytes(content[: at % len(content)] + junk + content[at % len(content) + len(junk) :])
    try:
        load_session(path, model)
    except GenerationError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_missing_files_and_files_that_are_not_json_are_refused(model, tmp_path):
    for content in (b"", b"[" * 100_000, b"null", b"\xff\xfe"):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(GenerationError):
            load_session(tmp_path / "x.json", model)
    with pytest.raises(GenerationError, match="no session file"):
        load_session(tmp_path / "none.json", model)


def test_exports_hold_the_text_and_escape_markup(make_model, tmp_path):
    model = make_model("\n <>&`\x1b[abc")
    session = Session(model, "a<b", settings=SamplerSettings(temperature=2.0, min_p=None))
    session.type("```` <b>\x1b[2J &amp;")
    play(session, 200)
    text = to_text(session)
    assert text.startswith("a<b```` <b>\x1b[")
    session.rewind(3)  # an export has the whole line
    assert to_text(session) == text
    markdown = to_markdown(session)
    fence = markdown.rstrip("\n").rsplit("\n", 1)[1]
    assert set(fence) == {"`"}
    assert fence not in text
    assert markdown.split(fence + "text\n")[1] == text + "\n" + fence + "\n"
    assert "- seed: 0\n- temperature: 2.0\n\n" in markdown  # filters that are off are left out
    for colour in ("rank", "probability", "entropy"):
        page = to_html(session, colour)
        assert "<b>" not in page
        assert "\x1b" not in page
        assert "\u241b" in page
        assert page.count("<span") == page.count("</span>") > 4
    assert "<h1>Written with a character LSTM</h1>" in page
    assert re.sub("<[^>]*>", "", "".join(re.findall(r'<span class="[^"]*own">[^<]*', page))).startswith("````")
    generated = Session(model, "a")
    play(generated, 20)
    assert "<h1>Generated by a character LSTM</h1>" in to_html(generated)
    assert 'own">' not in to_html(generated)
    with pytest.raises(GenerationError, match="coloured"):
        to_html(session, "mood")
    for name, content in (("a.txt", text), ("a.md", markdown), ("a.HTML", to_html(session))):
        export_session(session, tmp_path / name)
        assert (tmp_path / name).read_bytes().decode() == content
    with pytest.raises(GenerationError, match=r"\.pdf"):
        export_session(session, tmp_path / "a.pdf")


@pytest.mark.parametrize("field", ["figures", "states"])
@pytest.mark.parametrize("cut", [1, 4, 5])
def test_packed_values_without_their_checksum_are_refused(session, model, field, cut):
    values = to_dict(session)
    packed = base64.b64decode(values["branches"][0][field])
    values["branches"][0][field] = base64.b64encode(packed[:-cut]).decode()
    with pytest.raises(GenerationError, match="damaged"):
        from_dict(values, model)


def test_saving_repeatedly_hashes_the_weights_once(session, model, tmp_path, monkeypatch):
    hashed = []
    digest = saving.model_digest
    monkeypatch.setattr(saving, "model_digest", lambda model: hashed.append(model) or digest(model))
    for _ in range(3):
        save_session(session, tmp_path / "session.json")
    assert len(hashed) == 1
    again = load_session(tmp_path / "session.json", model)
    save_session(again, tmp_path / "session.json")
    assert len(hashed) == 2
    assert load_session(tmp_path / "session.json", model).root.states.keys() == again.root.states.keys()


def current_of_tree_page(page):
    """The text of the page that is neither grey nor the name of a fold."""
    tree = re.search(r'<div class="tree"[^>]*>(.*)</div>', page, re.DOTALL)[1]
    shown = re.sub(r'<summary>.*?</summary>|<small.*?</small> |<span class="o">.*?</span>', "", tree, flags=re.DOTALL)
    return html.unescape(re.sub("<[^>]*>", "", shown))


def test_a_session_tree_is_a_page_with_every_branch(model, tmp_path):
    session = Session(model, "ab")
    first = "".join(step.char for step in session.stream(20))
    session.rewind(5)
    session.type("jjjijj")
    session.rewind(3)
    session.type("iiii")
    session.rename(2, "third")
    path = tmp_path / "walk.tree.html"
    export_session(session, path)
    page = path.read_text(encoding="utf-8")
    assert page.count("<details>") == page.count("</details>") == len(session.branches()) - 1
    assert "<script" not in page
    assert "<i>" not in page
    assert current_of_tree_page(page) == to_text(session)
    assert '<small class="n">third</small>' in page
    grey = html.unescape("".join(re.findall(r'<span class="o">(.*?)</span>', page, re.DOTALL)))
    assert sorted(grey) == sorted(first[3:] + "jjjijj")
    session.switch(0)
    page = to_tree_html(session)
    assert current_of_tree_page(page) == to_text(session)
    assert '<span class="n">third</span>' in page


def test_a_session_of_a_long_day_of_writing_is_a_page_too(model):
    """Each correction begins a branch of the one before: more than functions of Python can be nested."""
    session = Session(model, "ab")
    for turn in range(sys.getrecursionlimit() + 1):
        session.type("ii" if turn % 2 else "jj")
        session.rewind(len(session) - 1)
    assert len(session.branches()) > sys.getrecursionlimit()
    page = to_tree_html(session)
    assert current_of_tree_page(page) == to_text(session)
    session.switch(0)
    assert current_of_tree_page(to_tree_html(session)) == to_text(session)


def test_clamps_are_saved_and_act_again(model, tmp_path):
    clamps = (Clamp(1, 2, value=1.0), Clamp(2, 3, factor=0.5))
    session = Session(model, "ab", clamps=clamps)
    text = "".join(step.char for step in session.stream(30))
    assert text != "".join(step.char for step in Session(model, "ab").stream(30))
    session.rewind(10)
    save_session(session, tmp_path / "held.json")
    again = load_session(tmp_path / "held.json", model)
    assert again.clamps == clamps
    again.seed += 1
    session.seed += 1
    assert [step.char for step in again.stream(30)] == [step.char for step in session.stream(30)]


def test_a_session_of_before_clamps_has_none(model):
    values = to_dict(Session(model, "ab"))
    del values["clamps"]
    assert from_dict(values, model).clamps == ()
    values["clamps"] = ["9:1=1"]
    with pytest.raises(GenerationError, match="no cell"):
        from_dict(values, model)


def test_summary_is_read_from_the_beginning_of_a_file_or_from_an_old_one(model, tmp_path):
    session, path = Session(model, "abc", seed=3), tmp_path / "session.json"
    list(session.stream(50))
    save_session(session, path)
    text = f"abc{session.text}"
    assert saving.read_summary(path) == saving.SessionSummary(50, text, False, size=len(session.prime) + 50)
    with path.open("r+b") as file:  # what follows is not looked at
        file.seek(saving._HEAD_BYTES)
        file.truncate()
    assert saving.read_summary(path).length == 50
    session.rewind(20)
    session.type("a" if session.read(20, 21) != "a" else "b")
    values = saving.to_dict(session)
    values["summary"]["continues"] = "x" * 40_000
    path.write_text(json.dumps(values))
    assert saving.read_summary(path) == saving.SessionSummary(21, f"abc{session.text}", True, "x" * 40_000, size=24)
    del values["summary"]
    path.write_text(json.dumps(values))
    assert saving.read_summary(path).edited
    for broken in ("", "[]", "{}", '{"format": 2, "kind": "charlstm session", "summary": {"length": "5"}}'):
        path.write_text(broken)
        with pytest.raises(GenerationError):
            saving.read_summary(path)


def test_prose_has_its_lines_joined_to_paragraphs(model, tmp_path):
    session = Session(model, "abc")
    session.type("a b \nb a\n\nc\nab\n  b\n")
    path = tmp_path / "story.prose.txt"
    export_session(session, path)
    assert path.read_text() == "abca b b a\n\nc ab\n  b\n"


@given(
    value=st.floats(-1e6, 1e6),
    factor=st.floats(-1, 1) | st.just(0.0),
)
@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_clamps_are_kept_exactly(model, value, factor):
    clamp = Clamp(2, 3, value, factor)
    assert parse_clamp(clamp.exact()) == clamp
    assert from_dict(to_dict(Session(model, "ab", clamps=[clamp])), model).clamps == (clamp,)


@pytest.mark.parametrize(
    ("text", "value", "factor"),
    [
        ("2:3=1", 1.0, 0.0),
        (" 2 : 3 * -0.5 ", 0.0, -0.5),
        ("2:3*1e-05", 0.0, 1e-05),
        ("2:3*0.5+1.5", 1.5, 0.5),
        ("2:3*1e-05-2E+3", -2e3, 1e-05),
        ("2:3*-1-1", -1.0, -1.0),
    ],
)
def test_clamp_is_read_with_factor_and_value(text, value, factor):
    assert parse_clamp(text) == Clamp(2, 3, value, factor)


@pytest.mark.parametrize("text", ["2:3=1+1", "2:3*", "2:3*+", "2:3*1+", "2:3*0.5++1", "2:3*0.5+1+1", "2:3*e-5", "2:3"])
def test_other_texts_are_no_clamps(text):
    with pytest.raises(GenerationError, match="is not a clamp"):
        parse_clamp(text)


def test_exports_name_clamps_exactly(model):
    session = Session(model, "ab", clamps=[Clamp(1, 2, value=0.123456789, factor=0.5)])
    assert "held cells: 1:2*0.5+0.123456789" in to_markdown(session)


def test_exports_name_each_seed_with_its_place(model, tmp_path):
    session = Session(model, "ab", seed=5)
    play(session, 20)
    session.rewind(10)
    session.seed = session.find_seed()
    second = session.seed
    play(session, 10)
    session.type("abc")
    session.seed = -3
    play(session, 1)
    assert session.seed_places() == [(0, 5), (10, second), (23, -3)]
    words = f"seed: 5; from character 11 after the prime: {second}; from character 24 after the prime: -3\n"
    assert words in to_markdown(session)
    save_session(session, tmp_path / "one.json")
    again = load_session(tmp_path / "one.json", model)
    assert again.seed == -3
    assert words in to_markdown(again)
    again.switch(0)
    assert again.seed_places() == [(0, 5)]
    assert "seed: 5\n" in to_markdown(again)
    assert "seed: 7\n" in to_markdown(Session(model, "ab", seed=7))


@pytest.mark.parametrize("seeds", [5, [5], [[1, 2, 3]], [[0, 2**64]], [[0, "5"]], [[301, 5]], [[5, 1], [4, 2]]])
def test_impossible_seeds_are_refused(session, model, seeds):
    values = to_dict(session)
    values["branches"][0]["seeds"] = seeds
    with pytest.raises(GenerationError, match="is damaged"):
        from_dict(values, model)


def test_what_is_saved_can_be_read_however_long(session, model, tmp_path, monkeypatch):
    path = tmp_path / "one.json"
    save_session(session, path)
    size = path.stat().st_size
    monkeypatch.setattr(saving, "MAX_BYTES", size)
    save_session(session, path)
    assert load_session(path, model).read() == session.read()
    session.rewind(len(session))
    play(session, 50)
    with pytest.raises(OSError, match="can be read again"):
        save_session(session, path)
    assert load_session(path, model).read() == session.read()[:-50]  # the file stays as it was


def test_session_of_more_than_a_gigabyte_is_read(session, model, tmp_path, monkeypatch):
    path = tmp_path / "one.json"
    save_session(session, path)
    asked = []
    monkeypatch.setattr(storage, "read_json", lambda path, most: (asked.append(most), json.loads(path.read_bytes()))[1])
    load_session(path, model)
    assert asked[0] > 2**34


def test_prose_and_verse_are_the_text_alone_in_markdown_and_html(model, tmp_path):
    session = Session(model, "")
    session.prime = "It was *late*\nand cold.\n  He said:\n\n- go\n1. <b>\n\n\n  O rose,\n    sick\n"
    exported = {}
    for kind in ("prose", "verse"):
        for ending in ("md", "html"):
            path = tmp_path / f"a.{kind}.{ending}"
            export_session(session, path)
            exported[kind, ending] = path.read_text(encoding="utf-8")
    assert exported["prose", "md"].split("\n\n") == [
        r"It was \*late\* and cold.", "He said:", r"\- go 1. \<b\>", "O rose,", "sick\n"
    ]  # fmt: skip
    assert exported["verse", "md"].split("\n\n") == [
        "It was \\*late\\*\\\nand cold.\\\n\xa0\xa0He said:", "\\- go\\\n1\\. \\<b\\>",
        "\xa0\xa0O rose,\\\n\xa0\xa0\xa0\xa0sick\n",
    ]  # fmt: skip
    assert '<p dir="auto">It was *late* and cold.</p>\n<p dir="auto">He said:</p>' in exported["prose", "html"]
    assert '<p dir="auto">  O rose,\n    sick</p>' in exported["verse", "html"]
    assert "&lt;b&gt;" in exported["verse", "html"]
    assert "pre-wrap" in exported["verse", "html"].split("<body")[0]

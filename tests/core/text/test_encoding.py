import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import TextError
from charlstm.text.encoding import Encoding, check_encoding, find_encoding
from random_examples import examples

ENGLISH = "Everything was in confusion in the house. The wife had discovered something.\n" * 20
FRENCH = "Longtemps, je me suis couché de bonne heure. Parfois, à peine ma bougie éteinte, «l’idée» m’éveillait.\n" * 3
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n" * 3
HUNGARIAN = "Nem volt könnyű dolga annak, aki a falu végén lakott, mert télen a hó elzárta az utat, ősszel a sár.\n" * 3
CHINESE = "此开卷第一回也。作者自云曾历过一番梦幻之后，故将真事隐去，而借通灵说此石头记一书也。\n" * 10
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗い所で泣いていた。\n" * 4
KOREAN = "나라의 말이 중국과 달라 문자와 서로 통하지 아니하므로 어리석은 백성이 말하고자 하는 바가 있어도 못한다.\n" * 4


def found(data: bytes, chosen: str | None = None, limit: int | None = None) -> Encoding:
    size = len(data) if limit is None else limit
    return find_encoding(io.BytesIO(data), "notes.txt", chosen, size, lambda done: None)


def read(data: bytes) -> str:
    encoding = found(data)
    return data[encoding.mark :].decode(encoding.name)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8-sig"), (CHINESE, "utf-32"), (CHINESE, "utf-32-le"), (CHINESE, "gb18030"),
        (ENGLISH, "utf-16"), (ENGLISH * 100 + "café\n" + ENGLISH * 100, "latin-1"), ("Hi", "utf-16-be"),
        (FRENCH, "cp1252"), (FRENCH.replace("’", "'"), "latin-1"), (HUNGARIAN, "cp1250"), (RUSSIAN, "utf-16-le"),
        (RUSSIAN, "cp1251"), (JAPANESE, "shift_jis"), (KOREAN, "euc_kr"),
        ("“Möwe” – größer über Köln, naïve café, déjà vu\n" * 30, "cp1252"),
        # the detector took these for cp1250, cp775 or damaged UTF-8
        (ENGLISH + "naïve, naïveté, naïvely, naïfs, Naïveté\n", "latin-1"),
        ("Señor Muñoz, piñata, mañana, cañon, El Niño\n", "latin-1"),
        ("5½ pence, naïve, café, 3×4, ¶ 5, ¢3, ¼ mile\n", "latin-1"),
        ("the naïve † ‡ notes • café • façade • résumé ™\n", "cp1252"),
        ("È così: la libertà è più giù, perché lì può.\n", "latin-1"),
        ("Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt, mõistus ja õigused.\n", "cp1252"),
        ("Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum, gæddir, þeim, eiga kröfu á.\n", "cp1252"),
        ("Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis. Jiems suteiktas protas ir sąžinė.\n", "cp1257"),
        ("Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.\n", "cp1254"),
        ("Wszyscy ludzie rodzą się wolni i równi", "cp1250"),
        ("Все люди рождаются свободными и равными в своем достоинстве", "koi8-r"),
        ("Alla människor är födda fria och lika i värde och rättigheter; bör handla, av något slag.", "cp437"),
    ],
)  # fmt: skip
def test_find_encoding_decodes_text_correctly(text: str, encoding: str) -> None:
    assert read(text.encode(encoding)) == text


DAMAGED = [
    b"hello \xff world\n" * 100, ENGLISH.encode() + b"\xff\xfe\xfd" + ENGLISH.encode(),
    RUSSIAN.encode() + b"\xd0\xff" + RUSSIAN.encode(), RUSSIAN.encode()[:-2], b"It was \xc3 a day\n",
]  # fmt: skip


def test_find_encoding_finds_damaged_utf8_and_utf16() -> None:
    assert {found(damaged) for damaged in DAMAGED} == {("utf-8", 0)}
    wide = RUSSIAN.encode("utf-16-le")
    assert found(wide[:100] + b"\x00\xd8" + wide[102:] + wide * 4).name == "utf-16-le"


def test_find_encoding_finds_accents_that_are_far_apart() -> None:
    late = ENGLISH.encode() * 3000 + b"caf\xe9 na\xefve d\xe9j\xe0 vu"
    assert len(late) > 4 * 1024 * 1024
    assert found(late).name == "cp1252"
    assert found(late, limit=1000).name == "utf-8"


def test_find_encoding_accepts_character_that_the_limit_cuts() -> None:
    assert found("aé".encode() * 50, limit=101).name == "utf-8"
    assert found(b"caf\xe9 d\xe9j\xe0", limit=100).name == "cp1252"


@examples(40)
@given(st.text(min_size=1).filter(lambda text: "\x00" not in text and text.isprintable()))
def test_find_encoding_of_any_utf8_is_utf8(text: str) -> None:
    assert found(text.encode()).name == "utf-8"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF.*plain text"),
        (b"{\\rtf1\\ansi", r"\(.doc or .rtf.*save it as plain text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), r"\(.doc or .rtf"),
        (b"\x1f\x8b\x08\x00", r"compressed \(.bz2 or .zst, or twice\).*unpack"),
        (bytes(257) + b"ustar", r"\(.tar\).*unpack"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + os.urandom(2000), "binary data"),
        (bytes(300), "nothing but NUL"),
        (os.urandom(20_000), "binary data"),
    ],
)
def test_find_encoding_refuses_other_kinds_of_file(data: bytes, message: str) -> None:
    with pytest.raises(TextError, match=f"^notes.txt .*{message}"):
        found(data)


def test_find_encoding_does_not_check_chosen_encoding() -> None:
    assert found(FRENCH.encode("cp1252"), "cp1250") == ("cp1250", 0)
    assert found(b"\xef\xbb\xbfabc", "utf-8") == ("utf-8", 3)
    assert found(ENGLISH.encode("utf-16"), "utf-16") == ("utf-16-le", 2)
    assert found(bytes(10), "latin-1").name == "latin-1"


@pytest.mark.parametrize("family", ["utf-16", "utf-32"])
def test_chosen_encoding_of_several_bytes_without_mark_gets_a_byte_order(family: str) -> None:
    for order in ("-le", "-be"):
        assert found(ENGLISH.encode(family + order), family) == (family + order, 0)
        assert found(("\ufeff\x00" + ENGLISH).encode(family + order), family) == (family + order, int(family[-2:]) // 8)
    assert found(ENGLISH.encode(), family) == (f"{family}-le", 0)


@pytest.mark.parametrize("name", ["klingon", "zlib", "rot13", "unicode_escape", "", "\x00"])
def test_check_encoding_refuses_unknown_names(name: str) -> None:
    with pytest.raises(TextError, match="no text encoding"):
        check_encoding(name)

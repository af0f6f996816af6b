"""Text that can be seen: nothing in it acts on a terminal, and nothing hides."""

import random
import unicodedata

import pytest

from mechdyn.text import printable, short, visible


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("\n", "⏎"),
        (" word", "·word"),
        ("  ", "··"),
        ("a b ", "a b·"),
        ("\t", "⇥"),
        ("\r\n", "␍⏎"),
        ("", "∅"),
        ("�", "�"),
        ("\ud83d", "�"),
        ("\u202eabc", "<U+202E>abc"),
        ("\u200b", "<U+200B>"),
        ("\x00", "<U+0000>"),
        ("\xa0", "<U+00A0>"),
        ("\u0301", "◌\u0301"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\u200d", "<U+200D>"),
        ("<|eot_id|>", "<|eot_id|>"),
        ("plain", "plain"),
    ],
)
def test_every_token_can_be_seen(token: str, shown: str) -> None:
    assert printable(token) == shown


def test_running_text_keeps_its_spaces_and_no_control_character() -> None:
    assert visible(" a\x1b[31m b\n") == " a<U+001B>[31m b⏎"
    rng = random.Random(0)
    for _ in range(200):
        shown = visible("".join(chr(rng.choice([rng.randrange(0x100), rng.randrange(0x2000, 0x2070)])) for _ in range(20)))
        assert all(unicodedata.category(character) != "Cc" for character in shown)
        assert visible(shown.replace("\u200c", "").replace("\u200d", "")) == shown.replace("\u200c", "").replace("\u200d", "")


def test_long_text_is_cut_with_an_ellipsis_and_marks_stay_with_their_base() -> None:
    assert short("abcdef", 6) == "abcdef"
    assert short("abcdefg", 6) == "abcde…"
    assert short("abcde\u0301fg", 6) == "abcd…"

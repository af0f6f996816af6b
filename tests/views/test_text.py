import random
import unicodedata

from mechdyn.views.text import escape, full, isolated, label


def test_nothing_that_plotly_reads_is_left() -> None:
    assert escape("<b>&amp;</b> $x$") == "&lt;b&gt;&amp;amp;&lt;/b&gt; &#36;x&#36;"


def test_random_text_keeps_no_control_and_no_markup() -> None:
    rng = random.Random(0)
    alphabet = [
        chr(code) for code in (*range(0x20, 0x7F), *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x0A, 0x0D, 0x5D0, 0x627, 0xD800)
    ]
    for _ in range(200):
        text = "".join(rng.choices(alphabet, k=rng.randrange(1, 40)))
        shown = label(text, 30)
        inside = shown.removeprefix("\u2066").removesuffix("\u2069")
        assert not set("<>$") & set(shown)
        assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in inside)
        assert all(unicodedata.category(character) != "Cf" or character in "\u200c\u200d" for character in inside)


def test_a_label_is_short() -> None:
    assert len(label("z" * 2000)) == 12


def test_a_hover_holds_the_whole_token_in_lines() -> None:
    text = "".join(random.Random(1).choices("abcdefgh", k=2000))
    lines = full(text).split("<br>")
    assert "".join(lines) == text
    assert max(map(len, lines)) == 60


def test_right_to_left_text_is_isolated_and_other_text_is_left_alone() -> None:
    assert isolated("שלום") == "\u2066שלום\u2069"
    assert isolated("hello") == "hello"

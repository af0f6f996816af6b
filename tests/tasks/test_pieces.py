"""Remembered pieces against the tokenizer over the whole text."""

import random
import re

import pytest
from transformers import AutoTokenizer

from mechdyn.tasks.chat import encode, render
from mechdyn.tasks.pieces import Pieces, _whole_words, whole
from mechdyn.tasks.prose import procedural_prose
from tests.bundled import MINI_FOLDER
from tests.tokenizers import LLAMA_3, tokenizer_styles

STYLES = tuple(tokenizer_styles())
TRUSTED = {"mini", "byte_bpe"}
"""Pieces of the others have tokens, or (`byte_bpe_plain`) offsets, of their own when they stand alone."""
_SPACES = [" ", " ", "  ", "\n", "\n\n", "\t", ". ", ".  ", ".\n", "\u00a0", "\u2003", "\x1c"]
_BITS = [*_SPACES, "…", "<|end|>", "<s>", "é", "e\u0301", "漢字", "🙂", "12", "7", "'s", "_"]


def messy(rng: random.Random) -> str:
    """Prose with all sorts of spaces, marks and tags strewn in."""
    words = procedural_prose(rng.randrange(10_000), 6).split(" ")
    return "".join(word + (" " if rng.random() < 0.6 else rng.choice(_BITS)) for word in words)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("special", [False, True])
def test_tokens_and_their_characters_are_those_of_the_whole_text(style: str, special: bool) -> None:
    tokenizer, rng = tokenizer_styles()[style], random.Random(f"{style}{special}")
    for _ in range(12):
        text = messy(rng)
        prompt, expected = encode(tokenizer, text, special), whole(tokenizer, text, special)
        assert prompt.tokens.tolist() == expected.ids
        assert [edge for span in prompt.offsets for edge in span] == expected.ends
        assert len(prompt) == len(expected)


def test_a_piece_begins_at_each_single_space_between_two_characters() -> None:
    """Against a search for such places in the text itself."""
    rng, boundary = random.Random(3), re.compile(r"(?<=\S)(?= \S)")
    for _ in range(2000):
        text = "".join(rng.choices(["a", "bc", "x.", " ", " ", " ", "  ", "\n", "\t", "\u00a0"], k=rng.randrange(14)))
        first, *others = _whole_words(text.split(" "))
        assert [first, *(f" {word}" for word in others)] == boundary.split(text), repr(text)


def test_which_tokenizers_are_trusted() -> None:
    assert {style for style in STYLES if Pieces.of(tokenizer_styles()[style]).fits} == TRUSTED


def test_a_tokenizer_that_has_learned_a_token_is_read_anew() -> None:
    tokenizer, text = AutoTokenizer.from_pretrained(MINI_FOLDER), "The bread<|more|>more is here."
    before = encode(tokenizer, text, False).tokens.tolist()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|more|>"]})
    after = encode(tokenizer, text, False).tokens.tolist()
    assert after == whole(tokenizer, text, False).ids != before


@pytest.mark.parametrize("user", ["Who?", " Who? ", "", "<tool_response>x</tool_response>", "a\n\nb 7"])
def test_a_text_stands_in_its_template_as_the_template_puts_it(user: str) -> None:
    """Against the template run for each text, a template that trims and looks for a tag among them."""
    tokenizer = AutoTokenizer.from_pretrained(MINI_FOLDER)
    looks = "{% for m in messages %}[{{ 'tool' if '<tool' in m['content'] else m['role'] }}]{{ m['content'] | trim }}{% endfor %}"
    for template in (LLAMA_3, looks):
        tokenizer.chat_template = template
        for system in ("Be short.", "Be long."):
            messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            assert render(tokenizer, system, user).text == expected

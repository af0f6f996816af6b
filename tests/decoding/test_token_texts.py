"""Texts of single tokens, on tokenizers of every style and on text that byte-level tokens split in the middle of characters."""

import random

import pytest

from mechdyn.decoding.sources import texts_in_place
from tests.tokenizers import tokenizer_styles

PIECES = ["The clerk", " née", "  Müller, ", "\n\t", " שלום", " 汉字", "👩\u200d🚀", " <script>", "&amp;", " f0e9-41a7", "."]


@pytest.mark.parametrize("style", tokenizer_styles())
@pytest.mark.parametrize("seed", range(4))
def test_texts_read_as_the_decoded_sequence(style: str, seed: int) -> None:
    tokenizer = tokenizer_styles()[style]
    text = "".join(random.Random(seed).choices(PIECES, k=30))
    ids = tokenizer(text)["input_ids"]
    texts = texts_in_place(tokenizer, ids)
    assert len(texts) == len(ids)
    assert "".join(texts).replace("�", "") == tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_the_last_part_of_a_character_has_it_and_those_before_stand_for_halves() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    ids = tokenizer("汉a", add_special_tokens=False)["input_ids"]
    assert texts_in_place(tokenizer, ids) == (*["�"] * (len(ids) - 2), "汉", "a")
    assert texts_in_place(tokenizer, ids[:1]) == ("�",)


def test_a_space_before_a_sentencepiece_word_stays() -> None:
    tokenizer = tokenizer_styles()["prefix_space"]
    ids = tokenizer("The clerk the clerk", add_special_tokens=False)["input_ids"]
    assert "".join(texts_in_place(tokenizer, ids)[1:]).count(" ") == 3


def test_no_token_has_no_text() -> None:
    assert texts_in_place(tokenizer_styles()["mini"], []) == ()

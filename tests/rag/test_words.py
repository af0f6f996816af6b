import random

import pytest
import torch

from mechdyn.rag.words import Word, draft_words
from tests.rag.pieces import Pieces
from tests.tokenizers import tokenizer_styles

STYLES = tuple(tokenizer_styles())
STRINGS = (
    "The answer is e54a7b3c-00c2-4c3a-8d43-ab12cd34ef56.",
    " leading and  double   spaces",
    "A line.\n\nAnother, with\ttabs and trailing space ",
    "Keep é, ü &amp; “quotes” – (1992) 3,5 %",
)
BEYOND_THE_VOCABULARY = ("中文 👩\u200d🚀 שלום", "ideographic\u3000space e\u0301 中 文")


def encode(style: str, text: str) -> torch.Tensor:
    return torch.tensor(tokenizer_styles()[style](text, add_special_tokens=False)["input_ids"], dtype=torch.long)


def decode(style: str, tokens: torch.Tensor) -> str:
    return tokenizer_styles()[style].decode(tokens.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def check_partition(words: tuple[Word, ...], text: str, n_tokens: int) -> None:
    assert "".join(word.text for word in words) == text
    assert [text[word.start : word.end] for word in words] == [word.text for word in words]
    assert [token for word in words for token in range(word.token_start, word.token_end)] == list(range(n_tokens))
    assert all(word.token_start < word.token_end for word in words)


def of_pieces(*pieces: str | bytes) -> list[str]:
    tokenizer = Pieces(pieces)
    return [word.text for word in draft_words(tokenizer, tokenizer.tokens)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("text", STRINGS + BEYOND_THE_VOCABULARY)
def test_words_are_the_text_between_white_space(style: str, text: str) -> None:
    tokens = encode(style, text)
    shown = decode(style, tokens)
    words = draft_words(tokenizer_styles()[style], tokens)
    check_partition(words, shown, len(tokens))
    assert [word.text.strip() for word in words] == shown.split()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(20))
def test_any_tokens_fall_into_words_without_gap_or_overlap(style: str, seed: int) -> None:
    tokenizer = tokenizer_styles()[style]
    rng = random.Random(seed)
    tokens = torch.tensor([rng.randrange(len(tokenizer)) for _ in range(rng.randrange(1, 40))])
    words = draft_words(tokenizer, tokens)
    check_partition(words, decode(style, tokens), len(tokens))


# Unigram has no token for a line's end: what it decodes is another text than the one that its offsets speak of.
@pytest.mark.parametrize(
    ("style", "text"), [(style, text) for style in STYLES for text in STRINGS if style != "unigram" or "\n" not in text]
)
def test_tokens_lie_in_the_words_that_the_tokenizer_itself_puts_them_in(style: str, text: str) -> None:
    tokenizer = tokenizer_styles()[style]
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    words = draft_words(tokenizer, torch.tensor(encoding["input_ids"]))
    starts_of_ink = [start for start in range(len(text)) if not text[start].isspace() and (start == 0 or text[start - 1].isspace())]
    for index, word in enumerate(words):
        for token in range(word.token_start, word.token_end):
            start, end = encoding["offset_mapping"][token]
            inked = [at for at in range(start, end) if not text[at].isspace()]
            assert all(sum(begin <= at for begin in starts_of_ink) == index + 1 for at in inked)


def test_a_token_over_several_words_keeps_them_together() -> None:
    assert of_pieces("one", " of the", " best", "!") == ["one", " of the", " best!"]
    assert of_pieces("on", "e of", " it") == ["one of", " it"]


def test_white_space_goes_with_the_word_behind_it_or_the_last_word() -> None:
    assert of_pieces("a", " ", " ", "b", " ", "\n") == ["a", "  b \n"]
    assert of_pieces(" ", "a ", "b") == [" a ", "b"]
    assert of_pieces(" ", "\n") == [" \n"]


def test_a_character_parted_over_tokens_stays_in_one_word() -> None:
    first, second, third = "中".encode()[:1], "中".encode()[1:2], "中".encode()[2:]
    assert of_pieces("x ", first, second, third, "y", " z") == ["x ", "中y", " z"]
    ideographic_space = "\u3000".encode()
    assert of_pieces("x", ideographic_space[:1], ideographic_space[1:], "y") == ["x", "\u3000y"]
    assert of_pieces("x", b" \xe4", b"\xb8\xad") == ["x", " 中"]


def test_half_a_character_at_the_end_or_before_another_is_shown_as_such() -> None:
    assert of_pieces("x ", b"\xe4\xb8") == ["x ", "\ufffd"]
    assert of_pieces("x", b" \xe4", " y") == ["x", " \ufffd", " y"]


def test_special_tokens_add_no_text_and_belong_to_the_word_being_written() -> None:
    tokenizer = Pieces(["Yes", " no", "</s>"])
    assert [(word.text, word.token_end) for word in draft_words(tokenizer, tokenizer.tokens)] == [("Yes", 1), (" no", 3)]
    assert of_pieces("</s>") == [""]


def test_text_without_spaces_is_parted_at_its_sentences() -> None:
    assert of_pieces("no", ".", "So", " what") == ["no.", "So", " what"]
    assert of_pieces("中", "。", "文", "。") == ["中。", "文。"]


def test_an_empty_draft_has_no_word() -> None:
    assert of_pieces() == []

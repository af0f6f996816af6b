import pytest
import torch

from mechdyn.rag.words import draft_sentences, draft_words
from tests.rag.pieces import Pieces
from tests.tokenizers import tokenizer_styles

TEXT = "Dr. Aldo moved to the U.K. in 1992. He paid 3.5 pounds, e.g. for music. Why? No end"
SENTENCES = ["Dr. Aldo moved to the U.K. in 1992.", "He paid 3.5 pounds, e.g. for music.", "Why?", "No end"]


def of_pieces(*pieces: str | bytes) -> list[str]:
    tokenizer = Pieces(pieces)
    return [sentence.text for sentence in draft_sentences(tokenizer, tokenizer.tokens)]


@pytest.mark.parametrize("style", ["mini", "byte_bpe", "byte_bpe_plain"])
def test_abbreviations_initials_and_decimals_end_no_sentence(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    tokens = torch.tensor(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
    assert [sentence.text.strip() for sentence in draft_sentences(tokenizer, tokens)] == SENTENCES


@pytest.mark.parametrize("style", tuple(tokenizer_styles()))
def test_sentences_partition_characters_tokens_and_words(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    tokens = torch.tensor(tokenizer(f"{TEXT}.\n\n中文。 Ende! ", add_special_tokens=False)["input_ids"])
    text = tokenizer.decode(tokens.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    sentences = draft_sentences(tokenizer, tokens)
    assert len(sentences) > 3
    assert "".join(sentence.text for sentence in sentences) == text
    assert [text[sentence.start : sentence.end] for sentence in sentences] == [sentence.text for sentence in sentences]
    assert [token for s in sentences for token in range(s.token_start, s.token_end)] == list(range(len(tokens)))
    assert {s.token_start for s in sentences} <= {word.token_start for word in draft_words(tokenizer, tokens)}


@pytest.mark.parametrize("style", tuple(tokenizer_styles()))
def test_the_tokens_before_a_sentence_decode_to_the_text_before_it(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    tokens = torch.tensor(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
    text = tokenizer.decode(tokens.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    for sentence in draft_sentences(tokenizer, tokens):
        kept = tokenizer.decode(tokens[: sentence.token_start].tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert kept == text[: sentence.start]


def test_a_sentence_end_inside_a_token_moves_to_the_end_of_the_word() -> None:
    assert of_pieces("It", " ends. Then", " more") == ["It ends. Then", " more"]
    assert of_pieces("It", " ends", ". Then more.") == ["It ends. Then more."]


def test_white_space_is_no_sentence_of_its_own() -> None:
    assert of_pieces("Hi", "!", " ", "\n\n", "Ho", " ") == ["Hi!", " \n\nHo "]
    assert of_pieces(" ", "\n") == [" \n"]


def test_an_empty_draft_has_no_sentence() -> None:
    assert of_pieces() == []

"""Rendering through chat templates and from characters to tokens."""

import random

import pytest
import torch

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.tasks.chat import Prompt, encode, locate, positions_of, render, require_offsets
from mechdyn.tasks.pieces import Spelled
from tests.tokenizers import tokenizer_styles


def test_system_and_user_stand_in_the_template() -> None:
    prompt = render(tokenizer_styles()["byte_bpe"], "Be short.", "Who?")
    turns = "<|head|>system<|tail|>\n\nBe short.<|end|><|head|>user<|tail|>\n\nWho?<|end|><|head|>assistant<|tail|>\n\n"
    assert prompt.text == f"<s>{turns}"


def test_a_template_that_refuses_the_system_role_gets_both_texts_as_the_users() -> None:
    prompt = render(tokenizer_styles()["whole_text"], "Be short.", "Who?")
    assert prompt.text == "<s><|head|>user\nBe short.\n\nWho?<|end|>\n<|head|>model"


def test_a_tokenizer_without_a_template_gets_plain_text() -> None:
    assert render(tokenizer_styles()["unigram"], "Be short.", "Who?").text == "Be short.\n\nWho?\n\nAnswer:"


@pytest.mark.parametrize(
    ("style", "n_bos"), [("byte_bpe", 1), ("prefix_space", 1), ("whole_text", 1), ("unigram", 1), ("byte_bpe_plain", 0)]
)
def test_there_is_one_bos_where_the_model_has_one(style: str, n_bos: int) -> None:
    tokenizer = tokenizer_styles()[style]
    prompt = render(tokenizer, "Be short.", "Who?")
    assert prompt.tokens.tolist().count(tokenizer.bos_token_id) == n_bos
    assert n_bos == 0 or prompt.tokens[0] == tokenizer.bos_token_id
    assert len(prompt.offsets) == len(prompt.tokens)


def test_thinking_is_switched_off_where_a_template_knows_the_switch() -> None:
    class Qwen3:
        chat_template = "set"
        is_fast = True

        def apply_chat_template(self, messages: list[dict[str, str]], *, enable_thinking: bool = True, **_: object) -> str:
            return messages[-1]["content"] + ("" if enable_thinking else "<think>\n\n</think>\n\n")

        def __call__(self, text: str, **_: object) -> dict[str, list]:
            return {"input_ids": list(range(len(text))), "offset_mapping": [(i, i + 1) for i in range(len(text))]}

    assert render(Qwen3(), "Be short.", "Who?").text == "Who?<think>\n\n</think>\n\n"


@pytest.mark.parametrize("seed", range(20))
def test_positions_are_those_that_share_a_character(seed: int) -> None:
    """Against sets of characters, with tokens that overlap (bytes of one character) and tokens of nothing (BOS)."""
    rng = random.Random(seed)
    offsets, cursor = [(0, 0)], 0
    while cursor < 40:
        size = rng.choice([0, 1, 1, 2, 5])
        offsets += [(cursor, cursor + size)] * rng.choice([1, 1, 3])
        cursor += size
    spans = tuple((start, start + rng.randint(1, 9)) for start in rng.sample(range(38), 3))
    prompt = Prompt.of("x" * 60, Spelled([0] * len(offsets), [edge for pair in offsets for edge in pair]))
    inside = {character for start, end in spans for character in range(start, end)}
    touching = [position for position, (start, end) in enumerate(offsets) if inside & set(range(start, end))]
    found = positions_of(prompt, spans).tolist()
    assert [position for position in found if offsets[position][0] < offsets[position][1]] == touching
    assert found == sorted(set(found))
    for position in set(found) - set(touching):  # a token of nothing counts only strictly inside a span
        assert any(start < offsets[position][0] < end for start, end in spans)


def test_no_span_marks_nothing() -> None:
    prompt = encode(tokenizer_styles()["byte_bpe"], "Who?", add_special_tokens=False)
    positions = positions_of(prompt, ())
    assert positions.dtype == torch.long
    assert len(positions) == 0


def test_text_that_the_template_changed_is_not_found() -> None:
    prompt = encode(tokenizer_styles()["byte_bpe"], "one  two", add_special_tokens=False)
    assert locate(prompt, " two", "haystack") == 4
    with pytest.raises(InputError, match="the chat template changed the haystack: its text no longer stands in the prompt"):
        locate(prompt, "one two", "haystack")


def test_tokenizers_without_offsets_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="a fast tokenizer with character offsets is needed, got object"):
        require_offsets(object())
    require_offsets(tokenizer_styles()["byte_bpe"])

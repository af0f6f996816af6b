"""Lookup in a JSON object, read back by a JSON parser."""

import json

import pytest

from mechdyn.tasks.key_value import KeyValue
from tests.tokenizers import tokenizer_styles


@pytest.mark.parametrize("style", tokenizer_styles())
@pytest.mark.parametrize("depth", [0.0, 0.3, 1.0])
def test_the_object_is_json_and_has_the_pair_at_its_place(style: str, depth: float) -> None:
    for length in (400, 903):
        sample = KeyValue().sample(tokenizer_styles()[style], length=length, depth=depth, seed=length)
        context = sample.prompt[slice(*sample.context_span)]
        pairs = json.loads(context)
        assert context == "{" + ",\n ".join(f'"{key}": "{value}"' for key, value in pairs.items()) + "}"
        asked = sample.prompt.rpartition('Key: "')[2][:36]
        assert pairs[asked] == sample.answer
        assert list(pairs).index(asked) == round(depth * (len(pairs) - 1))
        assert len(pairs) == sample.meta["pairs"] >= 2
        assert sample.prompt[slice(*sample.needle_spans[0])] == f'"{asked}": "{sample.answer}"'
        # All are UUIDs but for the last other value, which fills the prompt up.
        longer = [value for value in pairs.values() if len(value) != 36]
        assert len(longer) <= 1 and all(len(key) == 36 for key in pairs)


def test_the_prompt_is_the_published_one() -> None:
    sample = KeyValue().sample(tokenizer_styles()["byte_bpe_plain"], length=500, depth=0.5, seed=1)
    context = sample.prompt[slice(*sample.context_span)]
    assert sample.prompt == (
        "Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n"
        f"{context}\n\n{sample.question}\nCorresponding value:\n\nAnswer:"
    )


def test_one_more_pair_would_be_too_long() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    sample = KeyValue().sample(tokenizer, length=900, seed=2)
    pairs = json.loads(sample.prompt[slice(*sample.context_span)])
    pair = len(tokenizer(',\n "0b710a4f-94f8-47a6-88cc-0dd70b7a1fc5": "5cf4ff2b-1a53-4f5a-9a38-0ad0bbd6cb86"')["input_ids"])
    extra = max(map(len, pairs.values())) - 36
    assert 0 <= extra <= 2 * pair

"""Needles among near duplicates, and none among them."""

import re
import uuid

import pytest

from mechdyn.tasks.absence import NOT_GIVEN
from mechdyn.tasks.decoys import Decoys
from tests.tokenizers import tokenizer_styles

NEEDLE = re.compile(r"The magic word of the (\w+) is ([0-9a-f-]{36})\.")


@pytest.mark.parametrize("edits", [0, 1, 2, 8])
@pytest.mark.parametrize("seed", range(3))
def test_decoys_differ_in_key_and_in_as_many_digits_as_asked(edits: int, seed: int) -> None:
    sample = Decoys(n=5, edits=edits).sample(tokenizer_styles()["mini"], length=900, depth=0.5, seed=seed)
    found = dict(NEEDLE.findall(sample.prompt))
    asked = re.search(r"What is the magic word of the (\w+)\?", sample.prompt)[1]
    assert len(found) == 6 and found.pop(asked) == sample.answer
    assert sorted(found.values()) == sorted(sample.meta["decoys"])
    for value in found.values():
        differing = sum(a != b for a, b in zip(value, sample.answer, strict=True))
        assert differing == edits if edits else differing > 8
        assert uuid.UUID(value).version == 4 and str(uuid.UUID(value)) == value
    shown = [sample.prompt[slice(*span)] for span in sample.needle_spans]
    assert shown == [f"The magic word of the {asked} is {sample.answer}."]


def test_an_absent_needle_leaves_the_decoys_alone() -> None:
    present, absent = (
        Decoys(absent=absent).sample(tokenizer_styles()["byte_bpe"], length=700, depth=0.5, seed=2) for absent in (False, True)
    )
    assert absent.question == present.question and absent.answer == NOT_GIVEN
    assert present.answer not in absent.prompt
    assert [value for _, value in NEEDLE.findall(absent.prompt)] and not absent.needle_spans and not len(absent.needle_positions)
    assert absent.meta["key"] not in dict(NEEDLE.findall(absent.prompt))
    assert len(absent.meta["distractor_tokens"]) == 3


def test_right_answers_where_there_is_nothing() -> None:
    value = "0b710a4f-94f8-47a6-88cc-0dd70b7a1fc5"
    for text, right in (
        ("The document does not mention it.", 1.0),
        ("Not given.", 1.0),
        (f"It is not given, but that of the mill is {value}.", 0.0),
        (value, 0.0),
        ("The lantern.", 0.0),
    ):
        assert Decoys.quality(text, NOT_GIVEN) == {"accuracy": right}, text
        assert Decoys.is_correct(text, NOT_GIVEN) == bool(right)
    assert Decoys.quality(f"It is {value}.", value) == {"accuracy": 1.0}
    assert Decoys.quality("Not given.", value) == {"accuracy": 0.0}

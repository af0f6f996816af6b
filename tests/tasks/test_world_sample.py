"""Worlds of a wanted length."""

from types import SimpleNamespace

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.questions import DIRECT_INSTRUCTION, RATIONALE_INSTRUCTION
from mechdyn.tasks.world import _item, world
from tests.spans import check_marked
from tests.tokenizers import tokenizer_styles

STYLES = tuple(tokenizer_styles())


@pytest.mark.parametrize("style", STYLES)
def test_a_world_fills_the_length_and_never_exceeds_it(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    for length in (330, 512, 1024):
        sample = world(tokenizer, length=length, seed=length)
        assert len(sample) <= length
        n_chains = sample.meta["n_chains"]
        per_chain = (sample.context_span[1] - sample.context_span[0]) / n_chains
        longer = world(tokenizer, length=length + int(1.5 * per_chain), seed=length)
        assert longer.meta["n_chains"] > n_chains
        check_marked(tokenizer, sample, list(sample.needle_spans))
        assert len(sample.needle_spans) == 2
        assert sample.answer in sample.prompt[slice(*sample.needle_spans[1])]


def test_one_more_chain_would_be_too_long() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    for seed in range(5):
        sample = world(tokenizer, length=900, seed=seed)
        assert hotpotqa(tokenizer, _item(sample.meta["n_chains"], seed, seed)).prompt == sample.prompt
        assert len(hotpotqa(tokenizer, _item(sample.meta["n_chains"] + 1, seed, seed))) > 900


def test_the_seed_draws_where_the_evidence_lies() -> None:
    depths = [world(tokenizer_styles()["byte_bpe"], length=900, seed=seed).meta["depth"] for seed in range(40)]
    assert min(depths) < 0.3
    assert max(depths) > 0.7
    assert 0.35 < sum(depths) / len(depths) < 0.65


def test_the_same_question_among_other_paragraphs() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    first, retest = world(tokenizer, length=600, seed=1), world(tokenizer, length=600, seed=2, needle_seed=1)
    assert (retest.question, retest.answer) == (first.question, first.answer)
    facts = [{sample.prompt[start:end].strip() for start, end in sample.needle_spans} for sample in (first, retest)]
    assert facts[0] == facts[1]
    others = [set(sample.prompt[slice(*sample.context_span)].split("\n")) for sample in (first, retest)]
    assert len(others[0] & others[1]) == 2


def test_a_seed_gives_one_sample() -> None:
    tokenizer = tokenizer_styles()["unigram"]
    assert world(tokenizer, length=500, seed=7).key == world(tokenizer, length=500, seed=7).key
    assert world(tokenizer, length=500, seed=7).key != world(tokenizer, length=500, seed=8).key


def test_style_and_meta() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    sample = world(tokenizer, length=500, seed=3)
    assert (sample.task, sample.meta["length"], sample.meta["seed"], sample.meta["needle_seed"]) == ("world", 500, 3, 3)
    assert RATIONALE_INSTRUCTION in sample.prompt
    assert DIRECT_INSTRUCTION in world(tokenizer, length=500, seed=3, style="direct").prompt


def test_lengths_that_cannot_be_are_refused() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    with pytest.raises(InputError, match=r"length 60 cannot hold the question: its prompt without distractors has \d+ tokens"):
        world(tokenizer, length=60)
    with pytest.raises(InputError, match="length 500 is beyond the model's context of 400 positions"):
        world(SimpleNamespace(tokenizer=tokenizer, n_ctx=400), length=500)

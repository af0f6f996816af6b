"""A replayed trace has the sources that the generation itself saw, under every ablation that can be replayed."""

from dataclasses import replace

import pytest
import torch

from mechdyn.decoding.ablation import Ablation, reference_activations
from mechdyn.decoding.replay import can_replay, replay
from mechdyn.decoding.trace import trace, trace_many
from mechdyn.errors import InputError
from mechdyn.models.load import wrap_model
from mechdyn.schedules import Dynamic, RandomHeads
from mechdyn.tasks.sample import Sample
from tests.architectures import LIVE, tiny_model
from tests.bundled import mini_tokenizer

RANDOM = RandomHeads(k=5, seed=1)


@pytest.fixture(scope="module")
def model():
    return wrap_model(tiny_model("llama3.1", seed=3, few_words=True), mini_tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def sample():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(LIVE.start, LIVE.stop, (40,), generator=generator)
    return Sample("niah", "sample", tokens, ((0, 1),), (torch.rand(40, generator=generator) < 0.6).nonzero().flatten(), (0, 1), "?", "!")


def ablations(model, sample):
    reference = reference_activations(model, [sample])
    return {
        "clean": None,
        "dynamic": Dynamic(),
        "random, ablated kept": Ablation(RANDOM, commit="ablated"),
        "random, every position": Ablation(RANDOM, scope="all", commit="ablated"),
        "mean": Ablation(RANDOM, method="mean", reference=reference),
        "uniform, ablated kept": Ablation(RANDOM, method="uniform", scope="decode"),
    }


def test_sources_are_those_of_the_generation(model, sample):
    for name, ablation in ablations(model, sample).items():
        seen = trace(model, sample, ablate=ablation, max_new_tokens=8, keep_sources=5)
        again = replay(model, [replace(seen, sources=None, prompt_texts=None)], keep_sources=5)[0]
        assert torch.equal(again.sources.positions, seen.sources.positions), name
        torch.testing.assert_close(again.sources.weights, seen.sources.weights, atol=1e-3, rtol=1e-2)
        assert again.prompt_texts == seen.prompt_texts


def test_patterns_and_sources_agree_and_batches_keep_none(model, sample):
    seen = trace(model, sample, max_new_tokens=4, keep_patterns=True, keep_sources=3)
    assert torch.equal(seen.sources.positions[..., 0].long(), seen.patterns.argmax(dim=-1))
    (batched,) = trace_many(model, [sample], max_new_tokens=4)
    assert batched.sources is None and batched.prompt_texts is None


def test_what_cannot_be_replayed_is_refused(model, sample):
    kept = Ablation(RANDOM, method="mean", reference=reference_activations(model, [sample]), commit="ablated")
    seen = trace(model, sample, ablate=kept, max_new_tokens=4)
    assert not can_replay(seen)
    with pytest.raises(InputError, match="kept the keys and values of mean ablation cannot be replayed"):
        replay(model, [seen])
    other = replace(seen, meta={"model": {"name": "mini", "revision": "other", "dtype": "float32"}})
    with pytest.raises(InputError, match=r"made with mini \(other, float32\), this model is tiny"):
        replay(model, [other])
    with pytest.raises(InputError, match="keep_sources must be at least 1 to replay a trace, got 0"):
        replay(model, [seen], keep_sources=0)
    with pytest.raises(InputError, match=r"keep_sources must be 0 \(none\) or more, got -1"):
        trace(model, sample, keep_sources=-1)

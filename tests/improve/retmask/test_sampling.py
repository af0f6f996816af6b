"""Sampled answers: drawn from softmax(logits / T), the same whatever the batch, greedy at temperature 0."""

import pytest
import torch
from scipy import stats

from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.improve.retmask.deactivate import deactivated
from mechdyn.improve.retmask.sampling import Sampling, gumbel, sampled_answers
from mechdyn.models.load import load_model
from mechdyn.tasks.niah import niah


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.fixture(scope="module")
def prompts(mini):
    return [niah(mini, length=length, depth=0.5, seed=seed) for seed, length in enumerate((150, 190, 170))]


def test_the_likeliest_noisy_logit_is_a_draw_from_the_softmax():
    generator = torch.Generator().manual_seed(1)
    logits, temperature, n = torch.tensor([1.0, 0.2, -0.5, 2.0, -3.0]), 0.6, 4000
    drawn = torch.stack([(logits / temperature + gumbel(5, generator)).argmax() for _ in range(n)])
    counts = torch.bincount(drawn, minlength=5).double()
    expected = (logits / temperature).softmax(dim=0).double() * n
    assert stats.chisquare(counts.numpy(), (expected * counts.sum() / expected.sum()).numpy()).pvalue > 0.001


def test_an_answer_depends_on_prompt_seed_and_role_and_on_nothing_else(mini, prompts):
    hot = Sampling(temperature=3.0, max_new_tokens=12, seed=5)
    together = [answer.tokens for answer in sampled_answers(mini, prompts, hot, "intact")]
    assert [sampled_answers(mini, [prompt], hot, "intact")[0].tokens for prompt in prompts] == together
    assert [answer.tokens for answer in sampled_answers(mini, prompts, hot, "other")] != together
    assert [answer.tokens for answer in sampled_answers(mini, prompts, Sampling(3.0, 12, seed=6), "intact")] != together


def test_at_temperature_0_it_is_the_trace(mini, prompts):
    with deactivated(mini, "L3H7 L3H10"):
        found = sampled_answers(mini, prompts, Sampling(temperature=0.0, max_new_tokens=8), "ablated")
        expected = [trace(mini, prompt, max_new_tokens=8).tokens.tolist() for prompt in prompts]
    assert [list(answer.tokens) for answer in found] == expected


@pytest.mark.parametrize("options", [{"temperature": -0.1}, {"temperature": float("nan")}, {"max_new_tokens": 0}])
def test_what_cannot_be_drawn_is_refused(options):
    with pytest.raises(InputError, match=r"temperature|max_new_tokens"):
        Sampling(**options)

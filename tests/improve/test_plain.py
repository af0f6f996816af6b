"""Plain and ablated variants are what `trace` generates, batched and padded, and what a forward of plain Hugging Face says of a text."""

import pytest
import torch

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.heads import heads
from mechdyn.improve.chosen_heads import Retrieving
from mechdyn.improve.plain import Ablated, Plain
from mechdyn.models.load import wrap_model
from mechdyn.schedules import Dynamic, RandomHeads, Static
from mechdyn.tasks.niah import niah
from tests.architectures import LIVE, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_forward


@pytest.fixture(scope="module", params=["llama2", "qwen3"])
def model(request):
    """Multi-head and grouped-query attention; a vocabulary of few words, so that heads copy by chance."""
    return wrap_model(tiny_model(request.param, few_words=True), mini_tokenizer(), name=request.param)


def samples(n=3):
    made = [niah(mini_tokenizer(), length=90 + 20 * index, depth=0.3, seed=index) for index in range(n)]
    generator = torch.Generator().manual_seed(3)
    for sample in made:
        sample.tokens[:] = torch.randint(LIVE.start, LIVE.stop, (len(sample),), generator=generator)
    return made


ABLATIONS = [
    Ablation(Dynamic()),
    Ablation(Dynamic(top_k=1), method="uniform", scope="decode"),
    Ablation(Static(heads("L0H1 L2H3")), method="uniform", scope="decode"),
    Ablation(Static(heads("L0H1 L2H3"))),
    Ablation(RandomHeads(k=3), commit="ablated"),
]


def test_plain_answers_are_those_of_trace(model):
    for answer, sample in zip(Plain(model).answers(samples(), max_new_tokens=6), samples(), strict=True):
        found = trace(model, sample, max_new_tokens=6)
        assert (answer.tokens, answer.text, answer.stopped) == (tuple(found.tokens.tolist()), found.text, found.stopped)
        assert answer.cache_bytes > 0 and answer.seconds > 0


@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
def test_ablated_answers_are_those_of_trace(model, ablation):
    variant = Ablated(model, ablation, retrieving=Retrieving(threshold=0.5))
    for answer, sample in zip(variant.answers(samples(), max_new_tokens=6), samples(), strict=True):
        assert answer.tokens == tuple(trace(model, sample, ablate=ablation, max_new_tokens=6).tokens.tolist())


def test_log_probs_are_those_of_plain_forwards(model):
    tokens = samples(1)[0].tokens[:12]
    mask = heads("L0H1 L2H3").fit(model.n_layers, model.n_heads).mask()
    kept = Ablated(model, Ablation(Static(heads("L0H1 L2H3")), scope="decode")).log_probs(tokens)
    plain, own = tiny_model(model.name, few_words=True), Plain(model).log_probs(tokens)
    plain.set_attn_implementation("eager")
    for length in range(1, 13):
        expected = plain_forward(plain, tokens[:length])[0].log_softmax(-1)
        assert torch.allclose(own[length - 1], expected, atol=1e-4)
        off = plain_forward(plain, tokens[:length], mask.expand(length, -1, -1))[0].log_softmax(-1)
        assert torch.allclose(kept[length - 1], off, atol=1e-4)


def test_scope_all_is_refused(model):
    with pytest.raises(InputError, match="take Scaled with scales of 0"):
        Ablated(model, Ablation(Static(heads("L0H1")), scope="all"))
    with pytest.raises(InputError, match="no heads are named"):
        Ablated(model, None)

"""DeCoRe against two passes of plain Hugging Face a step: whole sequences, heads off by hooks, no cache and no code shared."""

import math
import secrets

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import heads
from mechdyn.improve.chosen_heads import Retrieving
from mechdyn.improve.decore import ContrastStrength, Decore, entropy_of
from mechdyn.improve.plain import Plain
from mechdyn.models.load import wrap_model
from mechdyn.schedules import ByStep, Dynamic, Static
from mechdyn.tasks.niah import niah
from tests.architectures import LIVE, WINDOWED, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_copy_paste, plain_forward
from tests.real_model import real_model, real_plain

LIST = "L0H1 L1H4 L2H3"
N_NEW = 5


def load(style, dtype=torch.float32):
    return wrap_model(tiny_model(style, few_words=True).to(dtype), mini_tokenizer(), name=style)


@pytest.fixture(scope="module", params=["llama2", "qwen3"])
def model(request):
    """Multi-head and grouped-query attention."""
    return load(request.param)


def samples():
    """Of different lengths, so that a batch is padded; tokens of a small vocabulary, so that heads copy by chance."""
    made = [niah(mini_tokenizer(), length=90 + 25 * index, depth=0.4, seed=index) for index in range(3)]
    generator = torch.Generator().manual_seed(5)
    for sample in made:
        sample.tokens[:] = torch.randint(LIVE.start, LIVE.stop, (len(sample),), generator=generator)
    return made


def plain_model(style):
    plain = tiny_model(style, few_words=True)
    plain.set_attn_implementation("eager")
    return plain


def two_passes(plain, sample, choose, uniform, n_new=N_NEW):
    """Tokens and scores of DeCoRe by its formula; `choose(patterns, tokens, base)` are the heads of a step."""
    tokens, masks, found = sample.tokens, [], []
    n_prompt = len(tokens)
    for _ in range(n_new):
        base, patterns, _ = plain_forward(plain, tokens)
        masks.append(choose(patterns, tokens, int(base.argmax())))
        every = torch.zeros(len(tokens), *masks[0].shape, dtype=torch.bool)
        every[n_prompt - 1 :] = torch.stack(masks)
        weaker = plain_forward(plain, tokens, every, uniform=uniform)[0]
        log_p, log_q = base.log_softmax(-1), weaker.log_softmax(-1)
        alpha = -(log_p.exp() * log_p).sum()
        found.append((1 + alpha) * log_p - alpha * log_q)
        tokens = torch.cat([tokens, found[-1].argmax()[None]])
    return tuple(tokens[n_prompt:].tolist()), found


@pytest.mark.parametrize("method", ["uniform", "zero"])
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_answers_are_those_of_two_plain_passes(model, method, kind):
    plain, shape = plain_model(model.name), (model.n_layers, model.n_heads)
    sizes = []

    def choose(patterns, tokens, token, needle=None):
        if kind == "static":
            return heads(LIST).fit(*shape).mask()
        mask = plain_copy_paste(patterns, tokens, needle, token) > 0.5
        sizes.append(int(mask.sum()))
        return mask

    variant = Decore(model, Dynamic() if kind == "dynamic" else Static(heads(LIST)), method=method)
    answers = variant.answers(samples(), max_new_tokens=N_NEW)
    differ = 0
    for sample, answer, plainly in zip(samples(), answers, Plain(model).answers(samples(), max_new_tokens=N_NEW), strict=True):
        needle = set(sample.needle_positions.tolist())
        expected, _ = two_passes(plain, sample, lambda *seen, needle=needle: choose(*seen, needle), method == "uniform")
        assert answer.tokens == expected[: len(answer.tokens)] and len(answer.tokens) == N_NEW
        differ += answer.tokens != plainly.tokens
    assert differ, "the contrast must decide some token, or this shows nothing"
    assert kind == "static" or 0 < sum(size > 0 for size in sizes) < len(sizes)


def test_scores_of_a_text_are_the_formula(model):
    sample, variant = samples()[0], Decore(model, Static(heads(LIST)))
    tokens, plain = sample.tokens[:10], plain_model(model.name)
    mask = heads(LIST).fit(model.n_layers, model.n_heads).mask()
    found = variant.log_probs(tokens)
    for length in range(1, 11):
        base = plain_forward(plain, tokens[:length])[0].log_softmax(-1)
        weaker = plain_forward(plain, tokens[:length], mask.expand(length, -1, -1), uniform=True)[0].log_softmax(-1)
        alpha = -(base.exp() * base).sum()
        assert torch.allclose(found[length - 1], ((1 + alpha) * base - alpha * weaker).log_softmax(-1), atol=2e-4)


@pytest.mark.parametrize("style", ["llama2", "qwen3"])
def test_bfloat16_stays_near_two_plain_passes(style):
    model, sample = load(style, torch.bfloat16), samples()[1]
    plain = plain_model(style).to(torch.bfloat16)
    mask = heads(LIST).fit(model.n_layers, model.n_heads).mask()
    tokens = sample.tokens[:8]
    found = Decore(model, Static(heads(LIST))).log_probs(tokens)
    for length in (1, 4, 8):
        base = plain_forward(plain, tokens[:length])[0].float()
        weaker = plain_forward(plain, tokens[:length], mask.expand(length, -1, -1), uniform=True)[0].float()
        expected = ContrastStrength().contrasted(base[None], weaker[None])[0].log_softmax(-1)
        live = slice(LIVE.start, LIVE.stop)
        assert torch.allclose(found[length - 1][live], expected[live], atol=0.15 * float(entropy_of(base[None])) + 0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("style", ["llama2", "qwen3", WINDOWED[0]])
def test_no_contrast_is_greedy_decoding_exactly(style, dtype):
    model = load(style, dtype)
    expected = [answer.tokens for answer in Plain(model).answers(samples(), max_new_tokens=N_NEW)]
    none = heads("").fit(model.n_layers, model.n_heads)
    never = Retrieving(threshold=1.5)
    for variant in (
        Decore(model, Static(heads(LIST)), contrast=ContrastStrength(alpha=0)),
        Decore(model, Dynamic(), contrast=ContrastStrength(cap=0)),
        Decore(model, Dynamic(), retrieving=never),
        Decore(model, ByStep((none,) * N_NEW)),
    ):
        assert [answer.tokens for answer in variant.answers(samples(), max_new_tokens=N_NEW)] == expected


def test_a_batch_gives_what_each_sample_gives_alone(model):
    for schedule in (Static(heads(LIST)), Dynamic()):
        variant = Decore(model, schedule)
        together = [answer.tokens for answer in variant.answers(samples(), max_new_tokens=N_NEW)]
        assert together == [variant.answers([sample], max_new_tokens=N_NEW)[0].tokens for sample in samples()]


@pytest.mark.real
def test_a_real_model_decodes_as_two_plain_passes_do():
    model, plain = real_model(), real_plain()
    listed = heads("L6H0 L14H3 L17H3 L18H6 L20H3 L22H7").fit(model.n_layers, model.n_heads)
    sample = niah(model, length=150, depth=0.3, seed=secrets.randbits(31))
    expected, _ = two_passes(plain, sample, lambda *seen: listed.mask(), uniform=True, n_new=8)
    assert Decore(model, Static(listed)).answers([sample], max_new_tokens=8)[0].tokens == expected, sample


def test_strength_is_the_entropy_or_what_was_asked():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [50.0, 0.0, 0.0, 0.0], [0.0, -math.inf, 0.0, -math.inf]])
    assert torch.allclose(ContrastStrength().strength(logits)[:, 0], torch.tensor([math.log(4), 0.0, math.log(2)]), atol=1e-6)
    assert torch.allclose(
        ContrastStrength(cap=1.0, scaled=True).strength(logits)[:, 0], torch.tensor([1 / math.log(4), 0.0, 0.5]), atol=1e-6
    )
    assert ContrastStrength(alpha=0.7).strength(logits)[:, 0].tolist() == pytest.approx([0.7] * 3)
    for wrong in ({"alpha": -1}, {"cap": math.nan}, {"alpha": 1.0, "scaled": True}):
        with pytest.raises(InputError):
            ContrastStrength(**wrong)


def test_what_cannot_be_run_is_refused(model):
    with pytest.raises(InputError, match="off by uniform or zero, got 'mean'"):
        Decore(model, Static(heads(LIST)), method="mean")
    with pytest.raises(InputError):
        Decore(model, Static(heads("L9H9")))

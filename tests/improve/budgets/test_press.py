"""The press for kvpress: what it hides has weight 0, comes back unharmed, and runs through kvpress' own pipeline.

kvpress needs pandas below 3, so these run in an environment of their own (docs/kv_budgets.md) and skip elsewhere.
"""

import copy
import importlib.util
import secrets
from itertools import pairwise

import pytest
import torch
from transformers import DynamicCache

from mechdyn.errors import InputError
from mechdyn.heads import Head, rank_heads
from mechdyn.improve.budgets.allocation import Allotment
from mechdyn.improve.budgets.press import headkv_press, register_presses
from tests.architectures import tiny_model
from tests.decoding.test_evicted import plain_with_masks

HAS_KVPRESS = importlib.util.find_spec("kvpress") is not None
needs_kvpress = pytest.mark.skipif(not HAS_KVPRESS, reason="needs kvpress, in an environment of its own: docs/kv_budgets.md")


def a_list(seed=0, n_layers=3, n_heads=8):
    values = torch.rand(n_layers, n_heads, generator=torch.Generator().manual_seed(seed)) ** 4
    return rank_heads([(Head(i, j), float(values[i, j])) for i in range(n_layers) for j in range(n_heads)], n_layers, n_heads)


def pair(style):
    plain = tiny_model(style, seed=8)
    eager = copy.deepcopy(plain)
    eager.set_attn_implementation("eager")
    plain.set_attn_implementation("sdpa")
    return plain, eager


@pytest.mark.skipif(HAS_KVPRESS, reason="kvpress is here")
def test_without_kvpress_one_line_says_what_to_install():
    with pytest.raises(InputError, match="pip install --no-deps kvpress"):
        headkv_press(0.5, scores=a_list())


@needs_kvpress
@pytest.mark.parametrize("source", ["static", "echo", "uniform"])
@pytest.mark.parametrize("style", ["llama2", "llama3.1", "qwen3"])
def test_every_step_equals_eager_attention_without_what_was_dropped(style, source):
    plain, eager = pair(style)
    draws = torch.Generator().manual_seed(secrets.randbits(32))
    context, fed = torch.randint(6, 30, (40,), generator=draws), torch.randint(6, 30, (4,), generator=draws)
    press, cache, hidden, shown = headkv_press(0.7, source=source, scores=a_list()), DynamicCache(), {}, []
    n_kv, group = plain.config.num_key_value_heads, 8 // plain.config.num_key_value_heads
    how = press.allotment(40)
    with press(plain), torch.no_grad():
        plain(context[None], past_key_values=cache)
        for step, token in enumerate(fed.tolist()):
            logits = plain(torch.tensor([[token]]), past_key_values=cache).logits[0, -1]
            assert int(press.seen.sum()) == (how.free + how.window) * 3 * n_kv
            hidden[40 + step] = ~press.seen.repeat_interleave(group, dim=1)
            shown.append(press.seen)
            expected, _ = plain_with_masks(eager, torch.cat([context, fed[: step + 1]]), hidden)
            assert torch.allclose(logits, expected, atol=5e-4)
    changed = any(not torch.equal(one, two) for one, two in pairwise(shown))
    assert changed == (source == "echo")
    clean = DynamicCache()
    with torch.no_grad():
        plain(context[None], past_key_values=clean)
    for one, two in zip(cache.layers, clean.layers, strict=True):
        assert torch.allclose(one.keys[:, :, :40], two.keys, atol=1e-6)
    assert all(block.self_attn.masked_key_indices is None for block in plain.model.layers)


@needs_kvpress
def test_a_ratio_of_0_drops_nothing():
    plain, _ = pair("llama3.1")
    tokens = torch.randint(6, 500, (1, 30), generator=torch.Generator().manual_seed(1))
    caches = [DynamicCache(), DynamicCache()]
    with torch.no_grad():
        plain(tokens, past_key_values=caches[0])
        without = plain(tokens[:, :2], past_key_values=caches[0]).logits
        with headkv_press(0.0, scores=a_list())(plain):
            plain(tokens, past_key_values=caches[1])
            assert torch.equal(plain(tokens[:, :2], past_key_values=caches[1]).logits, without)


@needs_kvpress
def test_a_registry_takes_each_under_its_name_once():
    registry = {"snapkv": object()}
    register_presses(registry, a_list())
    assert {"headkv", "headkv_uniform", "headkv_echo"} < registry.keys()
    from kvpress import BasePress

    assert isinstance(registry["headkv"], BasePress) and registry["headkv"].compression_ratio == 0.0
    with pytest.raises(InputError, match="already"):
        register_presses(registry, a_list())


@needs_kvpress
def test_bad_choices_are_one_line_each():
    plain, _ = pair("llama3.1")
    for wrong, said in (
        ({"compression_ratio": 1.0, "scores": a_list()}, "from 0 to below 1"),
        ({"compression_ratio": 0.5, "source": "oracle"}, "need no needle"),
        ({"compression_ratio": 0.5}, "scores of a list"),
        ({"compression_ratio": 0.5, "source": "forecast"}, "fit_forecast"),
        ({"compression_ratio": 0.5, "scores": a_list(), "beta": 0.5}, "β must be"),
    ):
        with pytest.raises(InputError, match=said):
            headkv_press(**wrong)
    other = headkv_press(0.5, scores=a_list(n_layers=2))
    with pytest.raises(InputError, match="take heads of this model"), other(plain):
        pass
    with pytest.raises(InputError, match="one prompt at a time"), headkv_press(0.5, scores=a_list())(plain):
        plain(torch.ones(2, 12, dtype=torch.long), past_key_values=DynamicCache())


@needs_kvpress
def test_kvpress_runs_it_through_its_pipeline_on_a_real_model():
    from kvpress import KVPressTextGenerationPipeline

    from tests.real_model import real_model, real_plain

    model = real_model()
    hf = copy.copy(real_plain())
    hf.set_attn_implementation("sdpa")
    pipeline = KVPressTextGenerationPipeline(model=hf, tokenizer=model.tokenizer)
    word = str(secrets.randbelow(90000) + 10000)
    story = "The grass was green that spring and the river ran high. " * 8
    context = f"{story} The magic number of the valley is {word}. {story}"
    scores = a_list(3, model.n_layers, model.n_heads)
    question = "What is the magic number of the valley? Answer with the number alone."

    def asked(press):
        return pipeline(context, question=question, press=press, max_new_tokens=12)["answer"]

    plain = asked(None)
    assert asked(headkv_press(0.0, scores=scores)) == plain
    press = headkv_press(0.5, source="echo", scores=scores)
    assert isinstance(asked(press), str)
    n_context = press.seen.shape[-1]
    assert int(press.seen.sum()) == Allotment.of_prompt(0.5, n_context).capacity * model.n_layers * 3

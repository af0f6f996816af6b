"""What single heads do not see of a prompt has weight 0: equal to plain eager attention with −inf there, step for step."""

import copy
import dataclasses

import pytest
import torch

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.models.load import wrap_model
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer

LAYERS, HEADS = 3, 8


def pair(style):
    plain = tiny_model(style, seed=5)
    wrapped = dataclasses.replace(wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=style), eos_ids=())
    plain.set_attn_implementation("eager")
    return plain, wrapped


def plain_with_masks(plain, tokens, hidden):
    """Logits and last rows of one whole forward; `hidden[query]` is layer x head x key, what heads do not see at that position."""
    handles = []
    for layer, block in enumerate(plain.model.layers):

        def hide(module, args, kwargs, layer=layer):
            n = len(tokens)
            mask = torch.full((n, n), -torch.inf).triu(1)[None, None].repeat(1, HEADS, 1, 1)
            for query, unseen in hidden.items():
                mask[0, :, query, : unseen.shape[-1]].masked_fill_(unseen[layer], -torch.inf)
            old = kwargs["attention_mask"]
            visible = mask if old is None else mask + old
            return args, {**kwargs, "attention_mask": visible}

        handles.append(block.self_attn.register_forward_pre_hook(hide, with_kwargs=True))
    with torch.no_grad():
        output = plain(tokens[None], output_attentions=True, use_cache=False)
    for handle in handles:
        handle.remove()
    return output.logits[0, -1], torch.stack([rows[0, :, -1] for rows in output.attentions])


@pytest.mark.parametrize("style", ["llama2", "llama3.1", "qwen3", "phi4-mini", "mistral", "gemma2", "gpt-oss"])
def test_steps_equal_eager_attention_with_minus_infinity(style):
    plain, wrapped = pair(style)
    draws = torch.Generator().manual_seed(3)
    prompts = [torch.randint(6, 2000, (n,), generator=draws) for n in (24, 17)]
    fed = torch.randint(6, 2000, (2, 3), generator=draws)
    engine = FastEngine(wrapped)
    state = engine.fork(engine.prefill([prompt[:-1] for prompt in prompts]), [0, 1, 0])
    owner, width = [0, 1, 0], state.prompt_visible.shape[1]
    hidden = [{}, {}, {}]
    last = torch.stack([prompts[index][-1] for index in owner])
    for step in range(4):
        evicted = torch.rand(3, LAYERS, HEADS, width, generator=draws) < 0.6 * (step != 1)
        tokens = last if step == 0 else fed[owner, step - 1]
        output, state = engine.step(dataclasses.replace(state, evicted=evicted), tokens)
        for row, index in enumerate(owner):
            n = len(prompts[index])
            hidden[row][n - 1 + step] = evicted[row, ..., width - n + 1 :]
            logits, rows = plain_with_masks(plain, torch.cat([prompts[index], fed[index, :step]]), hidden[row])
            assert torch.allclose(output.logits[row], logits, atol=2e-4)
            ours = torch.stack([pattern[row] for pattern in output.patterns])[..., width - n + 1 :]
            assert torch.allclose(ours, rows, atol=1e-5)
            assert (ours[..., : n - 1][hidden[row][n - 1 + step]] == 0).all()


def test_nothing_hidden_is_the_plain_step_and_a_fork_takes_its_own_rows():
    _, wrapped = pair("llama3.1")
    engine, draws = FastEngine(wrapped), torch.Generator().manual_seed(4)
    state = engine.prefill([torch.randint(6, 2000, (12,), generator=draws), torch.randint(6, 2000, (9,), generator=draws)])
    none = torch.zeros(2, LAYERS, HEADS, 12, dtype=torch.bool)
    tokens = torch.tensor([7, 8])
    assert torch.equal(engine.step(dataclasses.replace(state, evicted=none), tokens)[0].logits, engine.step(state, tokens)[0].logits)
    some = torch.rand(2, LAYERS, HEADS, 12, generator=draws) < 0.5
    narrowed = dataclasses.replace(state, evicted=some)
    both, _ = engine.step(narrowed, tokens)
    forked = engine.fork(narrowed, [1])
    assert torch.equal(forked.evicted, some[1:])
    assert torch.allclose(engine.step(forked, tokens[1:])[0].logits[0], both.logits[1], atol=1e-5)


def test_engines_that_cannot_hide_say_so():
    _, wrapped = pair("llama3.1")
    prompt, evicted = torch.arange(6, 16), torch.zeros(1, LAYERS, HEADS, 10, dtype=torch.bool)
    for engine in (BridgeEngine(wrapped), ReferenceEngine(wrapped)):
        with pytest.raises(ValueError, match="take FastEngine"):
            engine.step(dataclasses.replace(engine.prefill([prompt]), evicted=evicted), torch.tensor([7]))
    fast = FastEngine(wrapped)
    state = dataclasses.replace(fast.prefill([prompt]), evicted=evicted)
    with pytest.raises(ValueError, match="evicted=None"):
        fast.extend(state, [prompt])
    edit = HeadEdit(torch.ones(1, LAYERS, HEADS, dtype=torch.bool), averaged=torch.tensor([True]))
    with pytest.raises(ValueError, match="evicted=None"):
        fast.step(state, torch.tensor([7]), edit)
    seen, _ = fast.step(dataclasses.replace(state, evicted=None), torch.tensor([7]))
    with pytest.raises(ValueError, match="observed"):
        fast.step(state, torch.tensor([7]), HeadEdit(torch.ones(1, LAYERS, HEADS, dtype=torch.bool)), seen)

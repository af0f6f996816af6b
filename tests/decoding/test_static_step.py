"""The step of fixed shapes against the fast engine: no graph here, the same tensors as one would replay."""

import pytest
import torch

from mechdyn.decoding.context import KeyContext, score_step
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.static_step import StaticStep, why_not
from mechdyn.models.load import wrap_model
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.tasks.sample import Sample
from tests.architectures import STYLES, tiny_model
from tests.bundled import mini_tokenizer

N_NEW = 4


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("lengths", [(31,), (70, 83)])
def test_observing_and_ablated_steps_are_the_engines(style, lengths):
    model, generator = wrap_model(tiny_model(style, seed=4), mini_tokenizer(), name=style), torch.Generator().manual_seed(1)
    prompts = [torch.randint(6, 40, (length,), generator=generator) for length in lengths]
    samples = [Sample("niah", str(row), prompt, ((0, 1),), torch.arange(2, 25), (0, 1), "?", "!") for row, prompt in enumerate(prompts)]
    engine = FastEngine(model)
    state = engine.prefill([prompt[:-1] for prompt in prompts])
    context = KeyContext.of(samples, state, N_NEW)
    static = StaticStep(model, state, N_NEW, (context.tokens, context.needle))
    assert why_not(model, state) == ""
    fed = torch.stack([prompt[-1] for prompt in prompts])
    for _ in range(N_NEW):
        context = context.append(fed)
        off = torch.rand(len(prompts), model.n_layers, model.n_heads, generator=generator) < 0.4
        observed, after = engine.step(state, fed)
        edited, _ = engine.step(state, fed, HeadEdit(off))
        told = static.observe(fed).clone()
        for output, found in ((observed, told), (edited, None)):
            found = static.ablate(off) if found is None else found
            torch.testing.assert_close(static.logits, output.logits, atol=1e-4, rtol=0)
            tokens = output.logits.argmax(dim=-1)
            assert found[:, 0].tolist() == tokens.tolist()
            active = score_step(output, tokens, context, copy_paste)
            assert torch.equal(found[:, 1:].reshape(active.shape), active.long())
        static.keep()
        state, fed = after, observed.logits.argmax(dim=-1)


def test_what_it_does_not_run_is_named():
    model = wrap_model(tiny_model("llama3.1", seed=4), mini_tokenizer(), name="tiny")
    engine = FastEngine(model)
    state = engine.prefill([torch.arange(6, 40)])
    with pytest.raises(ValueError, match="rows share prompts"):
        StaticStep(model, engine.fork(state, [0, 0]), 2)
    assert "behind whole prompts" in why_not(model, engine.step(state, torch.tensor([7]))[1])
    with pytest.raises(RuntimeError, match="only CUDA records graphs"):
        StaticStep(model, state, 2).capture()

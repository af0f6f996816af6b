"""Traces of a real model with sliding windows equal plain Hugging Face eager code behind more tokens than a window holds."""

import secrets

import pytest
import torch

from mechdyn.decoding.trace import trace
from mechdyn.tasks.niah import niah
from tests.plain import plain_answer
from tests.real_model import real_model, real_plain

NAME = "gemma3-270m"
LENGTH, N_NEW = 700, 8
LIMIT = 1e-4
"""Of logits as a part of the largest, of attention weights as they are."""


@pytest.mark.real
@pytest.mark.slow
def test_what_a_window_has_left_behind_has_weight_zero_and_all_else_is_that_of_eager_code():
    model, plain, seed = real_model(NAME), real_plain(NAME), secrets.randbits(31)
    windows = [window for window in model.windows if window is not None]
    assert windows and set(windows) == {plain.config.sliding_window} and len(windows) < model.n_layers
    sample = niah(model, length=LENGTH, depth=0.5, seed=seed)
    n_prompt = len(sample.tokens)
    assert n_prompt > windows[0] + N_NEW
    found = trace(model, sample, max_new_tokens=N_NEW, keep_patterns=True)
    ids = torch.cat([sample.tokens, found.tokens])
    logits, rows = plain_answer(plain, ids[:-1], found.n_steps)
    assert found.tokens.tolist() == logits.argmax(dim=-1).tolist(), seed
    worst = 0.0
    for step in range(found.n_steps):
        held = n_prompt + step
        pattern = found.patterns[step, ..., :held]
        worst = max(worst, float((pattern - rows[step, ..., :held]).abs().max()))
        for layer, window in enumerate(model.windows):
            behind = pattern[layer, :, : held - window] if window is not None else pattern[layer]
            assert bool((behind == 0).all()) == (window is not None), (seed, step, layer)
    print(f"{n_prompt} tokens, {found.n_steps} steps, seed {seed}: weights differ by {worst:.1e} at most")
    assert worst <= LIMIT, seed

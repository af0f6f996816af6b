"""States put together in other ways are the same states."""

import copy

import pytest
import torch

from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.prefill import extend, prefill_apart
from mechdyn.models.load import wrap_model
from tests.architectures import STYLES, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_forward

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=STYLES)
def pair(request):
    plain = tiny_model(request.param, seed=2)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


def prompts_of(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(6, 2000, (length,), generator=generator) for length in lengths]


def require_same(plain, wrapped, state, prompts):
    fed = torch.arange(10, 10 + len(prompts))
    output, after = make_engine(wrapped).step(state, fed)
    for row, prompt in enumerate(prompts):
        logits, patterns, hidden = plain_forward(plain, torch.cat([prompt, fed[row : row + 1]]))
        torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(output.hidden[row], hidden, atol=TOLERANCE, rtol=0)
        visible = after.visible[row].bool()
        for layer, pattern in enumerate(patterns):
            torch.testing.assert_close(output.patterns[layer][row][:, visible], pattern, atol=TOLERANCE, rtol=0)


def test_prompts_read_apart_are_one_state(pair):
    prompts = prompts_of((9, 31, 1, 20), seed=0)
    require_same(*pair, prefill_apart(pair[1], prompts), prompts)


def test_a_row_goes_on_from_what_it_held(pair):
    begun, more, most = prompts_of((9, 31, 1), seed=1), prompts_of((4, 0, 7), seed=2), prompts_of((1, 3, 0), seed=3)
    state = prefill_apart(pair[1], begun)
    further = extend(pair[1], extend(pair[1], state, more), most)
    require_same(*pair, further, [torch.cat(parts) for parts in zip(begun, more, most, strict=True)])
    require_same(*pair, state, begun)


def test_going_on_in_chunks_is_going_on(pair):
    begun, more = prompts_of((9, 12), seed=4), prompts_of((11, 5), seed=5)
    state = extend(pair[1], prefill_apart(pair[1], begun, chunk=4), more, chunk=3)
    require_same(*pair, state, [torch.cat(parts) for parts in zip(begun, more, strict=True)])


def test_nothing_more_changes_nothing(pair):
    state = prefill_apart(pair[1], prompts_of((5, 3), seed=6))
    assert extend(pair[1], state, prompts_of((0, 0), seed=7)) is state

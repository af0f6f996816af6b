"""States put together in other ways are the same states."""

import copy

import pytest
import torch

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.models.load import wrap_model
from tests.architectures import STYLES, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_forward

TOLERANCE = 1e-4
ENGINES = [BridgeEngine, FastEngine, ReferenceEngine]


@pytest.fixture(scope="module", params=STYLES)
def pair(request):
    plain = tiny_model(request.param, seed=2)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


def prompts_of(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(6, 2000, (length,), generator=generator) for length in lengths]


def require_same(plain, engine, state, prompts):
    fed = torch.arange(10, 10 + len(prompts))
    output, after = engine.step(state, fed)
    for row, prompt in enumerate(prompts):
        logits, patterns, hidden = plain_forward(plain, torch.cat([prompt, fed[row : row + 1]]))
        torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(output.hidden[row], hidden, atol=TOLERANCE, rtol=0)
        visible = after.visible[row].bool()
        for layer, pattern in enumerate(patterns):
            torch.testing.assert_close(output.patterns[layer][row][:, visible], pattern, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("lengths", [(9, 31, 1, 20), (9, 9), (4, 0)])
def test_prompts_read_apart_are_one_state(pair, kind, lengths):
    plain, wrapped = pair
    prompts, engine = prompts_of(lengths, seed=0), kind(wrapped)
    require_same(plain, engine, engine.prefill(prompts, apart=True), prompts)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_row_goes_on_from_what_it_held(pair, kind):
    """Rows that share a prompt, with tokens fed between, and more tokens of different lengths twice over."""
    plain, wrapped = pair
    engine = kind(wrapped)
    begun, more, most = prompts_of((9, 31, 1), seed=1), prompts_of((4, 0, 7, 2), seed=2), prompts_of((1, 3, 0, 0), seed=3)
    rows, fed = [0, 1, 2, 1], torch.tensor([21, 22, 23, 24])
    state = engine.fork(engine.prefill(begun, apart=True), rows)
    _, stepped = engine.step(state, fed)
    further = engine.extend(engine.extend(stepped, more), most)
    parts = zip((begun[row] for row in rows), fed.split(1), more, most, strict=True)
    require_same(plain, engine, further, [torch.cat(part) for part in parts])
    require_same(plain, engine, state, [begun[row] for row in rows])


@pytest.mark.parametrize("kind", ENGINES)
def test_an_empty_prompt_is_gone_on_from(pair, kind):
    plain, wrapped = pair
    engine = kind(wrapped)
    nothing, more = prompts_of((0, 0), seed=8), prompts_of((3, 6), seed=9)
    require_same(plain, engine, engine.extend(engine.prefill(nothing), more), more)


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine])
def test_going_on_in_chunks_is_going_on(pair, kind):
    plain, wrapped = pair
    begun, more, engine = prompts_of((9, 12), seed=4), prompts_of((11, 5), seed=5), kind(wrapped, chunk=3)
    state = engine.extend(engine.prefill(begun, apart=True), more)
    require_same(plain, engine, state, [torch.cat(parts) for parts in zip(begun, more, strict=True)])


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine])
def test_nothing_more_changes_nothing(pair, kind):
    engine = kind(pair[1])
    state = engine.prefill(prompts_of((5, 3), seed=6))
    assert engine.extend(state, prompts_of((0, 0), seed=7)) is state


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine])
@pytest.mark.parametrize("chunk", [16, None])
def test_prompts_of_any_lengths_and_common_beginnings_are_one_state(pair, kind, chunk):
    """Read together, apart, copied from another, the same as another, or empty; in one go and in chunks."""
    plain, wrapped = pair
    (haystack,) = prompts_of((90,), seed=30)
    rests = prompts_of((7, 20, 7, 0), seed=31)
    begun = [torch.cat([haystack[:size], rest]) for size, rest in zip((90, 70, 90, 90), rests, strict=True)]
    prompts = [*prompts_of((70, 70, 33), seed=32), *begun, begun[1], *prompts_of((0,), seed=33)]
    require_same(plain, kind(wrapped, chunk=chunk), kind(wrapped, chunk=chunk).prefill(prompts), prompts)


def test_the_last_layers_attention_is_left_out_and_the_model_is_as_it_was(pair, monkeypatch):
    plain, wrapped = pair
    (prompt,) = prompts_of((80,), seed=34)
    seen = []
    handles = [layer.register_forward_hook(lambda *_: seen.append(1)) for layer in wrapped.twin.model.layers]
    state = FastEngine(wrapped).prefill([prompt])
    assert len(seen) == wrapped.n_layers - 1
    for handle in handles:
        handle.remove()
    require_same(plain, FastEngine(wrapped), state, [prompt])

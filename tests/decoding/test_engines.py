"""Bridge engine, reference engine and plain Hugging Face agree on all five architecture styles."""

import copy
import random
from dataclasses import replace
from weakref import WeakKeyDictionary

import pytest
import torch

from mechdyn.decoding import engines
from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.capture import last_layer_pattern
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.errors import InputError
from mechdyn.models.load import wrap_model
from tests.architectures import STYLES, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import last_only, plain_forward

LENGTHS = {"solo": (23,), "padded": (23, 9, 31)}
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=STYLES)
def pair(request):
    """The same weights twice: plain Hugging Face with eager attention, and under hooks."""
    plain = tiny_model(request.param)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


def random_prompts(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(6, 2000, (length,), generator=generator) for length in lengths]


@pytest.mark.parametrize("batch", LENGTHS)
@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine, ReferenceEngine])
def test_steps_equal_plain_hugging_face(pair, kind, batch):
    plain, wrapped = pair
    prompts = random_prompts(LENGTHS[batch], seed=1)
    fed = torch.stack(random_prompts([4] * len(prompts), seed=2))
    engine = kind(wrapped)
    state = engine.prefill(prompts)
    for step in range(fed.shape[1]):
        output, state = engine.step(state, fed[:, step])
        for row, prompt in enumerate(prompts):
            logits, patterns, hidden = plain_forward(plain, torch.cat([prompt, fed[row, : step + 1]]))
            torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
            torch.testing.assert_close(output.hidden[row], hidden, atol=TOLERANCE, rtol=0)
            visible = state.visible[row].bool()
            for layer, pattern in enumerate(patterns):
                ours = output.patterns[layer][row]
                torch.testing.assert_close(ours[:, visible], pattern, atol=TOLERANCE, rtol=0)
                assert not ours[:, ~visible].any(), "padding must get no attention"


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine, ReferenceEngine])
def test_edit_equals_zeroing_the_input_of_o_proj(pair, kind):
    plain, wrapped = pair
    prompts = random_prompts((17, 26), seed=3)
    fed = torch.stack([prompt[:1] for prompt in random_prompts((5, 5), seed=4)])
    mask = torch.rand(2, wrapped.n_layers, wrapped.n_heads, generator=torch.Generator().manual_seed(5)) < 0.4
    engine = kind(wrapped)
    output, _ = engine.step(engine.prefill(prompts), fed[:, 0], HeadEdit(mask))
    for row, prompt in enumerate(prompts):
        logits, _, _ = plain_forward(plain, torch.cat([prompt, fed[row]]), last_only(mask[row], len(prompt) + 1))
        torch.testing.assert_close(output.logits[row], logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine, ReferenceEngine])
def test_an_empty_edit_changes_no_bit(pair, kind):
    _, wrapped = pair
    engine = kind(wrapped)
    state = engine.prefill(random_prompts((12, 20), seed=6))
    token = torch.tensor([7, 8])
    without, _ = engine.step(state, token)
    empty, _ = engine.step(state, token, HeadEdit(torch.zeros(2, wrapped.n_layers, wrapped.n_heads, dtype=torch.bool)))
    assert torch.equal(without.logits, empty.logits)


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine, ReferenceEngine])
def test_stepping_leaves_the_state_as_it_was(pair, kind):
    _, wrapped = pair
    engine = kind(wrapped)
    state = engine.prefill(random_prompts((12,), seed=7))
    first, _ = engine.step(state, torch.tensor([9]))
    engine.step(state, torch.tensor([10]), HeadEdit(torch.ones(1, wrapped.n_layers, wrapped.n_heads, dtype=torch.bool)))
    again, _ = engine.step(state, torch.tensor([9]))
    assert torch.equal(first.logits, again.logits)


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine, ReferenceEngine])
def test_fork_repeats_and_drops_rows(pair, kind):
    _, wrapped = pair
    engine = kind(wrapped)
    state = engine.prefill(random_prompts((12, 20, 7), seed=8))
    whole, _ = engine.step(state, torch.tensor([9, 10, 11]))
    forked, _ = engine.step(engine.fork(state, [2, 0, 2]), torch.tensor([11, 9, 11]))
    torch.testing.assert_close(forked.logits, whole.logits[[2, 0, 2]], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("lengths", [(37, 21), (37, 37)])
def test_chunked_prefill_equals_one_go(pair, lengths):
    _, wrapped = pair
    prompts = random_prompts(lengths, seed=9)
    kinds = [BridgeEngine(wrapped, chunk=chunk) for chunk in (64, 8)]
    whole, chunked = (engine.step(engine.prefill(prompts), torch.tensor([5, 6]))[0] for engine in kinds)
    torch.testing.assert_close(chunked.logits, whole.logits, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine])
def test_a_shared_prefix_is_read_once_and_changes_nothing(pair, kind, monkeypatch):
    """Prompts that part behind a common haystack, of different lengths; the last is the haystack itself."""
    plain, wrapped = pair
    (prefix,) = random_prompts((80,), seed=11)
    prompts = [torch.cat([prefix, rest]) for rest in random_prompts((5, 23, 0), seed=12)]
    fed, read = torch.tensor([5, 6, 7]), []
    forward = type(wrapped.twin).forward
    monkeypatch.setattr(type(wrapped.twin), "forward", lambda self, ids, **rest: read.append(ids.numel()) or forward(self, ids, **rest))
    engine = kind(wrapped)
    prefilled = engine.prefill(prompts)
    assert sum(read) == 80 + 5 + 23
    output, state = engine.step(prefilled, fed)
    for row, prompt in enumerate(prompts):
        logits, patterns, _ = plain_forward(plain, torch.cat([prompt, fed[row : row + 1]]))
        torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
        for layer, pattern in enumerate(patterns):
            torch.testing.assert_close(output.patterns[layer][row][:, state.visible[row].bool()], pattern, atol=TOLERANCE, rtol=0)


def test_a_one_token_prompt_needs_no_prefill(pair):
    plain, wrapped = pair
    engine = BridgeEngine(wrapped)
    output, _ = engine.step(engine.prefill([torch.zeros(0, dtype=torch.long)]), torch.tensor([42]))
    torch.testing.assert_close(output.logits[0], plain_forward(plain, torch.tensor([42]))[0], atol=TOLERANCE, rtol=0)


HIDDEN = {"unpadded": [(range(5, 12),)], "padded": [(range(5, 12), range(20, 22)), (), (range(0, 4),)]}


@pytest.mark.parametrize("batch", HIDDEN)
@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine, ReferenceEngine])
def test_a_hidden_span_is_one_that_nothing_behind_it_can_attend_to(pair, kind, batch):
    plain, wrapped = pair
    spans = HIDDEN[batch]
    prompts = random_prompts([30 - 7 * row for row in range(len(spans))], seed=21)
    fed = torch.stack(random_prompts([3] * len(prompts), seed=22))
    shown = [hide(len(prompt), hidden) for prompt, hidden in zip(prompts, spans, strict=True)]
    engine = kind(wrapped)
    state = engine.prefill([prompt[keep] for prompt, keep in zip(prompts, shown, strict=True)], shown)
    assert state.next_position.tolist() == [len(prompt) for prompt in prompts]
    for step in range(fed.shape[1]):
        output, state = engine.step(state, fed[:, step])
        for row, prompt in enumerate(prompts):
            logits = plain_logits_behind_walls(plain, torch.cat([prompt, fed[row, : step + 1]]), spans[row])
            torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)


def hide(length, spans):
    """Positions outside the spans."""
    return torch.tensor([position for position in range(length) if not any(position in span for span in spans)])


def plain_logits_behind_walls(plain, tokens, spans):
    """Last logits of the whole sequence when no query behind a span may attend to its keys: additive 4-D mask, eager, no cache."""
    length = len(tokens)
    allowed = torch.ones(length, length).tril().bool()
    for span in spans:
        allowed[span.stop :, span.start : span.stop] = False
    mask = torch.zeros(1, 1, length, length).masked_fill(~allowed, torch.finfo(torch.float32).min)
    with torch.no_grad():
        return plain(tokens[None], attention_mask=mask, position_ids=torch.arange(length)[None], use_cache=False).logits[0, -1]


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine, ReferenceEngine])
def test_the_last_tokens_of_a_prompt_can_be_hidden(pair, kind):
    plain, wrapped = pair
    (prompt,) = random_prompts((20,), seed=23)
    engine = kind(wrapped)
    state = replace(engine.prefill([prompt[:14]]), next_position=torch.tensor([20]))
    output, state = engine.step(state, torch.tensor([9]))
    expected = plain_logits_behind_walls(plain, torch.cat([prompt, torch.tensor([9])]), (range(14, 20),))
    torch.testing.assert_close(output.logits[0], expected, atol=TOLERANCE, rtol=0)
    assert state.next_position.tolist() == [21]


@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine])
def test_a_shared_prefix_ends_where_positions_part(pair, kind):
    """The same tokens with another span hidden are another prefix."""
    plain, wrapped = pair
    (prompt,) = random_prompts((120,), seed=24)
    prompt[90:100] = prompt[80:90]
    spans = [(range(80, 90),), (range(90, 100),)]
    shown = [hide(120, hidden) for hidden in spans]
    engine = kind(wrapped)
    output, _ = engine.step(engine.prefill([prompt[keep] for keep in shown], shown), torch.tensor([7, 7]))
    for row, hidden in enumerate(spans):
        expected = plain_logits_behind_walls(plain, torch.cat([prompt, torch.tensor([7])]), hidden)
        torch.testing.assert_close(output.logits[row], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([[0, 1]], "one id a token, got rows of \\[2\\] for prompts of \\[3\\] tokens"),
        ([[0, 2, 2]], "positions must ascend from 0 or above, got \\[0, 2, 2\\]"),
        ([[-1, 0, 1]], "positions must ascend from 0 or above"),
    ],
)
@pytest.mark.parametrize("kind", [BridgeEngine, ReferenceEngine])
def test_positions_that_cannot_be_are_refused(pair, kind, positions, message):
    with pytest.raises(InputError, match=message):
        kind(pair[1]).prefill([torch.tensor([7, 8, 9])], [torch.tensor(row) for row in positions])


def test_last_layer_pattern_is_that_of_plain_hugging_face(pair):
    plain, wrapped = pair
    (draft,) = random_prompts((19,), seed=25)
    with torch.no_grad():
        expected = plain(draft[None], output_attentions=True).attentions[-1][0]
    torch.testing.assert_close(last_layer_pattern(wrapped, draft), expected, atol=TOLERANCE, rtol=0)


def test_any_walk_of_forks_steps_and_edits_equals_the_bridge(pair):
    """States are values: walks go on from any earlier state, rows are repeated, reordered and dropped, prompts share a prefix or do not."""
    _, wrapped = pair
    rng = random.Random(30)
    (prefix,) = random_prompts((70,), seed=30)
    prompts = [torch.cat([prefix, rest]) for rest in random_prompts((3, 11, 0, 7), seed=31)]
    fast, bridge = FastEngine(wrapped), BridgeEngine(wrapped)
    states = [(fast.prefill(prompts), bridge.prefill(prompts)), (fast.prefill(prompts[:1]), bridge.prefill(prompts[:1]))]
    for _ in range(24):
        ours, theirs = rng.choice(states)
        n_rows = len(ours.next_position)
        rows = [rng.randrange(n_rows) for _ in range(rng.randint(1, 5))]
        if rng.random() < 0.6:
            ours, theirs = fast.fork(ours, rows), bridge.fork(theirs, rows)
            n_rows = len(rows)
        tokens = torch.tensor([rng.randrange(6, 2000) for _ in range(n_rows)])
        mask = torch.rand(n_rows, wrapped.n_layers, wrapped.n_heads) < rng.choice([0.0, 0.3])
        edit = HeadEdit(mask, torch.randn(*mask.shape, wrapped.d_head)) if rng.random() < 0.5 else HeadEdit(mask)
        (found, ours), (expected, theirs) = fast.step(ours, tokens, edit), bridge.step(theirs, tokens, edit)
        states.append((ours, theirs))
        assert torch.equal(ours.visible, theirs.visible)
        torch.testing.assert_close(found.logits, expected.logits, atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(found.hidden, expected.hidden, atol=TOLERANCE, rtol=0)
        for one, other in zip(found.patterns, expected.patterns, strict=True):
            torch.testing.assert_close(one, other, atol=TOLERANCE, rtol=0)
            assert not one[~ours.visible.bool()[:, None].expand_as(one)].any(), "padding must get no attention"


def test_the_residual_stream_is_what_stands_before_the_last_norm(pair):
    plain, wrapped = pair
    prompt, token = random_prompts((14, 1), seed=32)
    before = []
    handle = plain.model.norm.register_forward_pre_hook(lambda module, args: before.append(args[0][0, -1]))
    plain_forward(plain, torch.cat([prompt, token]))
    handle.remove()
    for kind in (BridgeEngine, FastEngine, ReferenceEngine):
        engine = kind(wrapped, hidden="residual")
        output, _ = engine.step(engine.prefill([prompt]), token)
        torch.testing.assert_close(output.hidden[0], before[0], atol=TOLERANCE, rtol=0)
        with pytest.raises(InputError, match="hidden must be one of final, residual, got 'last'"):
            kind(wrapped, hidden="last")


def test_hooks_of_the_user_act_at_every_position_under_the_bridge_and_are_refused_by_the_fast_engine(pair):
    plain, wrapped = pair
    prompts, fed = random_prompts((19, 11), seed=33), torch.tensor([9, 10])

    def off(z, hook):
        z[:, :, 2] = 0.0
        return z

    with wrapped.bridge.hooks(fwd_hooks=[("blocks.1.attn.hook_z", off)]):
        assert isinstance(make_engine(wrapped), BridgeEngine)
        with pytest.raises(InputError, match=r"the bridge carries hooks \(blocks\.1\.attn"):
            make_engine(wrapped, "fast").prefill(prompts)
        engine = BridgeEngine(wrapped, chunk=8)
        output, _ = engine.step(engine.prefill(prompts), fed)
    masks = torch.zeros(40, wrapped.n_layers, wrapped.n_heads, dtype=torch.bool)
    masks[:, 1, 2] = True
    for row, prompt in enumerate(prompts):
        logits, _, _ = plain_forward(plain, torch.cat([prompt, fed[row : row + 1]]), masks[: len(prompt) + 1])
        torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
    assert isinstance(make_engine(wrapped), FastEngine)


def test_auto_probes_architectures_that_are_not_proven(pair, monkeypatch):
    _, wrapped = pair
    monkeypatch.setattr(engines, "PROVEN", frozenset())
    monkeypatch.setattr(engines, "_AGREEMENT", WeakKeyDictionary())
    assert isinstance(make_engine(wrapped), FastEngine)
    monkeypatch.setattr(engines, "_AGREEMENT", WeakKeyDictionary())
    monkeypatch.setattr(FastEngine, "step", broken_step(FastEngine.step))
    assert isinstance(make_engine(wrapped), BridgeEngine)


def broken_step(step):
    def wrong(self, state, tokens, edit=None, observed=None):
        output, after = step(self, state, tokens, edit, observed)
        return replace(output, patterns=tuple(pattern.flip(-1) for pattern in output.patterns)), after

    return wrong


@pytest.mark.parametrize("first", [0, 1, 2, None])
def test_layers_taken_from_the_observed_step_change_no_bit(pair, first):
    """Whichever layer has the first edited head; None edits nothing."""
    _, wrapped = pair
    engine, tokens = FastEngine(wrapped), torch.tensor([9, 10])
    state = engine.prefill(random_prompts((13, 22), seed=34))
    for _ in range(2):
        observed, _ = engine.step(state, tokens)
        mask = torch.zeros(2, wrapped.n_layers, wrapped.n_heads, dtype=torch.bool)
        if first is not None:
            mask[0, first:, 3] = mask[1, wrapped.n_layers - 1, :4] = True
        whole, after_whole = engine.step(state, tokens, HeadEdit(mask))
        short, after_short = engine.step(state, tokens, HeadEdit(mask), observed)
        for one, other in ((whole.logits, short.logits), (whole.hidden, short.hidden), *zip(whole.patterns, short.patterns, strict=True)):
            assert torch.equal(one, other)
        for one, other in zip(after_whole.memory.tail_values, after_short.memory.tail_values, strict=True):
            assert torch.equal(one, other)
        assert "forward" not in wrapped.twin.model.layers[0].__dict__, "the model is left as it was"
        state = after_short
    with pytest.raises(ValueError, match="the same state gave for the same tokens"):
        engine.step(state, tokens, HeadEdit(mask), observed)

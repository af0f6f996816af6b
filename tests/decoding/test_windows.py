"""Models with sliding windows, soft-caps and sinks: all engines against plain Hugging Face, within the window and far beyond it."""

import copy
from dataclasses import replace

import pytest
import torch

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.replay import replay
from mechdyn.decoding.trace import trace
from mechdyn.heads import heads
from mechdyn.models.load import wrap_model
from mechdyn.schedules import Static
from mechdyn.tasks.sample import Sample
from tests.architectures import WINDOW, WINDOWED, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import last_only, plain_forward

TOLERANCE = 1e-4
LENGTHS = (10, WINDOW, WINDOW + 1, 40, 90)
ENGINES = [BridgeEngine, FastEngine, ReferenceEngine]
CACHED = [BridgeEngine, FastEngine]


def make_pair(style, dtype=torch.float32, **options):
    hf = tiny_model(style, seed=3, **options).to(dtype)
    plain = copy.deepcopy(hf)
    plain.set_attn_implementation("eager")
    return plain, wrap_model(hf, mini_tokenizer(), name=style)


@pytest.fixture(scope="module", params=WINDOWED)
def pair(request):
    return make_pair(request.param)


def prompts_of(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(6, 2000, (length,), generator=generator) for length in lengths]


def fed_to(n_rows, n_steps, seed):
    return torch.stack(prompts_of([n_steps] * n_rows, seed))


def require_same(plain, output, state, sequences, masks=None, tolerance=TOLERANCE):
    """Logits, hidden states and rows of the last token of each sequence; where plain code has weight 0, exactly 0."""
    for row, sequence in enumerate(sequences):
        mask = None if masks is None else last_only(masks[row], len(sequence))
        logits, patterns, hidden = plain_forward(plain, sequence, mask)
        largest = float(logits.abs().max()) if tolerance > TOLERANCE else 1.0
        torch.testing.assert_close(output.logits[row], logits, atol=tolerance * largest, rtol=0)
        if tolerance == TOLERANCE:
            torch.testing.assert_close(output.hidden[row], hidden, atol=tolerance, rtol=0)
        visible = state.visible[row].bool()
        for layer, pattern in enumerate(patterns):
            found = output.patterns[layer][row]
            torch.testing.assert_close(found[:, visible], pattern, atol=tolerance, rtol=0)
            assert not found[:, visible][pattern == 0].any(), "a forgotten key must have weight exactly 0"
            assert not found[:, ~visible].any(), "padding must have weight exactly 0"


def test_windows_are_the_layers_own(pair):
    plain, model = pair
    kinds = getattr(plain.config, "layer_types", None) or ["sliding_attention"] * model.n_layers
    assert model.windows == tuple(WINDOW if kind == "sliding_attention" else None for kind in kinds)
    assert model.n_ctx == 512


@pytest.mark.parametrize("kind", ENGINES)
def test_steps_behind_a_padded_batch_are_plain_forwards(pair, kind):
    plain, model = pair
    prompts, fed, engine = prompts_of(LENGTHS, seed=1), fed_to(len(LENGTHS), 20, seed=2), kind(model)
    state = engine.prefill(prompts)
    for step in range(20 if kind is not ReferenceEngine else 3):
        output, state = engine.step(state, fed[:, step])
        if step in (0, 1, 19):
            require_same(plain, output, state, [torch.cat([prompt, fed[row, : step + 1]]) for row, prompt in enumerate(prompts)])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", CACHED)
def test_a_prompt_alone_is_a_plain_forward(pair, kind, length):
    plain, model = pair
    (prompt,), fed, engine = prompts_of((length,), seed=3), fed_to(1, 4, seed=4), kind(model)
    state = engine.prefill([prompt])
    for step in range(4):
        output, state = engine.step(state, fed[:, step])
    require_same(plain, output, state, [torch.cat([prompt, fed[0]])])


@pytest.mark.parametrize("chunk", [5, WINDOW - 1, WINDOW, WINDOW + 1, 64])
@pytest.mark.parametrize("kind", CACHED)
def test_chunks_change_nothing(pair, kind, chunk):
    plain, model = pair
    prompts, fed, engine = prompts_of((90, 37), seed=5), fed_to(2, 1, seed=6), kind(model, chunk=chunk)
    output, state = engine.step(engine.prefill(prompts), fed[:, 0])
    require_same(plain, output, state, [torch.cat([prompt, fed[row]]) for row, prompt in enumerate(prompts)])


@pytest.mark.parametrize("style", WINDOWED)
@pytest.mark.parametrize("kind", ENGINES)
def test_as_many_key_heads_as_heads(style, kind):
    plain, model = make_pair(style, num_key_value_heads=8)
    prompts, fed, engine = prompts_of((50, 9), seed=7), fed_to(2, 1, seed=8), kind(model)
    output, state = engine.step(engine.prefill(prompts), fed[:, 0])
    require_same(plain, output, state, [torch.cat([prompt, fed[row]]) for row, prompt in enumerate(prompts)])


@pytest.mark.parametrize("style", WINDOWED)
@pytest.mark.parametrize("kind", ENGINES)
def test_half_precision(style, kind):
    plain, model = make_pair(style, dtype=torch.bfloat16)
    prompts, fed, engine = prompts_of((50, 9), seed=7), fed_to(2, 1, seed=8), kind(model)
    output, state = engine.step(engine.prefill(prompts), fed[:, 0])
    require_same(plain, output, state, [torch.cat([prompt, fed[row]]) for row, prompt in enumerate(prompts)], tolerance=5e-2)


@pytest.mark.parametrize("kind", ENGINES)
def test_heads_switched_off(pair, kind):
    plain, model = pair
    prompts, fed, engine = prompts_of((60, 13), seed=9), fed_to(2, 1, seed=10), kind(model)
    off = torch.rand(2, model.n_layers, model.n_heads, generator=torch.Generator().manual_seed(11)) < 0.5
    state = engine.prefill(prompts)
    observed, _ = engine.step(state, fed[:, 0])
    output, after = engine.step(state, fed[:, 0], HeadEdit(off), observed)
    require_same(plain, output, after, [torch.cat([prompt, fed[row]]) for row, prompt in enumerate(prompts)], off)


@pytest.mark.parametrize("kind", ENGINES)
def test_forked_and_gone_on_from_with_padding_between(pair, kind):
    """Tokens fed, rows repeated, and more tokens of different lengths behind: a window counts no padding that lies between."""
    plain, model = pair
    engine, rows = kind(model), [2, 0, 1, 0]
    begun, fed = prompts_of((40, 9, 23), seed=12), torch.tensor([31, 32, 33, 34])
    more, last = prompts_of((3, 21, 0, 30), seed=13), torch.tensor([41, 42, 43, 44])
    state = engine.fork(engine.prefill(begun, apart=True), rows)
    _, stepped = engine.step(state, fed)
    output, after = engine.step(engine.extend(stepped, more), last)
    parts = zip((begun[row] for row in rows), fed.split(1), more, last.split(1), strict=True)
    sequences = [torch.cat(part) for part in parts]
    require_same(plain, output, after, sequences)
    again = torch.tensor([51, 52, 53, 54])
    output, after = engine.step(after, again)
    require_same(plain, output, after, [torch.cat(part) for part in zip(sequences, again.split(1), strict=True)])


@pytest.mark.parametrize("kind", CACHED)
def test_a_shared_prefix_is_seen_through_the_window(pair, kind):
    """Padding lies between the prefix that is read once and each row's rest."""
    plain, model = pair
    (prefix,) = prompts_of((80,), seed=14)
    prompts = [torch.cat([prefix, rest]) for rest in prompts_of((2, 31, 0), seed=15)]
    engine, fed = kind(model), fed_to(3, 3, seed=16)
    state = engine.prefill(prompts)
    for step in range(3):
        output, state = engine.step(state, fed[:, step])
    require_same(plain, output, state, [torch.cat([prompt, fed[row]]) for row, prompt in enumerate(prompts)])


@pytest.mark.parametrize("kind", ENGINES)
def test_a_window_counts_hidden_positions(pair, kind):
    """Hiding a span is walling it off: behind it a query sees as far back as it would see past the span itself."""
    plain, model = pair
    spans = [range(50, 61), range(10, 15)]
    prompts, fed = prompts_of((70, 34), seed=17), fed_to(2, 2, seed=18)
    shown = [
        torch.tensor([place for place in range(len(prompt)) if place not in span]) for prompt, span in zip(prompts, spans, strict=True)
    ]
    engine = kind(model)
    state = engine.prefill([prompt[keep] for prompt, keep in zip(prompts, shown, strict=True)], shown)
    for step in range(2):
        output, state = engine.step(state, fed[:, step])
    for row, prompt in enumerate(prompts):
        logits, patterns = walled(plain, torch.cat([prompt, fed[row]]), spans[row])
        torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
        kept = torch.tensor([place for place in range(len(prompt) + 2) if place not in spans[row]])
        for layer, pattern in enumerate(patterns):
            torch.testing.assert_close(output.patterns[layer][row][:, state.visible[row].bool()], pattern[:, kept], atol=TOLERANCE, rtol=0)


def walled(plain, tokens, span):
    """Plain code on the whole sequence with its own masks, in which nothing behind the span may attend to it."""
    length, config = len(tokens), plain.config
    places = torch.arange(length)
    causal = places <= places[:, None]
    causal[span.stop :, span.start : span.stop] = False
    near = causal & (places > places[:, None] - config.sliding_window)
    full, sliding = (torch.zeros(1, 1, length, length).masked_fill(~allowed, torch.finfo(torch.float32).min) for allowed in (causal, near))
    mask = {"full_attention": full, "sliding_attention": sliding} if getattr(config, "layer_types", None) else sliding
    with torch.no_grad():
        output = plain(tokens[None], attention_mask=mask, position_ids=places[None], use_cache=False, output_attentions=True)
    return output.logits[0, -1], [attention[0, :, -1] for attention in output.attentions]


@pytest.mark.parametrize("kind", ENGINES)
def test_what_is_hidden_behind_the_prompt_counts_too(pair, kind):
    plain, model = pair
    (prompt,) = prompts_of((40,), seed=19)
    engine = kind(model)
    state = replace(engine.prefill([prompt[:34]]), next_position=torch.tensor([40]))
    output, _ = engine.step(state, torch.tensor([9]))
    logits, _ = walled(plain, torch.cat([prompt, torch.tensor([9])]), range(34, 40))
    torch.testing.assert_close(output.logits[0], logits, atol=TOLERANCE, rtol=0)


def test_prefill_under_hooks_of_the_user(pair):
    plain, model = pair
    prompts, fed = prompts_of((45, 20), seed=20), fed_to(2, 2, seed=21)

    def off(z, hook):
        z[:, :, 2] = 0.0
        return z

    with model.bridge.hooks(fwd_hooks=[("blocks.1.attn.hook_z", off)]):
        engine = BridgeEngine(model, chunk=8)
        state = engine.prefill(prompts)
        for step in range(2):
            output, state = engine.step(state, fed[:, step])
    masks = torch.zeros(60, model.n_layers, model.n_heads, dtype=torch.bool)
    masks[:, 1, 2] = True
    for row, prompt in enumerate(prompts):
        logits, _, _ = plain_forward(plain, torch.cat([prompt, fed[row]]), masks[: len(prompt) + 2])
        torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)


def test_the_fast_engine_is_the_one_that_runs(pair):
    assert isinstance(make_engine(pair[1]), FastEngine)


def test_a_layer_holds_no_more_keys_than_its_window(pair):
    """Whatever the prompt's length; of rows with padding between tokens, so many more."""
    _, model = pair
    prompts = FastEngine(model, chunk=32).prefill(prompts_of((400,), seed=22)).memory.prompts
    held = [keys.shape[2] for keys in prompts.keys]
    assert held == [400 if window is None else window for window in model.windows]
    assert all(keys.untyped_storage().nbytes() == keys.numel() * keys.element_size() for keys in prompts.keys), (
        "no longer one is kept alive"
    )


def test_sinks_take_a_share_of_every_row():
    _, model = make_pair("gpt-oss")
    for kind in ENGINES:
        engine = kind(model)
        output, _ = engine.step(engine.prefill(prompts_of((30,), seed=23)), torch.tensor([9]))
        assert all(bool((pattern.sum(dim=-1) < 0.999).all()) for pattern in output.patterns)


def sample_of(prompt):
    none = torch.zeros(0, dtype=torch.long)
    return Sample("windows", "", prompt, (), none, (0, 0), "", "")


@pytest.mark.parametrize("engine", ["bridge", "fast"])
def test_greedy_text_is_what_generate_gives(pair, engine):
    plain, model = pair
    for prompt in prompts_of(LENGTHS, seed=24):
        wanted = plain.generate(prompt[None], max_new_tokens=24, do_sample=False, pad_token_id=0)[0, len(prompt) :]
        wanted = wanted[wanted != 2]  # the end of a text
        assert trace(model, sample_of(prompt), max_new_tokens=24, engine=engine).tokens.tolist() == wanted.tolist()


def test_ablation_at_all_positions(pair):
    """Scope `all` reads the sequence afresh: heads are off in every key and value that a later layer's window holds."""
    plain, model = pair
    (prompt,) = prompts_of((50,), seed=25)
    off = heads("L0H1 L1H3 L2H0")
    found = trace(model, sample_of(prompt), max_new_tokens=1, ablate=Ablation(Static(off), scope="all"))
    masks = torch.zeros(len(prompt), model.n_layers, model.n_heads, dtype=torch.bool)
    for head in off:
        masks[:, head.layer, head.head] = True
    logits, _, _ = plain_forward(plain, prompt, masks)
    assert found.tokens.tolist() == [int(logits.argmax())]


def test_replay_finds_the_same_strongest_sources(pair):
    _, model = pair
    sample = sample_of(prompts_of((60,), seed=26)[0])
    kept = trace(model, sample, max_new_tokens=8, keep_sources=5, keep_patterns=True)
    (again,) = replay(model, [replace(kept, sources=None)], keep_sources=5)
    assert torch.equal(again.sources.positions, kept.sources.positions)
    for step, pattern in enumerate(kept.patterns):
        for layer, window in enumerate(model.windows):
            first = 0 if window is None else 60 + step - window
            assert not pattern[layer, :, :first].any()
            assert bool((pattern[layer, :, first : 60 + step] > 0).all())

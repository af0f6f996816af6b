"""What heads write for a token: Σ_j φ_j is (W_O z) · u_y under every engine, with shared values, windows, padding and heads off."""

import copy

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.trace import trace
from mechdyn.heads import HeadSet
from mechdyn.models.load import wrap_model
from mechdyn.schedules import Static
from mechdyn.scores.score import StepContext, as_score
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer
from tests.decoding.test_reasoning import sample_of

ENGINES = {"fast": FastEngine, "bridge": BridgeEngine, "reference": ReferenceEngine}
STYLES = ("llama3.1", "llama2", "phi4-mini", "gemma2", "gpt-oss", "gpt2")
"""Shared values, none shared, one matrix for all projections, windows with capped scores, sinks, and weights laid the other way round."""


def plain_of(style):
    if style != "gpt2":
        return tiny_model(style, seed=3)
    torch.manual_seed(3)
    size = {"vocab_size": 2048, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return GPT2LMHeadModel(GPT2Config(**size, bos_token_id=1, eos_token_id=2)).eval()


def prompts():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(6, 2000, (n,), generator=generator) for n in (30, 21)]


@pytest.fixture(scope="module", params=STYLES)
def pair(request):
    plain = plain_of(request.param)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


def plain_heads(plain, tokens, predicted):
    """(W_O z) · u of each head at the last position of a sequence, from the input of the output projection in plain Hugging Face."""
    found = []

    def keep(module, args):
        z, weight = args[0][0, -1], module.weight if type(module).__name__ == "Conv1D" else module.weight.T
        heads = plain.config.num_attention_heads
        parts = z.reshape(heads, -1)[:, None] @ weight.reshape(heads, -1, weight.shape[1])
        found.append(parts[:, 0] @ plain.get_output_embeddings().weight[predicted])

    blocks = plain.transformer.h if hasattr(plain, "transformer") else plain.model.layers
    projections = [block.attn.c_proj if hasattr(block, "attn") else block.self_attn.o_proj for block in blocks]
    handles = [projection.register_forward_pre_hook(keep) for projection in projections]
    with torch.no_grad():
        plain(tokens[None])
    for handle in handles:
        handle.remove()
    return torch.stack(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_contributions_of_keys_sum_to_what_the_head_writes(pair, engine):
    plain, wrapped = pair
    engine, rows = ENGINES[engine](wrapped), (1, 0, 1)
    texts = [prompts()[row] for row in rows]
    state = engine.fork(engine.prefill([prompt[:-1] for prompt in prompts()]), rows)
    tokens = torch.stack([text[-1] for text in texts])
    for _ in range(3):
        output, state = engine.step(state, tokens)
        predicted = output.logits.argmax(dim=-1).cpu()
        for row, text in enumerate(texts):
            wanted = plain_heads(plain, text, int(predicted[row]))
            found = torch.stack(
                [(pattern * output.writes(layer, predicted))[row].sum(dim=-1) for layer, pattern in enumerate(output.patterns)]
            )
            torch.testing.assert_close(found, wanted, atol=2e-5 * float(wanted.abs().max()) + 1e-7, rtol=1e-4)
        texts = [torch.cat([text, predicted[row : row + 1]]) for row, text in enumerate(texts)]
        tokens = predicted


@pytest.mark.parametrize("engine", ["fast", "bridge"])
def test_values_of_an_edited_step_are_those_of_the_edited_forward(pair, engine):
    _, wrapped = pair
    engine = ENGINES[engine](wrapped)
    state = engine.prefill([prompts()[0][:-1]])
    observed, _ = engine.step(state, prompts()[0][-1:])
    mask = torch.zeros(1, wrapped.n_layers, wrapped.n_heads, dtype=torch.bool)
    mask[0, 0, 1] = True
    edited, _ = engine.step(state, prompts()[0][-1:], HeadEdit(mask), observed)
    first, last = (
        (edited.writes(layer, torch.tensor([7])) - observed.writes(layer, torch.tensor([7]))).abs() for layer in (0, wrapped.n_layers - 1)
    )
    assert not first.any()
    assert last[..., -1].any() and not last[..., :-1].any()


@pytest.mark.parametrize("engine", ["fast", "bridge"])
def test_a_trace_of_locos_is_the_loop_over_plain_attention(engine):
    plain = tiny_model("llama3.1", seed=5, few_words=True)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name="tiny")
    plain.set_attn_implementation("eager")
    sample = sample_of("two apart")
    found = trace(wrapped, sample, score="locos", max_new_tokens=3, engine=engine)
    tokens, needle = sample.tokens, sample.needle_positions.tolist()
    for step, predicted in enumerate(found.tokens.tolist()):
        with torch.no_grad():
            output = plain(tokens[None], output_attentions=True, use_cache=True)
        for layer, block in enumerate(plain.model.layers):
            values, weight = output.past_key_values.layers[layer].values[0], block.self_attn.o_proj.weight
            d_head, shared = values.shape[-1], plain.config.num_attention_heads // values.shape[0]
            for head in range(plain.config.num_attention_heads):
                written = values[head // shared] @ weight[:, head * d_head : (head + 1) * d_head].T @ plain.lm_head.weight[predicted]
                phi = (output.attentions[layer][0, head, -1] * written).tolist()
                inside = sum(phi[position] for position in needle)
                wanted = inside - len(needle) / (len(phi) - len(needle)) * (sum(phi) - inside)
                assert float(found.retrieval_scores[step, layer, head]) == pytest.approx(wanted, abs=1e-4)
        tokens = torch.cat([tokens, torch.tensor([predicted])])


def test_heads_off_everywhere_are_scored_on_rows_laid_as_the_others():
    wrapped = wrap_model(tiny_model("llama3.1", seed=5, few_words=True), mini_tokenizer(), name="tiny")
    found = trace(
        wrapped, sample_of("two apart"), score="locos", max_new_tokens=2, ablate=Ablation(Static(HeadSet.of([(0, 1)])), scope="all")
    )
    assert found.ablated_scores is not None and found.ablated_scores.isfinite().all() and found.ablated_scores.any()


def test_sentences_are_scored_with_what_heads_write():
    wrapped = wrap_model(tiny_model("llama3.1", seed=5, few_words=True), mini_tokenizer(), name="tiny")
    one = trace(wrapped, sample_of("one"), score="locos", max_new_tokens=2)
    assert one.sentence_scores is not None
    torch.testing.assert_close(one.sentence_scores[:, 0], one.retrieval_scores.flatten(1).amax(dim=1))


def test_a_context_without_writes_is_what_it_was():
    context = StepContext.one([1, 2, 3], [1], 2)
    assert context.writes is None and as_score("copy_paste")(torch.tensor([[[0.1, 0.8, 0.1]]]), context).tolist() == [[1.0]]

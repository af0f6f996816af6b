"""Traces of a real language model equal plain Hugging Face eager code on the same file: `make real`, and the long ones with `-m slow`."""

import secrets
from dataclasses import replace

import pytest
import torch

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.trace import trace
from mechdyn.schedules import RandomHeads
from mechdyn.tasks.niah import niah
from tests.plain import plain_answer
from tests.real_model import real_model, real_plain

LENGTHS = [256, pytest.param(1024, marks=pytest.mark.slow), pytest.param(4096, marks=pytest.mark.slow)]
LIMIT = 1e-4
"""Of logits as a part of the largest, of attention weights as they are."""
N_NEW = 24

pytestmark = [pytest.mark.real, pytest.mark.parametrize("length", LENGTHS)]


@pytest.fixture
def case(length):
    """Model, plain model, a fresh sample and what to say where it fails."""
    model, plain, seed = real_model(), real_plain(), secrets.randbits(31)
    depth = (seed % 5) / 4
    sample = niah(model, length=length, depth=depth, seed=seed)
    # Half of the prompt counts as needle beside the needle itself, so that heads copy whatever the model answers.
    half = torch.rand(len(sample.tokens), generator=torch.Generator().manual_seed(seed)) < 0.5
    half[sample.needle_positions] = True
    sample = replace(sample, needle_positions=half.nonzero().flatten())
    return model, plain, sample, f"length {length}, depth {depth}, seed {seed}"


def relative(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def copying_heads(row_of_head, ids, needle, predicted):
    """Eq. 1 by loops: heads whose strongest key lies in the needle and holds the token that is predicted."""
    found = set()
    for layer, rows in enumerate(row_of_head):
        for head, row in enumerate(rows.tolist()):
            strongest = row.index(max(row))
            if strongest in needle and int(ids[strongest]) == predicted:
                found.add((layer, head))
    return found


def test_rows_texts_and_head_sets_are_those_of_eager_code(case):
    model, plain, sample, said = case
    found = trace(model, sample, max_new_tokens=N_NEW, keep_patterns=True)
    n_steps, n_prompt = found.n_steps, len(sample.tokens)
    ids = torch.cat([sample.tokens, found.tokens])
    logits, rows = plain_answer(plain, ids[:-1], n_steps)
    assert found.tokens.tolist() == logits.argmax(dim=-1).tolist(), said
    needle, n_heads = set(sample.needle_positions.tolist()), 0
    for step in range(n_steps):
        assert (found.patterns[step, ..., : n_prompt + step] - rows[step, ..., : n_prompt + step]).abs().max() <= LIMIT, (said, step)
        wanted = copying_heads(rows[step], ids, needle, int(found.tokens[step]))
        assert {tuple(pair) for pair in found.active[step].nonzero().tolist()} == wanted, (said, step)
        n_heads += len(wanted)
    assert n_heads > 0, f"{said}: the sample must have something to find"


@pytest.mark.parametrize("kind", [FastEngine, BridgeEngine])
def test_logits_clean_and_ablated_are_those_of_eager_code(case, kind):
    model, plain, sample, said = case
    engine = make_engine(model) if kind is FastEngine else BridgeEngine(model)
    assert isinstance(engine, kind)
    off = torch.rand(1, model.n_layers, model.n_heads, generator=torch.Generator().manual_seed(len(sample))) < 0.3
    for edit in (None, HeadEdit(off)):
        state = engine.prefill([sample.tokens[:-1]])
        output, _ = engine.step(state, sample.tokens[-1:], edit)
        logits, rows = plain_answer(plain, sample.tokens, 1, off if edit else None)
        assert relative(output.logits[0], logits[0]) <= LIMIT, said
        patterns = torch.stack([pattern[0] for pattern in output.patterns])
        assert (patterns - rows[0]).abs().max() <= LIMIT, said


def test_ablated_text_is_that_of_eager_code(case):
    """Under commit `ablated` one forward with all steps' heads off gives every token again."""
    model, plain, sample, said = case
    found = trace(model, sample, ablate=Ablation(RandomHeads(30), commit="ablated"), max_new_tokens=N_NEW)
    ids = torch.cat([sample.tokens, found.tokens])
    logits, _ = plain_answer(plain, ids[:-1], found.n_steps, found.ablated)
    assert (found.ablated.flatten(1).sum(dim=1) == 30).all() and found.tokens.tolist() == logits.argmax(dim=-1).tolist(), said
    clean, _ = plain_answer(plain, ids[:-1], found.n_steps)
    assert relative(logits, clean) > 100 * LIMIT, f"{said}: switching heads off must matter"


def test_greedy_text_is_that_of_generate(case):
    model, plain, sample, said = case
    found = trace(model, sample, max_new_tokens=N_NEW)
    whole = plain.generate(
        sample.tokens[None],
        attention_mask=torch.ones_like(sample.tokens[None]),
        max_new_tokens=N_NEW,
        do_sample=False,
        eos_token_id=list(model.eos_ids),
        pad_token_id=0,
    )[0, len(sample.tokens) :].tolist()
    assert found.tokens.tolist() == [token for token in whole if token not in model.eos_ids], said

"""Eq. 2 through the engines, for all facts together and for each alone, equals a computation from plain Hugging Face eager attentions."""

import copy

import pytest
import torch

from mechdyn.decoding.trace import trace, trace_many
from mechdyn.models.load import wrap_model
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.reasoning import Reasoning
from mechdyn.tasks.sample import Sample
from tests.architectures import LIVE, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_copy_paste, plain_forward

N_NEW = 4
FACTS = {
    "two apart": (40, [(5, 9), (20, 30)]),
    "overlapping by a token": (33, [(6, 12), (11, 15), (25, 27)]),
    "in the sink": (24, [(1, 4), (10, 12)]),
    "near the end": (30, [(3, 6), (26, 29)]),
    "one": (20, [(7, 11)]),
}
"""Prompt length and the positions [start, end) of each fact."""
WINDOWS = {
    "default": (4, 32),
    "none": (0, 0),
    "sink beyond the prompt": (100, 0),
    "local beyond the context": (0, 100),
    "a fact inside the local window": (2, 6),
    "windows that overlap": (20, 30),
}
NOTHING_LEFT = ("sink beyond the prompt", "local beyond the context", "windows that overlap")


def sample_of(name):
    length, facts = FACTS[name]
    generator = torch.Generator().manual_seed(length)
    tokens = torch.randint(LIVE.start, LIVE.stop, (length,), generator=generator)
    needle = torch.tensor(sorted({position for start, end in facts for position in range(start, end)}))
    spans = tuple((start, end) for start, end in facts)
    return Sample("world", name, tokens, spans, needle, (0, length), "?", "!", {"fact_tokens": [list(span) for span in facts]})


def eq_2(row, needle, sink, local):
    """One head's row by loops, without padding: `needle` a set of positions."""
    kept = [position for position in range(len(row)) if sink <= position < len(row) - local]
    below = sum(row[position] for position in kept)
    return sum(row[position] for position in kept if position in needle) / below if below else 0.0


@pytest.fixture(scope="module", params=["llama3.1", "qwen3", "llama2"])
def pair(request):
    plain = tiny_model(request.param, seed=5, few_words=True)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


@pytest.fixture(scope="module")
def attended(pair):
    """Each sample's greedy tokens, and the attention rows of each step as lists [layer][head][key]."""
    plain, wrapped = pair
    found = {}
    for name in FACTS:
        ids, tokens, rows = sample_of(name).tokens, [], []
        for _ in range(N_NEW):
            logits, patterns, _ = plain_forward(plain, ids)
            predicted = int(logits.argmax())
            if predicted in wrapped.eos_ids:
                break
            tokens.append(predicted)
            rows.append([pattern.double().tolist() for pattern in patterns])
            ids = torch.cat([ids, torch.tensor([predicted])])
        found[name] = tokens, rows
    return found


@pytest.mark.parametrize("engine", ["fast", "bridge"])
@pytest.mark.parametrize("windows", WINDOWS)
def test_scores_of_a_padded_batch_are_those_of_eager_attentions(pair, attended, windows, engine):
    sink, local = WINDOWS[windows]
    samples = [sample_of(name) for name in FACTS]
    options = {"score": Reasoning(sink, local), "threshold": 0.5, "max_new_tokens": N_NEW, "engine": engine}
    some = False  # that scores are compared of which some are above 0
    for sample, found in zip(samples, trace_many(pair[1], samples, batch_size=len(samples), **options), strict=True):
        tokens, rows = attended[sample.prompt]
        assert found.tokens.tolist() == tokens
        needles = [set(range(*span)) for span in sample.meta["fact_tokens"]]
        wanted = [[[eq_2(row, set().union(*needles), sink, local) for row in layer] for layer in step] for step in rows]
        torch.testing.assert_close(found.retrieval_scores, torch.tensor(wanted), atol=1e-5, rtol=0)
        highest = [[max(eq_2(row, needle, sink, local) for layer in step for row in layer) for needle in needles] for step in rows]
        torch.testing.assert_close(found.sentence_scores, torch.tensor(highest), atol=1e-5, rtol=0)
        some |= bool((found.retrieval_scores > 0.01).any())
    assert some == (windows not in NOTHING_LEFT)


def test_facts_of_a_copying_score_are_found_one_by_one(pair, attended):
    sample = sample_of("two apart")
    found = trace(pair[1], sample, max_new_tokens=N_NEW, score=copy_paste)
    tokens, rows = attended["two apart"]
    ids = torch.cat([sample.tokens, torch.tensor(tokens)])
    needles = [set(range(*span)) for span in sample.meta["fact_tokens"]]
    for step, predicted in enumerate(tokens):
        scores = [plain_copy_paste(torch.tensor(rows[step]), ids, needle, predicted) for needle in needles]
        assert found.sentence_scores[step].tolist() == [float(score.max()) for score in scores]


def test_a_sample_without_facts_has_no_sentence_scores(pair):
    tokens = torch.randint(LIVE.start, LIVE.stop, (12,))
    needle = Sample("niah", "n", tokens, ((0, 1),), torch.tensor([3]), (0, 1), "?", "!")
    alone, beside, facts = *trace_many(pair[1], [needle], max_new_tokens=2), *trace_many(pair[1], [needle, sample_of("one")])
    assert alone.sentence_scores is None and beside.sentence_scores is None
    assert facts.sentence_scores.shape == (facts.n_steps, 1)

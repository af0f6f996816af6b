"""Hidden is hidden: what a span that was left out could have changed, it has not."""

import copy
import dataclasses
import random
from itertools import pairwise

import pytest
import torch

from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.models.load import wrap_model
from mechdyn.rag.calls import Observe, Write
from mechdyn.rag.serve import Server
from mechdyn.rag.visibility import cut_prompt, find_context, shown_facts, visible_positions
from mechdyn.tasks.world import world
from tests.architectures import STYLES, tiny_model
from tests.bundled import mini_tokenizer
from tests.rag.plain_visibility import plain_hidden
from tests.tokenizers import tokenizer_styles

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=STYLES)
def pair(request):
    plain = tiny_model(request.param, seed=5)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, dataclasses.replace(wrapped, eos_ids=())


def contexts(n):
    return [find_context(mini_tokenizer(), world(mini_tokenizer(), length=180 + 40 * index, seed=index)) for index in range(n)]


def greedy(plain, context, shown, kept, n_new):
    """Tokens, entropies and the last layer's rows over the new tokens."""
    hidden = set(range(context.start, context.end)) - {place for start, end in shown for place in range(start, end)}
    tokens = torch.cat([context.sample.tokens, torch.tensor(kept, dtype=torch.long)])
    n, entropies = len(tokens), []
    for _ in range(n_new):
        logits = plain_hidden(plain, tokens, hidden)[0][-1].double()
        chances = logits.softmax(dim=-1)
        entropies.append(float(-(chances * chances.log()).sum()))
        tokens = torch.cat([tokens, logits.argmax()[None]])
    return tokens[n:].tolist(), entropies, plain_hidden(plain, tokens, hidden)[1][:, n:, n:]


def test_what_is_written_under_windows_equals_plain_attention_that_never_saw_the_rest(pair):
    plain, wrapped = pair
    first, second = contexts(2)
    mid = first.start + 20
    requests = [
        Write(first, (), (), 5, rows=True),
        Write(first, ((mid, mid + 9), (mid + 30, mid + 33)), (44, 45, 46), 6, rows=True),
        Write(second, ((second.start, second.start + 1),), (47,), 4, rows=True),
        Write(second, second.whole, (), 5, rows=True),
        Write(second, second.whole, (50, 51), 3, rows=True),
    ]
    written = Server(wrapped, make_engine(wrapped), [first, second]).write(requests)
    for request, result in zip(requests, written, strict=True):
        tokens, entropies, rows = greedy(plain, request.context, request.shown, request.kept, request.limit)
        assert list(result.tokens) == tokens and result.stopped == "length"
        torch.testing.assert_close(result.entropy.double(), torch.tensor(entropies).double(), atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(result.attention, rows, atol=TOLERANCE, rtol=0)


def test_logits_behind_a_hidden_span_equal_plain_attention(pair):
    plain, wrapped = pair
    (context,) = contexts(1)
    shown = ((context.start + 11, context.start + 30),)
    positions = visible_positions(context, shown)
    engine = make_engine(wrapped)
    state = engine.prefill([context.sample.tokens[positions][:-1]], [positions[:-1]])
    output, _ = engine.step(dataclasses.replace(state, next_position=positions[-1:]), context.sample.tokens[-1:])
    hidden = set(range(context.start, context.end)) - set(range(*shown[0]))
    expected = plain_hidden(plain, context.sample.tokens, hidden)[0][-1]
    torch.testing.assert_close(output.logits[0], expected, atol=TOLERANCE, rtol=0)
    everything = plain_hidden(plain, context.sample.tokens, set())[0][-1]
    assert not torch.allclose(expected, everything, atol=100 * TOLERANCE), "the span matters, else this test shows nothing"


def test_hidden_text_may_be_any_other(pair):
    """The strongest form: exchange the hidden tokens and nothing changes, to the bit."""
    _, wrapped = pair
    (context,) = contexts(1)
    other = context.sample.tokens.clone()
    other[context.start + 5 : context.end] = 77
    twin = dataclasses.replace(context, sample=dataclasses.replace(context.sample, tokens=other))
    shown = ((context.start, context.start + 5),)
    (one,) = Server(wrapped, make_engine(wrapped), [context]).write([Write(context, shown, (9,), 6)])
    (two,) = Server(wrapped, make_engine(wrapped), [twin]).write([Write(twin, shown, (9,), 6)])
    assert one.tokens == two.tokens and torch.equal(one.entropy, two.entropy)


def test_a_look_at_the_whole_context_equals_plain_attention(pair):
    plain, wrapped = pair
    first, second = contexts(2)
    requests = [Observe(second, ()), Observe(first, (61, 62, 63)), Observe(second, (64,))]
    for request, seen in zip(requests, Server(wrapped, make_engine(wrapped), [first, second]).observe(requests), strict=True):
        tokens = torch.cat([request.context.sample.tokens, torch.tensor(request.kept, dtype=torch.long)])
        with torch.no_grad():
            output = plain(tokens[None], output_attentions=True, output_hidden_states=True)
        rows = torch.stack([attention[0, :, -1] for attention in output.attentions])
        context = request.context
        torch.testing.assert_close(seen.attention, rows[:, :, context.start : context.end], atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(seen.hidden, output.hidden_states[-1][0, -1], atol=TOLERANCE, rtol=0)
        remote, needle = slice(4, len(tokens) - 32), context.sample.needle_positions
        inside = needle[(needle >= 4) & (needle < len(tokens) - 32)]
        scores = rows[..., inside].sum(dim=-1) / rows[..., remote].sum(dim=-1)
        torch.testing.assert_close(seen.scores, scores, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("style", tokenizer_styles())
def test_context_tokens_are_those_of_its_characters(style):
    tokenizer = tokenizer_styles()[style]
    sample = world(tokenizer, length=900, seed=3)
    context = find_context(tokenizer, sample)
    start, end = sample.context_span
    inside = [place for place, (a, b) in enumerate(context.offsets) if a < end and start < b]
    assert (context.start, context.end) == (inside[0], inside[-1] + 1)
    assert context.text(context.whole[0]).strip() == sample.prompt[start:end].strip()
    outside = sample.tokens[visible_positions(context, ())]
    assert len(outside) == len(sample) - len(context)
    assert shown_facts(context, context.whole) == (1.0, 1.0)
    assert shown_facts(context, ()) == (0.0, 0.0)


@pytest.mark.parametrize("style", tokenizer_styles())
def test_pieces_of_the_passage_become_the_tokens_that_overlap_them(style):
    tokenizer = tokenizer_styles()[style]
    context = find_context(tokenizer, world(tokenizer, length=900, seed=6))
    passage, offset = context.passage, context.sample.context_span[0]
    assert passage == context.sample.prompt[offset : context.sample.context_span[1]]
    draw = random.Random(style)
    for _ in range(30):
        pieces = [tuple(sorted(draw.sample(range(len(passage) + 1), 2))) for _ in range(draw.randrange(4))]
        inked = {offset + at for first, last in pieces for at in range(first, last)}
        expected = {place for place, (a, b) in enumerate(context.offsets) if inked & set(range(a, b))}
        spans = context.token_spans(pieces)
        assert {place for start, end in spans for place in range(start, end)} == expected
        assert list(spans) == sorted(spans) and all(before[1] < behind[0] for before, behind in pairwise(spans))
    assert context.token_spans([(0, len(passage))]) == context.whole and context.token_spans([(5, 5)]) == ()


@pytest.mark.parametrize("piece", [(-1, 3), (4, 2), (0, 10**6)])
def test_pieces_outside_the_passage_are_refused(piece):
    (context,) = contexts(1)
    with pytest.raises(InputError, match="a piece of the context lies between its characters 0 and"):
        context.token_spans([piece])


@pytest.mark.parametrize("style", tokenizer_styles())
def test_a_cut_prompt_holds_the_windows_text_and_the_question(style):
    tokenizer = tokenizer_styles()[style]
    context = find_context(tokenizer, world(tokenizer, length=900, seed=4))
    spans = ((context.start + 3, context.start + 20), (context.end - 30, context.end - 10))
    text = tokenizer.decode(cut_prompt(tokenizer, context, spans), skip_special_tokens=False)
    assert all(context.text(span).strip() in text for span in spans)
    assert context.sample.question in text
    assert torch.equal(cut_prompt(tokenizer, context, context.whole), context.sample.tokens)


def test_samples_of_another_tokenizer_or_without_context_are_refused():
    sample = world(mini_tokenizer(), length=200, seed=0)
    with pytest.raises(InputError, match="not this tokenizer's tokens of its prompt"):
        find_context(tokenizer_styles()["unigram"], sample)
    with pytest.raises(InputError, match="no context to retrieve from"):
        find_context(mini_tokenizer(), dataclasses.replace(sample, context_span=(0, 0)))


def test_windows_outside_the_context_are_refused():
    (context,) = contexts(1)
    with pytest.raises(InputError, match="a window must lie in the context"):
        visible_positions(context, ((context.end - 1, context.end + 1),))

"""What is read behind each token against plain arithmetic on the patterns that a trace keeps, and against the score it is named after."""

import pytest
import torch
from torch.nn.functional import softmax

import mechdyn as md
from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.scores.score import score_row
from mechdyn.tasks.chat import context_positions
from mechdyn.traces.backing import Backing

HEADS = (Head(3, 5), Head(1, 4), Head(4, 0), Head(3, 1))  # mini copies with L1H4


@pytest.fixture(scope="module")
def model():
    return md.load_model("mini")


@pytest.fixture(scope="module")
def traced(model):
    sample = md.niah(model, length=192, depth=0.4, seed=3)
    return sample, md.trace(model, sample, backing=HEADS, keep_patterns=True, max_new_tokens=6)


def test_mass_and_copies_are_what_the_attention_rows_say(model, traced):
    """The context is the haystack: no token of the question or of the answer itself is a source."""
    sample, trace = traced
    tokens = torch.cat([sample.tokens, trace.tokens])
    inside = context_positions(model.tokenizer, sample)
    text = model.tokenizer.decode(sample.tokens[inside])
    assert sample.prompt[slice(*sample.context_span)] in text and "Instruction" not in text
    for step in range(trace.n_steps):
        n_keys = len(sample) + step
        alike = [place for place in inside.tolist() if tokens[place] == trace.tokens[step]]
        for column, (layer, head) in enumerate(HEADS):
            row = trace.patterns[step, layer, head, :n_keys]
            assert trace.backing.mass[step, column].item() == pytest.approx(row[alike].sum().item(), abs=2e-6)
            copied = score_row("copy_paste", row[None], tokens[:n_keys], inside, trace.tokens[step])
            assert trace.backing.copies[step, column].item() == bool(copied)
    assert trace.backing.copies.any()


def test_the_distribution_is_plain_hugging_faces(model, traced):
    sample, trace = traced
    whole = torch.cat([sample.tokens, trace.tokens])[None]
    with torch.inference_mode():
        p = softmax(model.twin(whole).logits[0, len(sample) - 1 : -1].float(), dim=-1)
    top = p.topk(2).values
    assert torch.allclose(trace.backing.max_p, top[:, 0], atol=1e-4)
    assert torch.allclose(trace.backing.margin, top[:, 0] - top[:, 1], atol=1e-4)
    assert torch.allclose(trace.backing.entropy, torch.distributions.Categorical(p).entropy(), atol=1e-4)


def test_a_batch_reads_what_each_sample_gives_alone(model):
    samples = [md.niah(model, length=length, depth=0.5, seed=length) for length in (150, 190, 170)]
    alone = [md.trace(model, sample, backing=HEADS, max_new_tokens=4 + index) for index, sample in enumerate(samples)]
    together = list(md.trace_many(model, samples, backing=HEADS, max_new_tokens=6, batch_size=3))
    for one, other in zip(alone, together, strict=True):
        n = min(one.n_steps, other.n_steps)
        assert torch.allclose(one.backing.mass[:n], other.backing.mass[:n], atol=1e-5)
        assert torch.equal(one.backing.copies[:n], other.backing.copies[:n])


def test_backing_is_part_of_what_was_asked_and_changes_nothing_else(model, traced):
    sample, trace = traced
    plain = md.trace(model, sample, max_new_tokens=6)
    assert plain.backing is None and plain.unit != trace.unit
    assert torch.equal(plain.tokens, trace.tokens) and torch.equal(plain.retrieval_scores, trace.retrieval_scores)


def test_what_json_keeps_is_what_was_measured(traced):
    backing = traced[1].backing
    again = Backing.from_json(backing.as_json())
    assert again.heads == backing.heads and torch.equal(again.copies, backing.copies)
    for name in ("entropy", "max_p", "margin", "mass"):
        assert torch.equal(getattr(again, name), getattr(backing, name))
    frame = backing.to_frame()
    assert len(frame) == 6 * len(HEADS) and frame["mass"].iloc[1] == backing.mass[0, 1].item()


def test_heads_that_the_model_does_not_have_are_refused(model):
    with pytest.raises(InputError, match="5 layers x 16 heads, got L9H0"):
        md.trace(model, md.niah(model, length=150, depth=0.5), backing="L9H0")

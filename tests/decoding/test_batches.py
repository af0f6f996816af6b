"""Where memory runs out, smaller batches give the same results; where even one sample is too much, the error says what was needed."""

import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mechdyn.decoding.batches import in_batches
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.trace import trace, trace_conditions, trace_many
from mechdyn.errors import InputError, OutOfMemoryError
from mechdyn.models.load import wrap_model
from mechdyn.tasks.sample import Sample
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer

ROOT = Path(__file__).resolve().parents[2]
TOO_MUCH = 1 << 50


class SmallDevice(FastEngine):
    """Really fails to allocate where more than `n_fit` prompts are read together."""

    def __init__(self, model, n_fit):
        super().__init__(model)
        self.n_fit, self.asked = n_fit, []

    def prefill(self, prompts, positions=None):
        self.asked.append(len(prompts))
        if len(prompts) > self.n_fit:
            torch.empty(TOO_MUCH)
        return super().prefill(prompts, positions)


@pytest.fixture(scope="module")
def model():
    return dataclasses.replace(wrap_model(tiny_model("llama3.1"), mini_tokenizer(), name="tiny"), eos_ids=())


def samples(n):
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(6, 2000, (int(length),), generator=generator) for length in torch.randint(9, 40, (n,), generator=generator)]
    return [Sample("niah", f"{i}", prompt, ((0, 1),), torch.arange(1, 6), (0, 1), "?", "!") for i, prompt in enumerate(prompts)]


def test_batches_shrink_and_nothing_runs_twice(caplog):
    ran = []

    def run(batch):
        if len(batch) > 3:
            raise OutOfMemoryError(f"{len(batch)} are too many")
        ran.append(batch)
        return sum(batch)

    with caplog.at_level(logging.WARNING):
        results = list(in_batches([range(10), [], range(10, 14)], 16, run))
    assert ran == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13]]
    assert results == [sum(batch) for batch in ran]
    assert caplog.messages == ["10 are too many; going on with 5 at a time", "5 are too many; going on with 2 at a time"]


def test_batches_are_full_while_memory_lasts():
    assert list(in_batches([iter(range(7)), range(3)], 4, list)) == [[0, 1, 2, 3], [4, 5, 6], [0, 1, 2]]


def test_other_errors_and_a_single_item_are_not_tried_again():
    def fails(batch):
        calls.append(batch)
        raise error

    for error, n_calls in ((InputError("bad"), 1), (OutOfMemoryError("one is too many"), 3)):
        calls = []
        with pytest.raises(type(error), match=str(error)):
            list(in_batches([range(4)], 4, fails))
        assert len(calls) == n_calls


@pytest.mark.parametrize("n_fit", [1, 3])
def test_traces_are_the_same_in_smaller_batches(model, n_fit, caplog):
    asked = samples(7)
    engine = SmallDevice(model, n_fit)
    with caplog.at_level(logging.WARNING):
        found = list(trace_many(model, asked, batch_size=6, max_new_tokens=3, engine=engine))
    assert engine.asked == ([6, 3, 1, 1, 1, 1, 1, 1, 1] if n_fit == 1 else [6, 3, 3, 1])
    assert "going on with 3 at a time" in caplog.text
    for sample, small in zip(asked, found, strict=True):
        alone = trace(model, sample, max_new_tokens=3)
        assert small.tokens.tolist() == alone.tokens.tolist()
        assert torch.equal(small.retrieval_scores, alone.retrieval_scores)


def test_the_error_names_the_budget_and_a_remedy(model):
    asked = samples(3)
    longest = max(map(len, asked))
    words = rf"out of memory on cpu: 3 prompts of up to {longest} tokens under 2 conditions "
    words += r"need [\d.]+ GiB by the budget \(weights .*\) of "
    with pytest.raises(OutOfMemoryError, match=words + r"[\d.]+; take a smaller batch, shorter prompts or fewer conditions"):
        trace_conditions(model, asked, {"a": None, "b": None}, engine=SmallDevice(model, 0))
    with pytest.raises(OutOfMemoryError, match=r"out of memory on cpu: 1 prompt of up to \d+ tokens need"):
        trace(model, asked[0], engine=SmallDevice(model, 0))


UNDER_A_LIMIT = """
import json, logging, resource, sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
from mechdyn.decoding.trace import trace_many
from mechdyn.models.load import wrap_model
from mechdyn.tasks.sample import Sample
from tests.bundled import mini_tokenizer

logging.basicConfig(stream=sys.stderr)
torch.set_num_threads(1)
torch.manual_seed(0)
size = dict(vocab_size=2048, hidden_size=512, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4, eos_token_id=None)
model = wrap_model(LlamaForCausalLM(LlamaConfig(**size)).eval(), mini_tokenizer(), name="tiny")
prompts = [torch.randint(6, 2000, (1000,)) for _ in range(8)]
samples = [Sample("niah", f"{i}", prompt, ((0, 1),), torch.arange(5), (0, 1), "?", "!") for i, prompt in enumerate(prompts)]
run = lambda: [found.tokens.tolist() for found in trace_many(model, samples, batch_size=8, max_new_tokens=2)]
roomy = run()
print("without a limit", file=sys.stderr)
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 110 * 2**20,) * 2)
print(json.dumps([roomy, run()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space can be limited on Linux alone")
def test_a_real_limit_is_met_with_smaller_batches():
    """Eight prompts at once have 125 MiB of keys and values; with 110 to spare, fewer at a time do."""
    result = subprocess.run([sys.executable, "-c", UNDER_A_LIMIT], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    before, after = result.stderr.split("without a limit")
    assert "going on with" not in before and "going on with 4 at a time" in after
    roomy, tight = json.loads(result.stdout)
    assert roomy == tight

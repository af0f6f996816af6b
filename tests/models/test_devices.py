"""Models spread over devices: everything lies where its layer does, and traces are those of one device."""

import copy

import pytest
import torch

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.trace import trace_conditions, trace_many
from mechdyn.errors import InputError
from mechdyn.models.load import load_model, wrap_model
from mechdyn.schedules import Dynamic, RandomHeads
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.reasoning import Reasoning
from mechdyn.tasks.niah import niah
from mechdyn.tasks.world import world
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer
from tests.devices import FIRST, SECOND, pretended_devices, spread


@pytest.fixture(scope="module")
def samples():
    return [niah(mini_tokenizer(), length=150 + 20 * seed, depth=0.5, seed=seed) for seed in range(3)]


@pytest.fixture(scope="module", params=["llama3.1", "llama3.2", "gemma2"])
def pair(request):
    """One random model on the CPU, and over two pretended devices; Llama 3.2 ties its embeddings, Gemma 2 has windows and caps."""
    hf = tiny_model(request.param, few_words=True)
    one = wrap_model(copy.deepcopy(hf), mini_tokenizer(), name="one")
    with pretended_devices():
        spread(hf, first=2)
        two = wrap_model(hf, mini_tokenizer(), name="two")
    return one, two


def assert_same(found, expected):
    assert found.tokens.tolist() == expected.tokens.tolist()
    torch.testing.assert_close(found.retrieval_scores, expected.retrieval_scores)
    torch.testing.assert_close(found.hidden, expected.hidden)


def test_pretended_devices_do_not_mix():
    with pretended_devices():
        here, there, near = torch.ones(3).to(FIRST), torch.ones(3, device=SECOND), torch.ones(3)
        for left, right in ((here, there), (here, near), (near, there)):
            with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
                left + right
        assert (here.to(SECOND) + there).device == SECOND
        assert (here + there.to(here)).tolist() == [2.0, 2.0, 2.0]
        assert here[torch.tensor([0, 2])].device == FIRST
        assert (here * 2.0).cpu().device == torch.device("cpu")


def test_each_layer_stays_on_its_device_and_inputs_go_to_the_embeddings(pair):
    _, two = pair
    assert two.device == FIRST
    for hf in (two.twin, two.bridge.original_model):
        devices = [{parameter.device for parameter in layer.parameters()} for layer in hf.model.layers]
        assert devices == [{FIRST}, {FIRST}, {SECOND}]


@pytest.mark.parametrize(("engine", "score"), [("bridge", copy_paste), ("fast", Reasoning())], ids=["bridge", "fast"])
def test_traces_of_a_spread_model_are_those_of_one_device(pair, samples, engine, score):
    """A question beside the needles: its sentences are scored one by one."""
    one, two = pair
    samples = [*samples[:2], world(mini_tokenizer(), length=260, seed=1)]
    expected = list(trace_many(one, samples, engine=engine, max_new_tokens=3, score=score))
    with pretended_devices():
        found = list(trace_many(two, samples, engine=engine, max_new_tokens=3, score=score))
    for ours, theirs in zip(found, expected, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("engine", ["bridge", "fast"])
def test_ablations_of_a_spread_model_are_those_of_one_device(pair, samples, engine):
    conditions = {
        "clean": None,
        "dynamic": Dynamic(),
        "random": Ablation(RandomHeads(5), commit="ablated"),
        "everywhere": Ablation(RandomHeads(3, fresh=False), scope="all"),
    }
    one, two = pair
    expected = trace_conditions(one, samples[:2], conditions, engine=engine, max_new_tokens=2)
    with pretended_devices():
        found = trace_conditions(two, samples[:2], conditions, engine=engine, max_new_tokens=2)
    for ours, theirs in zip(found, expected, strict=True):
        for name in conditions:
            assert_same(ours[name], theirs[name])


def test_a_device_map_of_one_device_changes_nothing(samples):
    one, mapped = load_model("mini", device="cpu"), load_model("mini", device_map={"": "cpu"})
    assert mapped.device == torch.device("cpu")
    for ours, theirs in zip(trace_many(mapped, samples, max_new_tokens=4), trace_many(one, samples, max_new_tokens=4), strict=True):
        assert_same(ours, theirs)


def test_a_model_that_does_not_fit_is_refused():
    hf = tiny_model("llama2")
    hf.hf_device_map = {"model.embed_tokens": 0, "model.layers.0": "cuda:1", "model.layers.1": "cpu", "model.layers.2": "disk"}
    with pytest.raises(InputError, match=r"large does not fit: device_map left parts of it on cpu, cuda, disk; use more devices"):
        wrap_model(hf, mini_tokenizer(), name="large")

"""From a store on disk to what an explorer shows."""

import pytest
import torch

from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.runs.ablate import ablate
from mechdyn.runs.configs import AblateConfig, ExploreConfig
from mechdyn.runs.explore import choose, explore, open_traces, stored_samples
from mechdyn.schedules import Dynamic
from mechdyn.tasks.niah import niah


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The grid of Figure 2, two samples a part under three conditions."""
    folder = tmp_path_factory.mktemp("run") / "ablate"
    ablate(AblateConfig(lengths=(160,), depths=(0.2, 0.7), runs=1, conditions=("clean", "dynamic", "random-fixed")), folder)
    return folder


def test_samples_are_listed_with_their_conditions(run):
    samples = stored_samples(open_traces(run))
    assert [len(sample.units) for sample in samples] == [1, 1, 5, 5]
    assert list(samples[2].units) == [
        "clean",
        "dynamic, commit clean",
        "dynamic, commit ablated",
        "random-fixed, commit clean",
        "random-fixed, commit ablated",
    ]
    assert samples[2].about == "length 160, depth 0.2, seed 0"
    assert stored_samples(open_traces(run / "traces")) == samples


def test_the_first_look_is_at_a_sample_whose_answer_an_ablation_breaks(run):
    samples = stored_samples(open_traces(run))
    chosen = choose(samples, None)
    assert chosen.correct["clean"] and not chosen.correct["dynamic, commit clean"]
    assert choose(samples, "3") is samples[3] and choose(samples, samples[1].key[:6]) is samples[1]


def test_replayed_traces_have_the_sources_of_a_fresh_one(run):
    explored = explore(ExploreConfig(run=str(run), conditions=("clean", "dynamic, commit clean"), sources=4))
    model = load_model("mini")
    depth, seed = (explored.traces["clean"].meta[name] for name in ("depth", "seed"))
    fresh = trace(model, niah(model, length=160, depth=depth, seed=seed), ablate=Dynamic(), keep_sources=4)
    found = explored.traces["dynamic, commit clean"]
    assert found.tokens.tolist() == fresh.tokens.tolist()
    assert torch.equal(found.sources.positions[..., 0], fresh.sources.positions[..., 0])
    assert found.prompt_texts == fresh.prompt_texts
    assert list(explored.traces) == ["clean", "dynamic, commit clean"]
    assert explored.title == f"mini · niah · length 160, depth {depth}, seed {seed}"


def test_without_sources_no_model_is_loaded(run):
    assert explore(ExploreConfig(run=str(run), sources=0, model="no-such-model")).traces["clean"].sources is None


def test_what_is_not_there_is_named(run, tmp_path):
    with pytest.raises(InputError, match=r"no samples of the run are named 'x'; give a number from 0 to 3"):
        explore(ExploreConfig(run=str(run), sample="x"))
    with pytest.raises(InputError, match="not traced under 'static'; its conditions are clean; dynamic, commit clean"):
        explore(ExploreConfig(run=str(run), conditions=("static",)))
    with pytest.raises(InputError, match=r"made with mini .* this model is planted-static"):
        explore(ExploreConfig(run=str(run), model="planted-static"))
    with pytest.raises(InputError, match=r"model cannot be loaded \(.*mimi.*\); say where it lies with --model, or leave sources out"):
        explore(ExploreConfig(run=str(run), model="mimi"))
    with pytest.raises(InputError, match=r"is neither the folder of a run nor a trace store \(no traces/manifest.json\)"):
        open_traces(tmp_path)
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        open_traces(tmp_path / "nowhere")

"""What `trace` and its like take: heads, schedules and scores however they are named; and what their traces are called."""

import copy
import dataclasses
import inspect
import json
from dataclasses import dataclass, replace

import pytest
import torch

from mechdyn.decoding.ablation import Ablation, ablation_from_json, as_ablation
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.trace import trace, trace_conditions, trace_many
from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads, heads
from mechdyn.models.load import wrap_model
from mechdyn.runs.session import open_store
from mechdyn.schedules import SCHEDULES, Dynamic, NoAblation, RandomHeads, Static, schedule
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.reasoning import Reasoning
from mechdyn.tasks.sample import Sample
from tests.architectures import LIVE, tiny_model
from tests.bundled import mini_tokenizer

N_NEW = 4
OFF = [(0, 1), (1, 5), (2, 0), (2, 7)]
NAMES = "L0H1 L1H5 L2H0 L2H7"


@pytest.fixture(scope="module")
def plain():
    return tiny_model("llama3.1", seed=4, few_words=True)


@pytest.fixture(scope="module")
def model(plain):
    return dataclasses.replace(wrap_model(copy.deepcopy(plain), mini_tokenizer(), name="tiny", revision="1"), eos_ids=())


def sample_of(seed, length=24, facts=()):
    """Few distinct tokens, most of them needle, so that many heads copy by chance."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(LIVE.start, LIVE.stop, (length,), generator=generator)
    needle = (torch.rand(length, generator=generator) < 0.8).nonzero().flatten()
    return Sample("niah", f"sample {seed}", tokens, ((0, 1),), needle, (0, 1), "?", "!", {"fact_tokens": [list(fact) for fact in facts]})


@pytest.fixture
def sample():
    return sample_of(1)


def traced(model, sample, **options):
    return trace(model, sample, max_new_tokens=N_NEW, **options)


def assert_same(one, other):
    assert one.unit == other.unit and torch.equal(one.tokens, other.tokens)
    assert torch.equal(one.retrieval_scores, other.retrieval_scores) and one.threshold == other.threshold
    assert (one.ablated is None) == (other.ablated is None)
    if one.ablated is not None:
        assert torch.equal(one.ablated, other.ablated) and torch.equal(one.ablated_scores, other.ablated_scores)


WAYS = {
    "text": NAMES,
    "text with commas": NAMES.replace(" ", ","),
    "pairs": OFF,
    "heads": [Head(*pair) for pair in OFF],
    "names in a list": NAMES.split(),
    "set": heads(NAMES),
    "set with a shape": HeadSet.of(OFF, 3, 8),
    "schedule": Static(heads(NAMES)),
    "ablation": Ablation(Static(HeadSet.of(OFF, 3, 8))),
}


@pytest.mark.parametrize("way", WAYS)
def test_heads_go_off_however_they_are_named(model, sample, way):
    found = traced(model, sample, ablate=WAYS[way])
    assert torch.equal(found.ablated, HeadSet.of(OFF, 3, 8).mask().expand(N_NEW, 3, 8))
    assert_same(found, traced(model, sample, ablate=Ablation(Static(HeadSet.of(OFF, 3, 8)))))


def test_one_head_by_itself(model, sample):
    for one in (Head(1, 5), "L1H5", (1, 5), [Head(1, 5)]):
        assert traced(model, sample, ablate=one).ablated.nonzero()[:, 1:].unique(dim=0).tolist() == [[1, 5]]


def test_no_ablation_is_none_however_it_is_said(model, sample):
    clean = traced(model, sample)
    for nothing in (None, NoAblation()):
        assert_same(traced(model, sample, ablate=nothing), clean)
    assert clean.ablated is None


def test_batches_and_conditions_take_what_trace_takes(model):
    samples = [sample_of(seed, length) for seed, length in ((1, 24), (2, 13), (3, 30))]
    for ablate in (NAMES, OFF, Dynamic(), Ablation(Dynamic(), commit="ablated"), None):
        alone = [traced(model, sample, ablate=ablate) for sample in samples]
        batched = list(trace_many(model, samples, ablate=ablate, batch_size=2, max_new_tokens=N_NEW))
        together = trace_conditions(model, samples, {"asked": ablate, "clean": None}, max_new_tokens=N_NEW)
        for one, many, both in zip(alone, batched, together, strict=True):
            assert_same(one, many)
            assert_same(one, both["asked"])


@dataclass(frozen=True)
class Unnamed:
    """A schedule that nobody gave a name."""

    def heads(self, observation):
        return observation.active


WRONG = {
    "a ranking": (RankedHeads((Head(0, 0), Head(0, 1)), (1.0, 0.5)), r"got a ranking of 2; say how many are meant with .top\(k\)"),
    "no heads": ("3-6", "a head is written like L4H7"),
    "a class": (Dynamic, r"ablate= takes a schedule, got the class Dynamic; make one of it, such as Dynamic\(\)"),
    "a schedule without a name": (
        Unnamed(),
        r"the schedule Unnamed has no as_json\(\), .*; decorate it with @schedule",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_ablated_is_one_line(case):
    asked, message = WRONG[case]
    with pytest.raises(InputError, match=message) as caught:
        inspect.unwrap(as_ablation)(asked)
    assert "\n" not in str(caught.value)


def test_a_name_is_no_model(sample):
    for call in (
        lambda: inspect.unwrap(trace)("mini", sample),
        lambda: next(inspect.unwrap(trace_many)("mini", [sample])),
        lambda: inspect.unwrap(trace_conditions)("mini", [sample], {"clean": None}),
    ):
        with pytest.raises(InputError, match=r"trace wants a loaded model, got str 'mini'; load it with load_model\(name\)"):
            call()


def test_conditions_that_do_not_fit_are_refused_before_anything_runs(model, sample):
    class Idle(FastEngine):
        def prefill(self, *arguments, **options):
            raise AssertionError("nothing was to run")

    for other in ("L9H0", HeadSet.of(OFF, 5, 16), RandomHeads(25)):
        with pytest.raises(InputError, match=r"outside a model of 3 layers|of a model of 5 layers|k must lie between 0 and 24"):
            trace_conditions(model, [sample], {"clean": None, "other": other}, engine=Idle(model))


# Scores


def test_a_score_brings_its_threshold(model, sample):
    by_name = traced(model, sample, score="reasoning:local=0")
    assert by_name.threshold == 0.5
    assert_same(by_name, traced(model, sample, score=Reasoning(local=0)))
    assert_same(by_name, traced(model, sample, score={"name": "reasoning", "local": 0}, threshold=0.5))
    assert torch.equal(by_name.active, by_name.retrieval_scores > 0.5) and not bool(by_name.active.all())
    assert traced(model, sample).threshold == 0.0 and traced(model, sample, score="reasoning", threshold=0.0).threshold == 0
    (many,), (both,) = (
        list(trace_many(model, [sample], score="reasoning:local=0", max_new_tokens=N_NEW)),
        trace_conditions(model, [sample], {"clean": None}, score="reasoning:local=0", max_new_tokens=N_NEW),
    )
    assert_same(by_name, many)
    assert_same(by_name, both["clean"])


def test_dynamic_heads_are_those_above_the_score_s_own_threshold(model, sample):
    half = replace(sample, needle_positions=torch.arange(0, len(sample), 2))
    found = traced(model, half, score="reasoning:sink=0,local=0", ablate=Dynamic())
    assert torch.equal(found.ablated, found.retrieval_scores > 0.5)
    assert 0 < int(found.ablated.sum()) < found.ablated.numel()


def not_a_number(pattern, context):
    scores = pattern.amax(dim=-1)
    scores[:, 3] = float("nan")
    return scores


def test_a_score_that_is_not_a_number_is_named_with_its_step(model, sample):
    with pytest.raises(InputError, match=r"the score '.*not_a_number' gave NaN at step 0, where the model's logits are finite"):
        traced(model, sample, score=not_a_number)

    def later(pattern, context):
        return not_a_number(pattern, context) if pattern.shape[-1] == 26 else copy_paste(pattern, context)

    with pytest.raises(InputError, match="gave NaN at step 2"):
        traced(model, sample, score=later)
    assert traced(model, sample_of(1, length=30), score=later).n_steps == N_NEW


def test_nan_of_one_fact_and_of_an_ablated_forward_are_seen(model):
    def of_a_fact(pattern, context):
        scores = pattern.amax(dim=-1)
        scores[context.needle.sum(dim=1) == 3] = float("nan")
        return scores

    with pytest.raises(InputError, match="gave NaN at step 0"):
        traced(model, sample_of(1, facts=[(2, 5), (7, 12)]), score=of_a_fact)

    def of_the_ablated_row(pattern, context):
        """Heads that are named run beside the observing row, of every layer the second one."""
        scores = copy_paste(pattern, context)
        scores[1::2] = float("nan")
        return scores

    with pytest.raises(InputError, match="gave NaN at step 0"):
        traced(model, sample_of(1), score=of_the_ablated_row, ablate=NAMES)


def test_samples_with_fewer_facts_than_others_are_no_fault_of_the_score(model):
    """In a batch they are filled up with facts of no token, of which a mean over the needle is 0/0."""

    def mean_over_the_needle(pattern, context):
        return (pattern * context.needle[:, None]).sum(dim=-1) / context.needle.sum(dim=-1)[:, None]

    samples = [sample_of(1, facts=[(2, 5), (7, 12)]), sample_of(2, facts=[(3, 6)])]
    alone = [traced(model, each, score=mean_over_the_needle) for each in samples]
    batched = trace_many(model, samples, score=mean_over_the_needle, max_new_tokens=N_NEW)
    for one, many in zip(alone, batched, strict=True):
        torch.testing.assert_close(one.sentence_scores, many.sentence_scores, atol=1e-6, rtol=0)


def test_a_model_s_own_nan_is_no_fault_of_the_score(plain, sample):
    broken = copy.deepcopy(plain)
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    result = trace(wrap_model(broken, mini_tokenizer(), name="broken"), sample, score=not_a_number)
    assert (result.stopped, result.n_steps) == ("error", 0)


def test_a_threshold_is_a_number(model, sample):
    with pytest.raises(InputError, match="threshold must be a number, got NaN"):
        traced(model, sample, threshold=float("nan"))


# Schedules


@dataclass(frozen=True)
class Gives:
    """A schedule that gives whatever it is asked to."""

    what: str

    def heads(self, observation):
        shape = observation.active.shape
        return {
            "one": torch.ones(1, 1).bool(),
            "half": torch.full(shape, 0.5),
            "a number": 0.5,
            "NaN": torch.full(shape, float("nan")),
            "integers": torch.ones(shape).long(),
            "one head too many": torch.ones(shape[0], shape[1] + 1).bool(),
            "a set": heads("L0H0"),
        }[self.what]

    def as_json(self):
        return {"kind": "gives", "what": self.what}


CAME = {
    "one": r"a tensor \(1, 1\) of torch.bool",
    "half": r"a tensor \(3, 8\) of torch.float32",
    "a number": "a float",
    "NaN": r"a tensor \(3, 8\) of torch.float32",
    "integers": r"a tensor \(3, 8\) of torch.int64",
    "one head too many": r"a tensor \(3, 9\) of torch.bool",
    "a set": "a HeadSet",
}


@pytest.mark.parametrize("what", CAME)
def test_a_schedule_says_true_or_false_for_each_head(model, sample, what):
    with pytest.raises(InputError, match=rf"the schedule Gives must return a boolean tensor of layers x heads \(3, 8\), got {CAME[what]}"):
        traced(model, sample, ablate=Gives(what))


def test_a_schedule_of_ones_own_is_stored_in_a_unit_and_read_back(model, sample, monkeypatch):
    SCHEDULES.names()
    monkeypatch.setattr(SCHEDULES, "_things", dict(SCHEDULES._things))

    @schedule("late")
    @dataclass(frozen=True)
    class Late:
        start: int

        def heads(self, observation):
            return observation.active & (observation.step >= self.start)

    found = traced(model, sample, ablate=Ablation(Late(2), commit="ablated"))
    assert found.meta["ablation"]["schedule"] == {"kind": "late", "start": 2}
    assert not bool(found.ablated[:2].any()) and bool(found.ablated[2:].any())
    read = ablation_from_json(json.loads(json.dumps(found.meta["ablation"])), model.n_layers, model.n_heads)
    assert_same(found, traced(model, sample, ablate=read))


def test_a_schedule_whose_json_is_none_is_refused_before_it_runs(model, sample):
    class Holding(Gives):
        def as_json(self):
            return {"kind": "gives", "heads": heads("L0H0")}

    with pytest.raises(InputError, match=r"as_json\(\) of the schedule Holding must give JSON values"):
        traced(model, sample, ablate=Holding("one"))


# Keys


def test_the_same_call_has_the_same_key_and_another_has_another(model, sample):
    calls = {
        "clean": {},
        "heads": {"ablate": NAMES},
        "other heads": {"ablate": "L0H1"},
        "another commit": {"ablate": Ablation(Static(heads(NAMES)), commit="ablated")},
        "dynamic": {"ablate": Dynamic()},
        "score": {"score": "reasoning"},
        "option": {"score": "reasoning:sink=5"},
        "score of ones own": {"score": Plainly()},
        "its option": {"score": Plainly(2.0)},
        "threshold": {"threshold": 0.25},
        "limit": {"max_new_tokens": 2},
    }
    keys = {name: trace(model, sample, **{"max_new_tokens": 3, **call}).unit for name, call in calls.items()}
    assert len(set(keys.values())) == len(calls) and all(keys.values())
    for name, call in calls.items():
        again = trace(model, sample, **{"max_new_tokens": 3, "engine": "bridge", "keep_patterns": True, "keep_sources": 0, **call})
        assert again.unit == keys[name]
    assert trace(model, sample, max_new_tokens=3, threshold=0.0).unit == keys["clean"], "the score's own threshold"
    assert trace(model, sample_of(2), max_new_tokens=3).unit != keys["clean"]
    assert trace(replace(model, revision="2"), sample, max_new_tokens=3).unit != keys["clean"]


@dataclass(frozen=True)
class Plainly:
    factor: float = 1.0

    def __call__(self, pattern, context):
        return pattern.amax(dim=-1) * self.factor


def test_a_trace_shown_while_it_grows_has_the_key_of_the_whole(model, sample):
    seen = []
    found = traced(model, sample, ablate=NAMES, on_step=seen.append)
    assert {each.unit for each in seen} == {found.unit}


def test_traces_made_by_hand_go_into_a_store(model, tmp_path):
    samples = [sample_of(seed) for seed in range(3)]
    store = open_store(tmp_path / "traces", model)
    store.append(list(trace_many(model, samples, max_new_tokens=N_NEW)))
    store.append(list(trace_many(model, samples, ablate=NAMES, max_new_tokens=N_NEW)))
    assert len(store.keys()) == 6
    (one,) = store.load([traced(model, samples[1], ablate=NAMES).unit])
    assert torch.equal(one.ablated, HeadSet.of(OFF, 3, 8).mask().expand(N_NEW, 3, 8))
    dense = open_store(tmp_path / "dense", model, score=Reasoning(local=0))
    dense.append(list(trace_many(model, samples, score=Reasoning(local=0), max_new_tokens=N_NEW)))
    assert (dense.manifest.score, dense.manifest.score_options, dense.manifest.scores) == ("reasoning", {"sink": 4, "local": 0}, "dense")

"""The evaluation against counts by hand: a scripted variant whose answers, times and distributions are known."""

import json
import math

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.improve.drift import text_drift
from mechdyn.improve.evaluation import Evaluation, evaluate
from mechdyn.improve.task_samples import TaskSamples
from mechdyn.improve.variant import Answer
from mechdyn.stats.means import paired_difference
from mechdyn.tasks.niah import niah
from mechdyn.tasks.world import world
from tests.bundled import mini_tokenizer


class Scripted:
    """Gives the answers that a function makes of a sample, and one distribution everywhere; counts how many it was asked for."""

    def __init__(self, name, tell, seconds=0.25, probabilities=(0.5, 0.25, 0.25)):
        self.name, self._tell, self._seconds, self._probabilities, self.asked = name, tell, seconds, probabilities, 0

    def answers(self, samples, *, max_new_tokens=None):
        self.asked += len(samples)
        return [Answer(self._tell(sample), (1, 2), self._seconds, cache_bytes=len(sample)) for sample in samples]

    def log_probs(self, tokens):
        return torch.tensor(self._probabilities).log().expand(len(tokens), 3)


def needles(n_each=3):
    tokenizer = mini_tokenizer()
    made = [
        niah(tokenizer, length=length, depth=depth, seed=seed) for length in (150, 200) for depth in (0.2, 0.8) for seed in range(n_each)
    ]
    return TaskSamples("niah", tuple(made), 64)


def test_changes_are_those_counted_by_hand():
    tested = needles()
    right = {sample.key: index % 3 > 0 for index, sample in enumerate(tested.samples)}
    base = Scripted("base", lambda sample: sample.answer if sample.meta["length"] == 150 else "no idea")
    other = Scripted("other", lambda sample: sample.answer if right[sample.key] else "")
    found = evaluate(base, [other], [tested], batch_size=5)
    assert found.find("other", "niah", "accuracy").before.estimate == 0.5
    assert found.find("other", "niah", "accuracy").after.estimate == pytest.approx(8 / 12)
    short = found.find("other", "niah", "accuracy", length=150)
    assert (short.before.estimate, short.difference.n) == (1.0, 6) and short.difference.estimate == pytest.approx(4 / 6 - 1)
    cell = found.find("other", "niah", "accuracy", length=200, depth=0.8)
    assert (cell.before.estimate, cell.after.estimate) == (0.0, pytest.approx(2 / 3))
    clusters = [sample.meta["seed"] for sample in tested.samples]  # needle and haystack are drawn by the seed
    one = np.array([sample.meta["length"] == 150 for sample in tested.samples], dtype=float)
    two = np.array([right[sample.key] for sample in tested.samples], dtype=float)
    assert found.find("other", "niah", "accuracy").difference == paired_difference(two, one, clusters)


def test_what_is_kept_is_not_generated_again_and_gives_the_same():
    tested, kept = needles(), {}
    first = Scripted("base", lambda sample: sample.answer), Scripted("other", lambda sample: "x")
    found = evaluate(first[0], [first[1]], [tested], batch_size=4, kept=kept)
    for key in list(kept)[:3]:
        del kept[key]
    again = Scripted("base", lambda sample: sample.answer), Scripted("other", lambda sample: "x")
    assert evaluate(again[0], [again[1]], [tested], batch_size=4, kept=kept) == found
    assert again[0].asked + again[1].asked == 3


def test_failed_generations_are_left_out_of_the_pairs():
    tested = needles(1)

    class Failing(Scripted):
        def answers(self, samples, *, max_new_tokens=None):
            return [
                Answer("", (), 0.1, stopped="error") if sample.meta["depth"] == 0.8 else Answer(sample.answer, (1,), 0.1)
                for sample in samples
            ]

    change = evaluate(Scripted("base", lambda sample: ""), [Failing("other", None)], [tested]).find("other", "niah", "accuracy")
    assert (change.difference.n, change.difference.estimate, change.before.n) == (2, 1.0, 4)


def test_rationales_are_held_against_the_supporting_sentences():
    sample = world(mini_tokenizer(), length=400, seed=3)
    tested = TaskSamples("world", (sample,), 96)
    facts = [dict(sample.meta["context"])[title][index].strip() for title, index in sample.meta["facts"]]
    wrong_title, wrong_index = sample.meta["distractors"][0]
    distractor = dict(sample.meta["context"])[wrong_title][wrong_index].strip()
    text = f"{facts[0]} {distractor} So the answer is {sample.answer}."
    found = tested.quality(sample, text)
    assert (found["em"], found["quote_precision"], found["quote_recall"], found["quote_f1"]) == (1.0, 0.5, 0.5, 0.5)
    assert tested.quality(sample, f"So the answer is {sample.answer}.")["quote_f1"] == 0.0
    assert "quote_f1" not in TaskSamples("world", (world(mini_tokenizer(), length=400, seed=3, style="direct"),), 96).metrics


def test_drift_is_entropy_arithmetic():
    base, other = Scripted("base", None), Scripted("other", None, probabilities=(0.25, 0.25, 0.5))
    tokens = torch.tensor([1, 0, 0, 2, 1])
    found = text_drift(tokens, base.log_probs(tokens), other.log_probs(tokens))
    assert found.before == pytest.approx(-(2 * math.log(0.5) + 2 * math.log(0.25)) / 4)
    assert found.after == pytest.approx(-(2 * math.log(0.25) + math.log(0.5) + math.log(0.25)) / 4)
    assert found.kl == pytest.approx(0.5 * math.log(2) + 0.25 * math.log(0.5)) and found.n == 4
    evaluation = evaluate(base, [other], [], texts=[tokens, tokens.flip(0)])
    assert evaluation.drifts[0].kl.estimate == pytest.approx(found.kl) and evaluation.drifts[0].n_tokens == 8


def test_costs_are_ratios_of_time_a_token():
    found = evaluate(Scripted("base", lambda sample: "", 0.2), [Scripted("slow", lambda sample: "", 0.5)], [needles(1)], batch_size=2)
    (cost,) = found.costs
    assert cost.ratio.estimate == pytest.approx(2.5) and cost.difference.estimate == pytest.approx(0.3)
    assert cost.cache_before == 200 and cost.peak_before is None


def test_json_gives_the_same_evaluation_back():
    found = evaluate(Scripted("base", lambda sample: "x"), [Scripted("other", lambda sample: "y")], [needles()], texts=[torch.arange(3)])
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert json.dumps(Evaluation.from_json(content).as_json()) == json.dumps(content)
    frame = found.to_frame()
    assert set(frame.metric) == {"accuracy", "rouge_l", "nats a token", "seconds an answer"}


def test_variants_of_one_name_are_refused():
    same = Scripted("base", lambda sample: "")
    with pytest.raises(InputError, match="variants of different names"):
        evaluate(same, [Scripted("base", lambda sample: "")], [needles(1)])
    with pytest.raises(InputError, match="was not measured; there are other on niah: accuracy"):
        evaluate(same, [Scripted("other", lambda sample: "")], [needles(1)]).find("other", "world", "f1")

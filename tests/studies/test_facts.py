"""The report on supporting facts against counts by hand, and against the official evaluation over the same predictions."""

import json
import math
from dataclasses import replace

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.studies.facts import clean_traces, fact_report, question_outcome
from mechdyn.tasks.hotpot_evaluation import evaluate_predictions
from mechdyn.traces.trace import Trace

CONTEXT = [
    ["Wren Mill", ["Ada Lunt founded Wren Mill.", " It is red."]],
    ["Ada Lunt", [" She was born in Ashford.", " She sang."]],
    ["Other", [" It is blue."]],
]
FACTS = [["Wren Mill", 0], ["Ada Lunt", 0]]
BOTH = "Ada Lunt founded Wren Mill. She was born in Ashford."
SILENT, FIRST, SECOND = [0.1, 0.5], [0.7, 0.0], [0.2, 0.6]


def question(name="q", text=f"{BOTH} So the answer is Ashford.", fact_scores=(FIRST, SECOND, SECOND), other=0.5, **changes):
    """Two facts and a distractor, scored `other` at every step, under a threshold of 0.5; `changes` go into the meta or the trace."""
    n_steps = len(fact_scores)
    meta = {
        "id": name,
        "type": "bridge",
        "level": "hard",
        "style": "rationale",
        "facts": FACTS,
        "fact_tokens": [[10, 20], [50, 60]],
        "distractors": [["Other", 0]],
        "distractor_tokens": [[62, 70]],
        "context": CONTEXT,
    }
    stopped, answer = changes.pop("stopped", "eos"), changes.pop("answer", "Ashford")
    scores = torch.tensor([[*pair, other] for pair in fact_scores]).reshape(n_steps, 3)
    return Trace(
        unit=name,
        sample=name,
        task="hotpotqa",
        question="Where was the founder born?",
        answer=answer,
        prompt_tokens=torch.zeros(70, dtype=torch.long),
        needle_positions=torch.tensor([10]),
        tokens=torch.zeros(n_steps, dtype=torch.long),
        token_texts=("x",) * n_steps,
        text=text,
        retrieval_scores=torch.zeros(n_steps, 2, 2),
        hidden=torch.zeros(n_steps, 4),
        threshold=0.5,
        stopped=stopped,
        sentence_scores=scores,
        meta=meta | changes,
    )


def test_each_fact_has_its_steps_its_highest_score_and_its_quote():
    found = question_outcome(
        question(fact_scores=[FIRST, SILENT, SECOND, SECOND], text="She was born in Ashford. So the answer is Ashford")
    )
    first, second = found.facts
    assert (first.title, first.index, first.sentence) == ("Wren Mill", 0, "Ada Lunt founded Wren Mill.")
    assert (first.retrieved_steps, first.quoted, second.retrieved_steps, second.quoted) == (1, False, 2, True)
    assert first.highest_score == pytest.approx(0.7) and second.highest_score == pytest.approx(0.6)
    assert (found.answer.em, found.supporting.em, found.supporting.precision, found.supporting.recall) == (1.0, 0.0, 1.0, 0.5)
    assert (found.joint.em, found.joint.f1) == (0.0, pytest.approx(2 / 3))
    assert found.traits == {
        "type": "bridge",
        "level": "hard",
        "facts": "2",
        "answer in a fact": "yes",
        "distance": "under 128 tokens",
        "facts retrieved": "all",
        "facts quoted": "some",
    }


@pytest.mark.parametrize(
    ("spans", "distance"),
    [
        ([[0, 10], [137, 140]], "under 128 tokens"),
        ([[138, 140], [0, 10]], "128 to 511 tokens"),
        ([[0, 10], [521, 530]], "128 to 511 tokens"),
        ([[0, 10], [200, 205], [522, 530]], "512 tokens or more"),
        ([[5, 9]], "under 128 tokens"),
        ([[5, 9], [8, 12]], "under 128 tokens"),
    ],
)
def test_distance_is_from_the_end_of_the_first_fact_to_the_start_of_the_last(spans, distance):
    assert question_outcome(question(fact_tokens=spans)).traits["distance"] == distance


def test_each_question_is_compared_with_its_distractors():
    traces = [question("a", other=0.5), question("b", other=0.75), question("c", distractors=[], distractor_tokens=[])]
    traces[2] = replace(traces[2], sentence_scores=traces[2].sentence_scores[:, :2])
    report = fact_report(traces)
    assert [[fact.retrieved_steps for fact in outcome.distractors] for outcome in report.questions] == [[0], [3], []]
    other = report.questions[1].distractors[0]
    assert (other.title, other.sentence, other.quoted, other.highest_score) == ("Other", " It is blue.", False, 0.75)
    share = report.groups[0].measures["distractors retrieved"]
    assert (share.estimate, share.n) == (0.5, 2)
    assert report.groups[0].measures["facts retrieved"].estimate == 1.0
    assert report.groups[0].measures["fact steps"].estimate == pytest.approx((1 + 2) / (2 * 3))
    assert report.groups[0].measures["distractor steps"].estimate == pytest.approx(3 / 6)


def test_groups_with_an_order_come_in_it():
    spans = ([[0, 1], [600, 601]], [[0, 1], [2, 3]], [[0, 1], [200, 201]])
    report = fact_report([question(f"q{index}", fact_tokens=span) for index, span in enumerate(spans)])
    assert [group.value for group in report.groups[1:]] == ["under 128 tokens", "128 to 511 tokens", "512 tokens or more"]


def test_a_direct_answer_predicts_no_facts():
    report = fact_report([question(style="direct", text="Ashford")])
    (outcome,), (everyone,) = report.questions, report.groups
    assert outcome.supporting is outcome.joint is None and outcome.facts[0].quoted is None
    assert (everyone.measures["EM"].estimate, everyone.measures["facts retrieved"].estimate) == (1.0, 1.0)
    for name in ("facts quoted", "sp EM", "joint F1"):
        assert everyone.measures[name].n == 0 and math.isnan(everyone.measures[name].estimate)


def test_groups_part_the_questions_by_every_trait_that_differs():
    traces = [
        question("a"),
        question("b", type="comparison", answer="yes", text="So the answer is yes."),
        question("c", level=None, fact_scores=[SILENT], text="No idea."),
        question("d", fact_scores=[], text=""),
        question("e", stopped="error"),
    ]
    report = fact_report(traces)
    assert report.n_failed == 1 and [outcome.id for outcome in report.questions] == ["a", "b", "c", "d"]
    sizes = {(group.trait, group.value): group.n for group in report.groups}
    assert sizes == {
        ("", "all questions"): 4,
        ("type", "bridge"): 3,
        ("type", "comparison"): 1,
        ("answer in a fact", "yes"): 3,
        ("answer in a fact", "no"): 1,
        ("facts retrieved", "all"): 2,
        ("facts retrieved", "none"): 2,
        ("facts quoted", "all"): 1,
        ("facts quoted", "none"): 3,
    }
    means = {(group.trait, group.value): group.measures["EM"].estimate for group in report.groups}
    assert (means["", "all questions"], means["facts quoted", "none"], means["facts retrieved", "none"]) == (0.5, pytest.approx(1 / 3), 0.0)
    everyone = report.groups[0].measures
    assert (everyone["facts retrieved"].estimate, everyone["facts quoted"].estimate) == (0.5, 0.25)
    assert everyone["facts retrieved"].low <= 0.5 <= everyone["facts retrieved"].high


def test_means_are_the_official_evaluation_s():
    texts = [
        f"{BOTH} So the answer is Ashford.",
        "Ada Lunt founded Wren Mill. It is red. So the answer is the red mill",
        "It is blue. So the answer is Ashford",
        "So the answer is in Ashford.",
    ]
    report = fact_report([question(f"q{index}", text=text) for index, text in enumerate(texts)])
    gold = [{"_id": f"q{index}", "answer": "Ashford", "supporting_facts": FACTS} for index in range(4)]
    answers = {"q0": "Ashford", "q1": "the red mill", "q2": "Ashford", "q3": "in Ashford"}
    facts = {"q0": FACTS, "q1": [["Wren Mill", 0], ["Wren Mill", 1]], "q2": [["Other", 0]], "q3": []}
    official = evaluate_predictions(answers, gold, facts)
    measured = {name: interval.estimate for name, interval in report.groups[0].measures.items()}
    for ours, theirs in {
        "EM": "em",
        "F1": "f1",
        "sp EM": "sp_em",
        "sp F1": "sp_f1",
        "joint EM": "joint_em",
        "joint F1": "joint_f1",
    }.items():
        assert measured[ours] == pytest.approx(official[theirs])
    assert 0 < official["joint_f1"] < official["sp_f1"] < 1


def test_reports_are_json_without_nan():
    text = json.dumps(fact_report([question(style="direct"), question("c", fact_scores=[])]).as_json(), allow_nan=False)
    first, second = json.loads(text)["questions"]
    assert first["supporting_facts"] is None and first["facts"][0]["quoted"] is None
    assert second["facts"][0] == {
        "title": "Wren Mill",
        "index": 0,
        "sentence": "Ada Lunt founded Wren Mill.",
        "n_steps": 0,
        "retrieved_steps": 0,
        "highest_score": 0.0,
        "quoted": True,
    }


def test_the_measured_generations_of_every_claim_are_those_without_ablation():
    first, second = [question("a")], [question("b")]
    assert clean_traces({"detection": first, "evaluation": second}) is second
    assert clean_traces({"detection": first, "clean": second, "dynamic, commit clean": first}) is second
    assert clean_traces({"detection": first}) is first


def test_of_a_claim_with_roles_of_its_own_the_first_without_ablation_is_taken():
    plain, other = [question("a")], question("b")
    ablated = [replace(other, ablated=torch.zeros_like(other.retrieval_scores, dtype=torch.bool))]
    assert clean_traces({"mine, off": ablated, "mine": plain}) is plain
    assert list(clean_traces({"mine, off": ablated})) == []


def test_needles_have_no_facts():
    trace = question()
    needle = replace(trace, task="niah", sentence_scores=None, meta={"style": None, "context": []})
    with pytest.raises(InputError, match="a report on facts is of questions, got a trace of the task niah"):
        fact_report([needle])
    assert fact_report([question(stopped="error")]).groups[0].n == 0

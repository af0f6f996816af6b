"""Whole prediction files against the official evaluation, written down a second time from its formulas."""

import random
from typing import Any

import pytest

from mechdyn.errors import InputError
from mechdyn.metrics import Match
from mechdyn.tasks.hotpot_evaluation import evaluate_predictions, fact_match, joint_match
from mechdyn.tasks.hotpot_items import read_items
from tests.real_data import real_data
from tests.test_metrics import ADVERSARIAL, oracle_em, oracle_words

TITLES = ("A", "B & C", "É", "")


def official(prediction: dict[str, dict[str, Any]], gold: list[dict[str, Any]]) -> dict[str, float]:
    """Sums over the questions, one after the other, divided by their number at the end."""
    names = [f"{part}{name}" for part in ("", "sp_", "joint_") for name in ("em", "f1", "precision", "recall")]
    sums = dict.fromkeys(names, 0.0)
    for item in gold:
        found = {}
        if item["_id"] in prediction["answer"]:
            found[""] = official_answer(prediction["answer"][item["_id"]], item["answer"])
        if item["_id"] in prediction["sp"]:
            found["sp_"] = official_facts(prediction["sp"][item["_id"]], item["supporting_facts"])
        if len(found) == 2:
            em, precision, recall = (found[""][index] * found["sp_"][index] for index in range(3))
            found["joint_"] = (em, precision, recall)
        for part, (em, precision, recall) in found.items():
            sums[f"{part}em"] += em
            sums[f"{part}precision"] += precision
            sums[f"{part}recall"] += recall
            if precision + recall > 0:
                sums[f"{part}f1"] += 2 * precision * recall / (precision + recall)
    return {name: total / len(gold) for name, total in sums.items()}


def official_answer(prediction: str, answer: str) -> tuple[float, float, float]:
    predicted, gold = oracle_words(prediction), oracle_words(answer)
    em = oracle_em(prediction, answer)
    if predicted != gold and any(side in (["yes"], ["no"], ["noanswer"]) for side in (predicted, gold)):
        return em, 0.0, 0.0
    left, shared = list(gold), 0
    for word in predicted:
        if word in left:
            left.remove(word)
            shared += 1
    return (em, shared / len(predicted), shared / len(gold)) if shared else (em, 0.0, 0.0)


def official_facts(prediction: list[Any], gold: list[Any]) -> tuple[float, float, float]:
    predicted, wanted = ({tuple(entry) for entry in side} for side in (prediction, gold))
    hits = sum(1 for fact in predicted if fact in wanted)
    wrong = sum(1 for fact in predicted if fact not in wanted)
    missed = sum(1 for fact in wanted if fact not in predicted)
    precision = hits / (hits + wrong) if hits + wrong > 0 else 0.0
    recall = hits / (hits + missed) if hits + missed > 0 else 0.0
    return (1.0 if wrong + missed == 0 else 0.0), precision, recall


def random_file(seed: int, n: int) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Gold questions, and predictions that lack some of the answers and some of the facts, and have some that nobody asked for."""
    rng = random.Random(seed)

    def facts() -> list[list[Any]]:
        return [[rng.choice(TITLES), rng.randint(0, 2)] for _ in range(rng.randint(0, 4))]

    gold = [{"_id": f"q{number}", "answer": rng.choice(ADVERSARIAL), "supporting_facts": facts() or [["A", 0]]} for number in range(n)]
    answer = {item["_id"]: rng.choice([item["answer"], rng.choice(ADVERSARIAL)]) for item in gold if rng.random() < 0.8}
    sp = {item["_id"]: rng.choice([item["supporting_facts"], facts()]) for item in gold if rng.random() < 0.8}
    return {"answer": answer | {"nobody asked": "x"}, "sp": sp | {"nobody asked": [["A", 0]]}}, gold


@pytest.mark.parametrize("seed", range(5))
def test_whole_prediction_files_count_what_is_missing_as_zero(seed: int) -> None:
    prediction, gold = random_file(seed, 200)
    wanted = official(prediction, gold)
    found = evaluate_predictions(prediction["answer"], gold, prediction["sp"])
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-12)
    assert 0 < found["joint_em"] <= min(found["em"], found["sp_em"])
    assert found["n"] == 200
    assert found["missing"] == 200 + 1 - len(prediction["answer"]) and found["sp_missing"] == 200 + 1 - len(prediction["sp"])
    alone = evaluate_predictions(prediction["answer"], gold)
    assert alone == {name: found[name] for name in ("em", "f1", "precision", "recall", "n", "missing")}


def test_gold_predicts_itself_on_real_questions() -> None:
    gold = read_items(real_data("hotpot/hotpot_dev_a.json"))
    found = evaluate_predictions(
        {item["_id"]: item["answer"] for item in gold}, gold, {item["_id"]: item["supporting_facts"] for item in gold}
    )
    assert {found[name] for name in found if name not in ("n", "missing", "sp_missing")} == {1.0}
    half = {item["_id"]: item["answer"] for item in gold[::2]}
    assert evaluate_predictions(half, gold)["em"] == 0.5


def test_an_empty_prediction_is_not_a_missing_one() -> None:
    gold = [{"_id": "q", "answer": "the", "supporting_facts": [["A", 0]]}]
    empty = evaluate_predictions({"q": ""}, gold, {"q": []})
    assert (empty["em"], empty["f1"], empty["missing"], empty["sp_em"], empty["sp_f1"], empty["sp_missing"]) == (1.0, 0.0, 0, 0.0, 0.0, 0)
    none = evaluate_predictions({}, gold, {})
    assert (none["em"], none["missing"], none["sp_missing"], none["joint_em"]) == (0.0, 1, 1, 0.0)


def test_facts_are_compared_as_sets() -> None:
    assert fact_match([("A", 0), ("A", 0)], [("A", 0)]) == Match(1.0, 1.0, 1.0, 1.0)
    assert fact_match([("A", 0), ("B", 1)], [("A", 0), ("C", 0), ("D", 0)]) == Match(0.0, pytest.approx(0.4), 0.5, pytest.approx(1 / 3))
    assert fact_match([], [("A", 0)]) == Match(0.0, 0.0, 0.0, 0.0)
    assert joint_match(Match(1.0, 1.0, 1.0, 1.0), Match(0.0, 0.4, 0.5, 1 / 3)) == Match(0.0, pytest.approx(0.4), 0.5, pytest.approx(1 / 3))


def test_evaluations_that_make_no_sense_are_refused() -> None:
    gold = [{"_id": "q", "answer": "a", "supporting_facts": [["A", 0]]}]
    with pytest.raises(InputError, match="evaluation needs gold questions, got none"):
        evaluate_predictions({"q": "a"}, [])
    with pytest.raises(InputError, match="the prediction of question q must be text, got NoneType"):
        evaluate_predictions({"q": None}, gold)
    for facts in (None, 3, "A0"):
        with pytest.raises(InputError, match=r"the facts predicted for question q must be a list of \[title, sentence index\] pairs"):
            evaluate_predictions({}, gold, {"q": facts})
    for lacking in ("_id", "answer", "supporting_facts"):
        item = {name: value for name, value in gold[0].items() if name != lacking}
        with pytest.raises(InputError, match=f"gold question 1 has no field '{lacking}'; give items of the official layout"):
            evaluate_predictions({}, [gold[0], item], {"q": []})
    evaluate_predictions({}, [{"_id": "q", "answer": "a"}])  # without predicted facts no gold ones are needed


def test_facts_are_compared_as_they_are_given() -> None:
    gold = [{"_id": "q", "answer": "a", "supporting_facts": [["T", 1]]}]
    for right in ([["T", 1]], [("T", 1)], [["T", 1.0]], [["T", True]], [["T", 1], ["T", 1]]):
        assert evaluate_predictions({}, gold, {"q": right})["sp_em"] == 1.0, right
    for wrong in ([["T", "1"]], [["T", 1.9]], ["T1"], [[1, "T"]], [["T", 1, 2]], [["T"]], [["T", [1]]], [{"T": 1}], [3], [None]):
        found = evaluate_predictions({}, gold, {"q": wrong})
        assert (found["sp_em"], found["sp_f1"], found["sp_recall"]) == (0.0, 0.0, 0.0), wrong
        half = evaluate_predictions({}, gold, {"q": [["T", 1], *wrong]})
        assert (half["sp_em"], half["sp_precision"], half["sp_recall"]) == (0.0, 0.5, 1.0), wrong
    text = [{"_id": "q", "answer": "a", "supporting_facts": [["T", "1"]]}]
    assert evaluate_predictions({}, text, {"q": [["T", 1]]})["sp_em"] == 0.0
    assert evaluate_predictions({}, text, {"q": ["T1"]})["sp_em"] == 1.0  # so has it the official script: tuple("T1")


@pytest.mark.parametrize("seed", range(5))
def test_odd_facts_count_as_in_the_official_script(seed: int) -> None:
    rng = random.Random(1000 + seed)
    entries = [["T", 1], ["T", "1"], ["T", 1.0], ["T", 1.9], ["T", True], "T1", "", [], ["T"], ["T", 1, 1], {"T": 0, "x": 1}, [None, 1]]
    for _ in range(200):
        prediction, gold = ([rng.choice(entries) for _ in range(rng.randint(low, 4))] for low in (0, 1))
        em, precision, recall = official_facts(prediction, gold)
        found = evaluate_predictions({}, [{"_id": "q", "answer": "a", "supporting_facts": gold}], {"q": prediction})
        assert (found["sp_em"], found["sp_precision"], found["sp_recall"]) == pytest.approx((em, precision, recall))

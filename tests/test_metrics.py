"""Metrics against the official rules written down a second time, step by step and without regular expressions."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechdyn.errors import InputError
from mechdyn.metrics import answer_match, contains_answer, exact_match, extract_answer, f1, normalize_answer, rouge_l
from mechdyn.tasks.task import answer_quality, is_correct, metric_names, primary_metric
from mechdyn.tasks.world import make_world

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
ADVERSARIAL = [
    "",
    " ",
    "the",
    "The the THE",
    "a.b.",
    "an-apple",
    "the-cat sat",
    "yes",
    "Yes.",
    "no",
    "No, it is not",
    "noanswer",
    "no answer",
    "yes yes",
    "A",
    "a yes",
    "Beyoncé Knowles",
    "Beyonce\u0301 Knowles",
    "İstanbul",
    "ſtraße",
    "“the” quoted",
    "theatre a la carte",
    "U.S.A.",
    "usa",
    "3,5 %",
    "35",
    "a_b",
    "tab\tand\u00a0nbsp\u2003em",
    "a\u00a0the\u00a0an",
    "\u200bthe\u200b",
    "an\u0301 article with an accent",
    "the\u0661 digit",
    "word word word",
    "word",
    "中文 答案",
    "–dash–the–dash–",
]


def oracle_words(text: str) -> list[str]:
    """Lower-case; drop ASCII punctuation; a, an, the standing as whole words become spaces; split at white space."""
    kept = [character for character in text.lower() if character not in PUNCTUATION]
    pieces, word = [], ""
    for character in [*kept, " "]:
        if character.isalnum() or character == "_":
            word += character
        else:
            pieces += [" " if word in ("a", "an", "the") else word, character]
            word = ""
    return "".join(pieces).split()


def oracle_em(prediction: str, answer: str) -> float:
    return 1.0 if oracle_words(prediction) == oracle_words(answer) else 0.0


def oracle_f1(prediction: str, answer: str) -> float:
    predicted, gold = oracle_words(prediction), oracle_words(answer)
    for side, other in ((predicted, gold), (gold, predicted)):
        if side in (["yes"], ["no"], ["noanswer"]) and side != other:
            return 0.0
    left, shared = list(gold), 0
    for word in predicted:
        if word in left:
            left.remove(word)
            shared += 1
    return 2 * shared / (len(predicted) + len(gold)) if shared else 0.0


@pytest.mark.parametrize("prediction", ADVERSARIAL)
def test_adversarial_strings(prediction: str) -> None:
    assert normalize_answer(prediction) == " ".join(oracle_words(prediction))
    for answer in ADVERSARIAL:
        assert exact_match(prediction, answer) == oracle_em(prediction, answer)
        assert f1(prediction, answer) == pytest.approx(oracle_f1(prediction, answer), abs=1e-12)


_LETTERS = st.sampled_from(["a", "an", "the", "yes", "no", "b", "B", " ", ".", "-", "_", "é", "\u00a0", "7", "The", "noanswer", "”"])
_TEXTS = st.lists(_LETTERS, max_size=8).map("".join)


@settings(max_examples=150, deadline=None)
@given(_TEXTS, _TEXTS)
def test_generated_strings(prediction: str, answer: str) -> None:
    assert exact_match(prediction, answer) == oracle_em(prediction, answer)
    assert f1(prediction, answer) == pytest.approx(oracle_f1(prediction, answer), abs=1e-12)
    assert f1(prediction, answer) == pytest.approx(f1(answer, prediction), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12))
def test_any_unicode(prediction: str, answer: str) -> None:
    assert normalize_answer(prediction) == " ".join(oracle_words(prediction))
    assert exact_match(prediction, answer) == oracle_em(prediction, answer)
    assert exact_match(prediction, prediction) == 1.0
    assert f1(prediction, prediction) == (1.0 if normalize_answer(prediction) else 0.0)


@pytest.mark.parametrize(
    ("prediction", "answer", "em", "quality"),
    [
        ("The Cat.", "cat", 1, 1),
        ("", "", 1, 0),
        ("the", "", 1, 0),
        ("yes", "yes it is", 0, 0),
        ("it is no", "no", 0, 0),
        ("a b c", "b c d", 0, 0.8),
        ("b b b", "b", 0, 0.5),
    ],
)
def test_cases_by_hand(prediction: str, answer: str, em: float, quality: float) -> None:
    assert exact_match(prediction, answer) == em
    assert f1(prediction, answer) == pytest.approx(quality)


def test_precision_and_recall_are_of_normalised_words() -> None:
    match = answer_match("the big red house, maybe", "A red house")
    assert (match.em, match.precision, match.recall) == (0.0, 2 / 4, 1.0)
    assert match.f1 == pytest.approx(2 / 3)
    assert answer_match("no", "no it is") == (0.0, 0.0, 0.0, 0.0)
    assert answer_match("yes", "Yes.") == (1.0, 1.0, 1.0, 1.0)


def test_accuracy_wants_every_character() -> None:
    value = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
    assert contains_answer(f"The magic word is {value}.", value) == 1.0
    assert contains_answer(value.upper(), value) == 0.0
    assert contains_answer(value[:-1] + "e", value) == 0.0
    assert contains_answer("", value) == 0.0
    with pytest.raises(InputError, match="accuracy needs an answer to look for"):
        contains_answer("anything", "")


def oracle_rouge_l(text: str, answer: str) -> float:
    """Longest common subsequence of alphanumeric words by the textbook recursion."""
    left, right = (["".join(word) for word in _ascii_words(side)] for side in (text, answer))
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, word in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if word == other else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    return 2 * common / (len(left) + len(right)) if common else 0.0


def _ascii_words(text: str) -> list[str]:
    return "".join(character if character.isascii() and character.isalnum() else " " for character in text.lower()).split()


def test_rouge_l_is_the_longest_common_subsequence() -> None:
    rng = random.Random(1)
    words = ["aa", "bb", "Cc", "d1", "-", "ee."]
    for _ in range(100):
        text, answer = (" ".join(rng.choices(words, k=rng.randint(0, 9))) for _ in range(2))
        assert rouge_l(text, answer) == pytest.approx(oracle_rouge_l(text, answer))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The teacher of Bo is Di Lo. So the answer is Di Lo.", "Di Lo"),
        ("So the answer is: yes", "yes"),
        ("Therefore, the answer is 3.5.", "3.5"),
        ("THE ANSWER IS\nSt. Louis.\nThank you.", "St. Louis"),
        ("The answer is Bo. No: so the answer is Di.", "Di"),
        ("So the answer is Bo. So the answer is", "Bo"),
        ("So the answer is Bo. So the answer is Bo. So the answer is Bo.", "Bo"),
        ("So the answer is", ""),
        ("So the answer isn't known.", "So the answer isn't known."),
        (" Paris.\n", "Paris."),
        ("", ""),
    ],
)
def test_answers_of_rationales(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


def test_the_answer_of_every_rationale_of_the_world_is_found() -> None:
    for chain in make_world(random.Random(0), 50).chains:
        assert extract_answer(chain.rationale) == chain.answer


@pytest.mark.parametrize(
    ("task", "names", "primary"),
    [("niah", ("accuracy", "rouge_l"), "accuracy"), ("hotpotqa", ("em", "f1"), "f1"), ("world", ("em", "f1"), "f1")],
)
def test_quality_has_the_metrics_of_the_task(task: str, names: tuple[str, ...], primary: str) -> None:
    quality = answer_quality(task, "So the answer is Di Lo.", "Di Lo")
    assert tuple(quality) == names == metric_names(task)
    assert primary_metric(task) == primary
    assert quality[primary] == 1.0
    assert is_correct(task, "So the answer is Di Lo.", "Di Lo")
    assert not is_correct(task, "So the answer is Di.", "Di Lo")


def test_questions_are_judged_on_the_answer_alone() -> None:
    assert answer_quality("world", "Di Lo is here. So the answer is Bo.", "Di Lo") == {"em": 0.0, "f1": 0.0}


def test_a_task_without_metrics_is_refused() -> None:
    calls: list[Any] = [lambda: answer_quality("sums", "x", "x"), lambda: primary_metric("sums"), lambda: is_correct("sums", "x", "x")]
    for call in calls:
        with pytest.raises(InputError, match=r"unknown task 'sums'; give one of citations, .*, world"):
            call()

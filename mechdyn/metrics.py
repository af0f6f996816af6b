"""How good an answer is: accuracy and ROUGE-L for needles, the official HotpotQA exact match and F1 for questions.

Every metric of one answer is a float in [0, 1], 1 the best (docs/definitions.md, "Needles" and "Questions").
"""

import re
import string
from collections import Counter
from functools import cache
from typing import Any, NamedTuple

from mechdyn.errors import InputError

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_CLOSED_ANSWERS = frozenset({"yes", "no", "noanswer"})
_ANSWER_MARK = re.compile(r"(?:\b(?:so|thus|hence|therefore),?\s+)?\bthe answer is\b\s*:?", re.IGNORECASE)


def normalize_answer(text: str) -> str:
    """Lower-case, without ASCII punctuation, the words a, an and the made spaces, white space squeezed; in this order.

    Source: `hotpot_evaluate_v1.py` of Yang et al. 2018. Punctuation goes before the articles: "a.b" is the word "ab".
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> float:
    """1 where both texts are the same after `normalize_answer`, else 0 (official HotpotQA EM)."""
    return float(normalize_answer(prediction) == normalize_answer(answer))


def f1(prediction: str, answer: str) -> float:
    """Harmonic mean of precision and recall on the multisets of normalised words (official HotpotQA F1).

    0 where either side is "yes", "no" or "noanswer" and they differ, and where no word is shared; so two empty texts have F1 0 although
    their EM is 1, as in the official script.
    """
    return answer_match(prediction, answer).f1


class Match(NamedTuple):
    """How a prediction and the gold one agree, as the official HotpotQA evaluation counts it; each in [0, 1]."""

    em: float
    f1: float
    precision: float
    recall: float

    @classmethod
    def of(cls, em: float, precision: float, recall: float) -> "Match":
        """F1 from precision and recall; 0 where both are 0."""
        total = precision + recall
        return cls(em, 2 * precision * recall / total if total else 0.0, precision, recall)


def answer_match(prediction: str, answer: str) -> Match:
    """EM, F1, precision and recall of an answer; precision and recall are 0 wherever F1 is, see `f1`."""
    predicted, gold = normalize_answer(prediction), normalize_answer(answer)
    same = float(predicted == gold)
    if predicted != gold and _CLOSED_ANSWERS & {predicted, gold}:
        return Match.of(same, 0.0, 0.0)
    predicted_words, gold_words = predicted.split(), gold.split()
    shared = (Counter(predicted_words) & Counter(gold_words)).total()
    if not shared:
        return Match.of(same, 0.0, 0.0)
    return Match.of(same, shared / len(predicted_words), shared / len(gold_words))


def contains_answer(text: str, answer: str) -> float:
    """1 where `text` holds `answer` character by character, else 0: the accuracy of the needle task (paper, A.1)."""
    if not answer:
        raise InputError("accuracy needs an answer to look for, got an empty one; every text contains it")
    return float(answer in text)


def rouge_l(text: str, answer: str) -> float:
    """ROUGE-L F-measure of `text` against `answer`: longest common subsequence of lower-cased alphanumeric words, no stemming.

    Computed by the rouge-score package. A UUID counts as five words there, since its hyphens part words.
    """
    return float(_rouge_scorer("rougeL", stemmed=False).score(answer, text)["rougeL"].fmeasure)


def rouge_1_recall(text: str, reference: str) -> float:
    """The share of the reference's words that the text has, each as often as it has it: ROUGE-1 recall, words stemmed (Porter).

    Computed by the rouge-score package, as Wu et al. 2024 and those who follow them accept samples. NaN where the reference has no word.
    """
    if not any(letter.isascii() and letter.isalnum() for letter in reference):
        return float("nan")
    return float(_rouge_scorer("rouge1", stemmed=True).score(reference, text)["rouge1"].recall)


def extract_answer(text: str) -> str:
    """The answer that ends a short rationale: what stands behind the last "the answer is", to the end of its line, without the full stop.

    A mark with nothing behind it (generation cut off) is passed over for the one before it; where none has anything, the answer is
    empty. A text without the mark is taken whole: a direct answer, or a rationale that never came to its answer.
    """
    reasoning, *pieces = _ANSWER_MARK.split(text)
    if not pieces:
        return reasoning.strip()
    answers = (piece.strip().partition("\n")[0].strip().removesuffix(".").strip() for piece in reversed(pieces))
    return next((answer for answer in answers if answer), "")


@cache
def _rouge_scorer(kind: str, *, stemmed: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # pulls in nltk: a second, paid only where ROUGE is asked for

    return RougeScorer([kind], use_stemmer=stemmed)

"""The official HotpotQA evaluation: answers, supporting facts and both together, over a whole prediction file.

Source: `hotpot_evaluate_v1.py` of Yang et al. 2018. Supporting facts are compared as sets of (title, sentence index), as given: "1"
is not 1. Joint precision and recall are the products of the answer's and the facts', joint EM is 1 where both are.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mechdyn.errors import InputError
from mechdyn.metrics import Match, answer_match, normalize_answer

Fact = tuple[str, int]
"""A sentence of the context: its paragraph's title and its index, from 0."""


def fact_match(predicted: Iterable[Any], gold: Iterable[Any]) -> Match:
    """Predicted against gold supporting facts (`Fact`), repeats counting once; precision and recall of an empty side are 0."""
    ours, theirs = set(predicted), set(gold)
    shared = len(ours & theirs)
    return Match.of(float(ours == theirs), shared / len(ours) if ours else 0.0, shared / len(theirs) if theirs else 0.0)


def joint_match(answer: Match, facts: Match) -> Match:
    """Answer and supporting facts together."""
    return Match.of(answer.em * facts.em, answer.precision * facts.precision, answer.recall * facts.recall)


def evaluate_predictions(
    answers: Mapping[str, Any], gold: Sequence[Mapping[str, Any]], facts: Mapping[str, Any] | None = None
) -> dict[str, float | int]:
    """The official evaluation of a whole prediction file, every mean over *all* gold questions.

    Args:
        answers: question id to answer, the `"answer"` part of an official prediction file. Ids that gold lacks are ignored.
        gold: items with `_id` and `answer`, and with `supporting_facts` where `facts` are given.
        facts: question id to [title, sentence index] pairs, the `"sp"` part of the file. An entry that is no such pair is a wrong fact,
            also where the official script stops at it.

    Returns:
        `em`, `f1`, `precision`, `recall` in [0, 1]; `n`, the gold questions; `missing`, those of them without an answer, which count 0 in
        every mean. With `facts` the same of supporting facts (`sp_em` ..., `sp_missing`) and jointly (`joint_em` ...): a question
        without either part counts 0 there.

    Raises:
        InputError: no gold questions, a gold question that lacks a field, an answer that is not text, or facts that are not a list.
    """
    if not gold:
        raise InputError("evaluation needs gold questions, got none; a mean over nothing is undefined")
    _check_gold(gold, ("_id", "answer") if facts is None else ("_id", "answer", "supporting_facts"))
    matched = [_answer(answers, item) for item in gold]
    found = _means("", matched, len(gold)) | {"n": len(gold), "missing": matched.count(None)}
    if facts is None:
        return found
    supported = [_facts(facts, item) for item in gold]
    joint = [joint_match(answer, fact) if answer and fact else None for answer, fact in zip(matched, supported, strict=True)]
    return found | _means("sp_", supported, len(gold)) | {"sp_missing": supported.count(None)} | _means("joint_", joint, len(gold))


def _answer(answers: Mapping[str, Any], item: Mapping[str, Any]) -> Match | None:
    name = item["_id"]
    if name not in answers:
        return None
    if not isinstance(answers[name], str):
        raise InputError(
            f"the prediction of question {name} must be text, got {type(answers[name]).__name__}; leave unanswered questions out"
        )
    return answer_match(answers[name], item["answer"])


def _facts(facts: Mapping[str, Any], item: Mapping[str, Any]) -> Match | None:
    name = item["_id"]
    if name not in facts:
        return None
    predicted = _as_given(facts[name], f"the facts predicted for question {name}")
    return fact_match(predicted, _as_given(item["supporting_facts"], f"the supporting facts of question {name}"))


def _as_given(facts: Any, what: str) -> list[Any]:
    """Each entry as the official script compares it, `tuple(entry)`; one that it cannot compare is equal to nothing but itself."""
    if isinstance(facts, str) or not isinstance(facts, Iterable):
        raise InputError(f"{what} must be a list of [title, sentence index] pairs, got {type(facts).__name__}; give [] for none")
    return [_comparable(entry) for entry in facts]


def _comparable(entry: Any) -> Any:
    try:
        pair = tuple(entry)
        hash(pair)
    except TypeError:
        return object()
    return pair


def _check_gold(gold: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> None:
    for number, item in enumerate(gold):
        missing = [field for field in fields if not isinstance(item, Mapping) or field not in item]
        if missing:
            raise InputError(
                f"gold question {number} has no field {missing[0]!r}; give items of the official layout with {', '.join(fields)}, "
                "as read_items reads them"
            )


def _means(prefix: str, matches: Sequence[Match | None], n: int) -> dict[str, float | int]:
    known = [match for match in matches if match is not None]
    return {f"{prefix}{name}": sum(getattr(match, name) for match in known) / n for name in Match._fields}


def quoted_sentences(text: str, context: Sequence[Sequence[Any]]) -> list[Fact]:
    """The sentences of `context` that stand in `text` word for word, in the order of the context.

    Words are compared as the official answer metrics normalise them (case, ASCII punctuation, articles and white space aside), HTML
    entities resolved. A sentence that stands there only inside a longer one that is quoted is not; one that several paragraphs have
    counts in each, since the text cannot tell which was meant; one without a word is never quoted.
    """
    said, taken = f" {_words(text)} ", list[range]()
    sentences = {(title, index): _words(sentence) for title, sentences in context for index, sentence in enumerate(sentences)}
    quoted = set()
    for words in sorted(set(sentences.values()) - {""}, key=lambda words: (-len(words), words)):
        places = [place for place in _places(said, f" {words} ") if not any(_within(place, other) for other in taken)]
        if places:
            quoted.add(words)
            taken += places
    return [fact for fact, words in sentences.items() if words in quoted]


def _words(text: str) -> str:
    return normalize_answer(html.unescape(text))


def _places(text: str, wanted: str) -> list[range]:
    places, start = [], text.find(wanted)
    while start >= 0:
        places.append(range(start, start + len(wanted)))
        start = text.find(wanted, start + 1)
    return places


def _within(inner: range, outer: range) -> bool:
    return outer.start <= inner.start and inner.stop <= outer.stop


def answer_stands_in(answer: str, sentences: Sequence[str]) -> bool:
    """Whether the answer stands in any of the sentences, word for word as above; an answer such as yes or no as a rule does not."""
    words = _words(answer)
    return bool(words) and any(f" {words} " in f" {_words(sentence)} " for sentence in sentences)

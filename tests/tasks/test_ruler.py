"""RULER's needles: the published words, what is asked, what lies beside it."""

import re

import pytest

from mechdyn.tasks.ruler import REPEATED, Ruler
from mechdyn.tasks.variable_tracking import VariableTracking
from tests.tokenizers import tokenizer_styles

SENTENCE = re.compile(r"One of the special magic (\w+) for (\S+) is: ([\w-]+)\.")


def prompt_of(**options):
    return Ruler(**options).sample(tokenizer_styles()["byte_bpe_plain"], length=900, depth=0.5, seed=11)


def test_one_answer_is_asked_for_in_the_published_words() -> None:
    sample = prompt_of()
    (key,) = {key for _, key, value in SENTENCE.findall(sample.prompt) if value == sample.answer}
    context = sample.prompt[slice(*sample.context_span)]
    assert sample.prompt == (
        "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you about the number "
        "afterwards.\n"
        f"{context}\nWhat is the special magic number for {key} mentioned in the provided text? "
        f"The special magic number for {key} mentioned in the provided text is"
    )
    assert sample.question == f"What is the special magic number for {key} mentioned in the provided text?"


def test_several_answers_are_asked_for_in_the_published_words() -> None:
    sample = prompt_of(variant="multiquery", n=3, values="uuids")
    asked = [key for value in sample.answer.split(", ") for _, key, found in SENTENCE.findall(sample.prompt) if found == value]
    query = f"{asked[0]}, {asked[1]}, and {asked[2]}"
    assert sample.prompt.startswith("Some special magic uuids are hidden within the following text.")
    assert sample.prompt.endswith(
        f"\nWhat are all the special magic uuids for {query} mentioned in the provided text? "
        f"The special magic uuids for {query} mentioned in the provided text are"
    )


@pytest.mark.parametrize(("variant", "n_facts", "n_others", "keys"), [("single", 1, 0, 1), ("multikey", 1, 4, 5), ("multivalue", 5, 0, 1)])
def test_variants_have_their_needles(variant: str, n_facts: int, n_others: int, keys: int) -> None:
    sample = prompt_of(variant=variant, n=5)
    found = SENTENCE.findall(sample.prompt)
    assert len(found) == n_facts + n_others and len({key for _, key, _ in found}) == keys
    assert len(sample.needle_spans) == len(sample.meta["fact_tokens"]) == n_facts
    assert len(sample.meta["distractor_tokens"]) == len(sample.meta["distractors"]) == n_others
    assert [list(each[1:]) for each in found if each[2] not in sample.answer] == sorted(
        sample.meta["distractors"], key=lambda other: sample.prompt.index(f"{other[0]} is: ")
    )


def test_fillers() -> None:
    lines = prompt_of(filler="repeat").prompt.split("\n")
    assert lines.count(REPEATED) > 10
    sample = prompt_of(variant="single", filler="needles")
    found = SENTENCE.findall(sample.prompt)
    assert len(found) > 15 and sum(value == sample.answer for _, _, value in found) == 1
    key = next(key for _, key, value in found if value == sample.answer)
    assert sum(other == key for _, other, _ in found) == 1


def test_chains_of_variables_can_be_followed_and_are_in_order() -> None:
    task = VariableTracking(chains=3, hops=5)
    for seed in range(5):
        sample = task.sample(tokenizer_styles()["mini"], length=900, seed=seed)
        values = {}
        for name, source in re.findall(r"VAR ([A-Z]{5}) = (?:VAR )?([A-Z]{5}|\d{5})", sample.prompt):
            assert name not in values
            values[name] = values.get(source, source)
        asked = re.search(r"assigned the value (\d{5}) in the text above", sample.prompt)[1]
        assert [name for name, value in values.items() if value == asked] == sample.answer.split(", ")
        assert len(set(values.values())) == 3 and all(value.isdigit() for value in values.values())
        assert len(sample.needle_spans) == 6 and len(sample.meta["distractor_tokens"]) == 12
        assert list(sample.needle_spans) == sorted(sample.needle_spans)
        assert "6 variables are assigned the value" in sample.prompt


def test_precision_counts_the_variables_that_are_named_besides() -> None:
    quality = VariableTracking.quality
    assert quality("ABCDE and FGHIJ", "ABCDE, FGHIJ") == {"recall": 1.0, "precision": 1.0, "accuracy": 1.0}
    assert quality("ABCDE FGHIJ QQQQQ", "ABCDE, FGHIJ") == {"recall": 1.0, "precision": 2 / 3, "accuracy": 0.0}
    assert quality("ABCDE XXXXX", "ABCDE, FGHIJ") == {"recall": 0.5, "precision": 0.5, "accuracy": 0.0}
    assert quality("none", "ABCDE, FGHIJ") == {"recall": 0.0, "precision": 0.0, "accuracy": 0.0}
    assert not VariableTracking.is_correct("ABCDE FGHIJ QQQQQ", "ABCDE, FGHIJ")

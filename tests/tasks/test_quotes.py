"""Which sentences a rationale quotes, on cases by hand, on rationales of the world, and on made-up texts put together from sentences."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechdyn.tasks.hotpot_evaluation import answer_stands_in, quoted_sentences
from mechdyn.tasks.world import hotpot_item, make_world

CONTEXT = [
    ["Wren Mill", ["Ada Lunt founded Wren Mill.", " It is red.", ""]],
    ["Ada Lunt", ["She was born in Ashford.", " It is red.", " Ada Lunt founded Wren Mill. It is red and old."]],
    ["R&amp;B", [" R&amp;B is “quoted”.", "The", "Ashford"]],
]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("Ada Lunt founded Wren Mill. So the answer is Ada.", [("Wren Mill", 0)]),
        ("ada lunt founded a wren mill", [("Wren Mill", 0)]),
        ("Ada Lunt founded", []),
        ("It is red.", [("Wren Mill", 1), ("Ada Lunt", 1)]),
        ("Ada Lunt founded Wren Mill. It is red and old.", [("Ada Lunt", 2)]),
        ("Ada Lunt founded Wren Mill. It is red and old. It is red.", [("Wren Mill", 1), ("Ada Lunt", 1), ("Ada Lunt", 2)]),
        ("R&B is “quoted”", [("R&amp;B", 0)]),
        ("R&amp;B is “quoted”.", [("R&amp;B", 0)]),
        ("She was born in Ashford", [("Ada Lunt", 0)]),
        ("So the answer is Ashford.", [("R&amp;B", 2)]),
        ("Misashford", []),
        ("", []),
        ("the", []),
    ],
)
def test_cases_by_hand(text: str, quoted: list[tuple[str, int]]) -> None:
    assert quoted_sentences(text, CONTEXT) == quoted


@pytest.mark.parametrize("seed", range(10))
def test_rationales_of_the_world_quote_their_two_facts(seed: int) -> None:
    rng = random.Random(seed)
    made = make_world(rng, 4)
    for chain in made.chains:
        item = hotpot_item(made, chain, "x")
        facts = {(title, index) for title, index in item["supporting_facts"]}
        assert set(quoted_sentences(chain.rationale, item["context"])) == facts
        assert quoted_sentences(f"So the answer is {chain.answer}.", item["context"]) == []
        assert answer_stands_in(chain.answer, chain.facts[1:]) and not answer_stands_in(chain.answer, chain.facts[:1])


WORDS = st.sampled_from("one two three four five six".split())
SENTENCES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=6), st.lists(WORDS, max_size=12).map(" ".join))
def test_what_is_quoted_stands_there_and_the_longest_sentence_that_does_is_quoted(sentences: list[str], text: str) -> None:
    found = {index for _, index in quoted_sentences(text, [["T", sentences]])}
    padded = f" {text} "
    inside = {index for index, sentence in enumerate(sentences) if f" {sentence} " in padded}
    assert found <= inside
    longest = max((len(sentences[index]) for index in inside), default=0)
    assert {index for index in inside if len(sentences[index]) == longest} <= found
    for index in inside - found:
        assert any(f" {sentences[index]} " in f" {sentences[other]} " for other in found)


@pytest.mark.parametrize(
    ("answer", "sentences", "stands"),
    [("Ashford", ["Born in ashford, 1900."], True), ("Ash", ["Born in Ashford."], False), ("yes", ["No."], False), ("the", ["the"], False)],
)
def test_an_answer_stands_in_a_sentence_word_for_word(answer: str, sentences: list[str], stands: bool) -> None:
    assert answer_stands_in(answer, sentences) is stands

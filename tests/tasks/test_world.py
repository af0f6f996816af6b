"""The procedural world: what its questions promise."""

import random
import re

import pytest

from mechdyn.tasks.hotpot_items import check_item
from mechdyn.tasks.questions import context_text
from mechdyn.tasks.world import make_world, world_items


@pytest.mark.parametrize("seed", range(10))
def test_every_question_has_one_answer_through_two_facts(seed: int) -> None:
    """The answer is found by following the question's words through the text, and only there."""
    world = make_world(random.Random(seed), 8)
    sentences = [sentence for _, paragraph in world.paragraphs for sentence in paragraph]
    for chain in world.chains:
        asked, relation, place = re.fullmatch(r"(?:Who|What) is the (\w+) of the (\w+) of (.+)\?", chain.question).groups()
        (person,) = [
            found[1] for found in (re.fullmatch(rf"The {relation} of {place} is (.+)\.", sentence) for sentence in sentences) if found
        ]
        (answer,) = [
            found[1] for found in (re.fullmatch(rf"The {asked} of {person} is (.+)\.", sentence) for sentence in sentences) if found
        ]
        assert answer == chain.answer
        assert person not in chain.question
        assert chain.rationale == f"{chain.facts[0]} {chain.facts[1]} So the answer is {answer}."


def test_titles_differ_and_answers_are_no_titles() -> None:
    world = make_world(random.Random(1), 40)
    titles = [title for title, _ in world.paragraphs]
    assert len(titles) == len(set(titles)) == 80
    assert not {chain.answer for chain in world.chains} & set(titles)


def test_items_are_of_the_official_layout() -> None:
    items = world_items(20, seed=4, n_chains=5)
    assert len({item["_id"] for item in items}) == 20
    for item in items:
        check_item(item)
        assert len(item["context"]) == 10
        sentences_of = dict(item["context"])
        facts = [sentences_of[title][index].strip() for title, index in item["supporting_facts"]]
        assert len(facts) == 2
        assert item["answer"] in facts[1]
        for sentences in sentences_of.values():
            assert not sentences[0].startswith(" ")
            assert all(sentence.startswith(" ") for sentence in sentences[1:])


def test_items_and_worlds_read_alike() -> None:
    (item,) = world_items(1, seed=2, n_chains=3)
    world = make_world(random.Random("world-2-0"), 3)
    assert context_text(item["context"]) == context_text(world.paragraphs)


def test_a_seed_gives_one_world() -> None:
    assert world_items(3, seed=1) == world_items(3, seed=1)
    assert world_items(3, seed=1) != world_items(3, seed=2)

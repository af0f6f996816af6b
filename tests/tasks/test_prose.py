"""Procedural prose."""

import random

from mechdyn.tasks import prose
from mechdyn.tasks.haystack import sentence_ends
from mechdyn.tasks.prose import procedural_prose, procedural_sentence


def test_prose_has_as_many_sentences_as_asked() -> None:
    for n_sentences in (0, 1, 7, 200):
        assert len(sentence_ends(procedural_prose(3, n_sentences))) == n_sentences


def test_a_seed_gives_one_text_and_another_seed_another() -> None:
    assert procedural_prose(1, 20) == procedural_prose(1, 20)
    assert procedural_prose(1, 20) != procedural_prose(2, 20)
    assert procedural_prose(1, 30).startswith(procedural_prose(1, 20))


def test_sentences_are_whole() -> None:
    rng = random.Random(0)
    for sentence in (procedural_sentence(rng) for _ in range(300)):
        assert sentence[0].isupper()
        assert sentence[-1] in ".?"
        assert "{" not in sentence
        assert sentence_ends(sentence) == [len(sentence)]
    assert len({procedural_sentence(random.Random(seed)) for seed in range(200)}) > 190


def test_words_are_drawn_as_python_draws_a_choice() -> None:
    """The prose of a seed has not changed since the first release, nor with it any sample."""
    for seed in range(50):
        rng, ours = random.Random(seed), random.Random(seed)
        drawn = [rng.choice(words) for words in prose._DRAWN]
        when, form, *parts = drawn
        assert procedural_sentence(ours) == form(*parts, when)
        assert rng.random() == ours.random()
    assert (
        procedural_prose(3, 2) == "A small mirror stood behind the tower. There was a curious library where the clerk found every ladder."
    )

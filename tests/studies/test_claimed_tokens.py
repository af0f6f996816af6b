"""Which token is the first wrong one: told by hand, and held against a comparison letter by letter of random answers."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from mechdyn.studies.claimed_tokens import (
    AGREES,
    AT_A_SIGN,
    DIGITS,
    HEX_LETTERS,
    MIXED,
    NOT_FOUND,
    NOT_PLACED,
    NOTHING,
    PARTLY,
    REFUSED,
    WORD,
    YES_OR_NO,
    ClaimedToken,
    claimed_tokens,
    token_spans,
)
from mechdyn.tasks.absence import NOT_GIVEN
from tests.views.made_up import made_up

UUID = "12ab34cd-9f4c-4bed-8bf7-7bf0a6351735"


def answered(texts, answer=UUID, task="niah", question="What is the magic word of the harbour?"):
    trace = made_up(torch.zeros(len(texts), 1, 1), texts, answer=answer, task=task, question=question)
    return claimed_tokens(trace)


def test_a_right_answer_is_right_throughout_and_its_lead_is_no_claim():
    found = answered(["The", " magic", " word", " is", " 12", "ab", "34cd", "-", "9f4c-4bed-8bf7-7bf0a6351735", "."])
    places = [(4, 0, DIGITS), (5, 1, HEX_LETTERS), (6, 2, MIXED), (8, 4, MIXED)]
    assert found.tokens == tuple(ClaimedToken(*place, False) for place in places)
    assert found.wrong_step is None and found.left_out == ""


@pytest.mark.parametrize(
    ("texts", "steps", "wrong", "left_out"),
    [
        (["The magic word", " is", " 12", "ab", "35", "cd"], [2, 3, 4], 4, ""),
        (["99", "ab"], [0], 0, ""),
        (["12", "ab34cd", "-", "-"], [0, 1], None, AT_A_SIGN),
        (["12", "ab34cd", "-", "9f4c"], [0, 1, 3], None, AGREES),
        (["The magic word is"], [], None, NOTHING),
        (["Harbour", ":", " 12", "ac"], [2, 3], 3, ""),
    ],
)
def test_a_wrong_answer_ends_where_it_departs(texts, steps, wrong, left_out):
    found = answered(texts)
    assert ([token.step for token in found.tokens], found.wrong_step, found.left_out) == (steps, wrong, left_out)


def test_where_nothing_is_to_be_found_the_first_content_token_is_wrong():
    found = answered(["The magic word is", " “", "12", "ab"], NOT_GIVEN, "decoys")
    assert found.tokens == (ClaimedToken(2, 0, DIGITS, True),)
    assert answered(["It is not", " given."], NOT_GIVEN, "decoys").left_out == REFUSED


def test_answers_of_questions():
    def asked(texts, answer):
        return answered(texts, answer, "hotpotqa", "Which series has a companion book?")

    right = asked(["The", " Anim", "orphs"], "Animorphs")
    assert [(token.step, token.kind, token.wrong) for token in right.tokens] == [(1, WORD, False), (2, WORD, False)]
    wrong = asked(["The series", " is", " Anim", "als"], "the Animorphs")
    assert [(token.step, token.wrong) for token in wrong.tokens] == [(2, False), (3, True)]
    assert asked(["The Animorphs", " books"], "Animorphs").left_out == PARTLY
    assert asked(["St", " Louis"], "St. Louis").left_out == NOT_FOUND
    assert asked(["no"], "yes").left_out == YES_OR_NO
    rationale = asked(["Paris", " is big. So the answer is:", " Rome", "."], "Oslo")
    assert [(token.step, token.wrong) for token in rationale.tokens] == [(2, True)]


def test_tokens_that_do_not_make_up_the_text_are_not_guessed():
    trace = made_up(torch.zeros(2, 1, 1), ["12", "\ufffd"], text="12é", answer=UUID)
    assert claimed_tokens(trace).left_out == NOT_PLACED
    assert claimed_tokens(replace(trace, text="12")).left_out == NOT_PLACED
    assert token_spans("a  bc", ["a", "b", "c"]) == ((0, 1), (3, 4), (4, 5))  # tokens of a vocabulary whose spaces decoding drops
    assert token_spans("a", ["a", " "]) == ((0, 1), (1, 1))


@pytest.mark.parametrize("seed", range(30))
def test_random_answers_depart_where_their_letters_do(seed):
    rng = random.Random(seed)
    text = "".join(rng.choice("ab12") if rng.random() < 0.15 else character for character in UUID)
    cuts = sorted({0, len(text), *rng.sample(range(1, len(text)), 12)})
    pieces = [text[start:end] for start, end in pairwise(cuts)]
    found = answered(pieces)
    first = next((place for place, pair in enumerate(zip(text, UUID, strict=True)) if pair[0] != pair[1]), None)
    if first is None:
        assert found.wrong_step is None and found.left_out == ""
        return
    step = next(step for step, (start, end) in enumerate(pairwise(cuts)) if start <= first < end)
    assert found.wrong_step == (step if any(character.isalnum() for character in pieces[step]) else None)
    assert all(token.step <= step for token in found.tokens)

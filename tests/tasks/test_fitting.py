"""Prompts of an exact length and pieces put into a text, against counting by brute force."""

import random

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.chat import Prompt
from mechdyn.tasks.fitting import Fitted, fit, fit_text, inserted, repeated
from mechdyn.tasks.haystack import last_sentence_end, sentence_ends
from mechdyn.tasks.pieces import Spelled
from mechdyn.tasks.prose import Prose, procedural_prose, procedural_sentence


def of_tokens(n: int) -> Fitted:
    """A prompt of which only the number of tokens matters."""
    return Fitted(Prompt.of("", Spelled([0] * n, [0] * 2 * n)), (), (0, 0))


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_prompt_that_fits_is_found(seed: int) -> None:
    rng = random.Random(seed)
    bare, steps = rng.randrange(5, 50), [rng.choice((0, 0, 1)) for _ in range(5000)]
    length = bare + rng.randrange(0, sum(steps) // 2)
    found = fit(lambda size: of_tokens(bare + sum(steps[:size])), length, guess=rng.randrange(1, 3000))
    assert len(found) == length


def test_a_length_that_cannot_be_met_is_not_exceeded() -> None:
    found = fit(lambda size: of_tokens(10 + 7 * size), 100, guess=3)
    assert len(found) == 94
    with pytest.raises(InputError, match="length 9 cannot hold two pairs: the prompt without more has 10 tokens"):
        fit(lambda size: of_tokens(10 + 7 * size), 9, guess=3, what="two pairs", missing="more")
    assert len(fit_text(lambda cut: of_tokens(len(cut.split())), "one two three", 50)) == 50


def test_a_text_is_repeated_to_a_size() -> None:
    assert repeated("abc", 9) == "abc abc a"
    assert repeated("abc", 2) == "ab"
    assert repeated("abc", 5, "\n") == "abc\na"


@pytest.mark.parametrize("seed", range(30))
def test_pieces_lie_behind_the_last_end_before_their_depth(seed: int) -> None:
    rng = random.Random(seed)
    text = procedural_prose(seed, rng.randrange(3, 20))
    depths = [rng.random() for _ in range(rng.randrange(1, 6))]
    pieces = [(f"<{'x' * rng.randrange(1, 9)}{number}>", depth) for number, depth in enumerate(depths)]
    whole, spans = inserted(text, pieces, last_sentence_end)
    assert [whole[start:end] for start, end in spans] == [piece for piece, _ in pieces]
    without = whole
    for piece, _ in pieces:
        without = without.replace(piece, "")
    assert " ".join(without.split()) == text
    for (piece, depth), (start, _) in zip(pieces, spans, strict=True):
        before = " ".join("".join(part for part in _without(whole[:start], pieces)).split())
        assert before == "" or before[-1] in ".!?"
        later = [end for end in sentence_ends(text) if end > len(before)]
        assert len(before) <= depth * len(text) + 1 and (not later or later[0] > depth * len(text) - 1), piece


def _without(text: str, pieces: list[tuple[str, float]]) -> str:
    for piece, _ in pieces:
        text = text.replace(piece, "")
    return text


def test_pieces_at_one_place_keep_their_order() -> None:
    whole, spans = inserted("One. Two.", [("B!", 0.5), ("A!", 0.5), ("C!", 0.0)], last_sentence_end)
    assert whole == "C! One. B! A! Two."
    assert [whole[start:end] for start, end in spans] == ["B!", "A!", "C!"]
    assert inserted("", [("A!", 1.0), ("B!", 0.0)], last_sentence_end)[0] == "A! B!"
    assert inserted("a\nb\n", [("X", 1.0)], lambda text, place: text.rfind("\n", 0, place), "\n") == ("a\nb\nX", [(4, 5)])


@pytest.mark.parametrize("seed", range(3))
def test_prose_is_written_as_far_as_a_prompt_asks_for(seed: int) -> None:
    """Against the whole text, where it is cut and where it is too short and repeated."""
    rng, drawn = random.Random(seed), random.Random(f"prose-{seed}")
    text = " ".join(procedural_sentence(drawn) for _ in range(30))
    for length in (rng.randrange(5, 200), rng.randrange(200, 2000)):
        found, expected = [], []
        for shown, filler in ((found, Prose(seed, 30)), (expected, text)):
            fit_text(lambda cut, shown=shown: shown.append(cut) or of_tokens(len(cut) // 4), filler, length)
        assert found == expected
        assert len(found) > 1

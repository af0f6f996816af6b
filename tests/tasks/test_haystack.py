"""Sentence ends."""

import pytest

from mechdyn.tasks.haystack import last_sentence_end, sentence_ends


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", []),
        ("no end", []),
        ("One.", [4]),
        ("One. Two!", [4, 9]),
        ("Really?! Yes.", [8, 13]),
        ('"Stop." He did.', [7, 15]),
        ("“Stop.” He did…", [7, 15]),
        ("(It was late.) Then dawn.", [14, 25]),
        ("It costs 3.5 euros.", [19]),
        ("Line one.\nLine two.\n\n", [9, 19]),
        ("Mr. Smith left.", [3, 15]),
    ],
)
def test_ends_lie_just_behind_the_sentence(text: str, ends: list[int]) -> None:
    assert sentence_ends(text) == ends


def test_pieces_between_ends_give_the_text_back() -> None:
    text = "A b. C d! “E?” F… (G.) "
    ends = sentence_ends(text)
    assert "".join(text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)) == text


@pytest.mark.parametrize("text", ["", "no end", "One. Two!", '"Stop." He. did…', "(Late.) Then?! 3.5 Mr. S.x Line.\n\n.", "...).) .a.”” ."])
def test_the_last_end_before_a_place_is_one_of_all_ends(text: str) -> None:
    for place in range(len(text) + 1):
        assert last_sentence_end(text, place) == max([0, *(end for end in sentence_ends(text) if end <= place)])

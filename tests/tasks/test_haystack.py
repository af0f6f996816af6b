"""Sentence ends."""

import pytest

from mechdyn.tasks.haystack import sentence_ends


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

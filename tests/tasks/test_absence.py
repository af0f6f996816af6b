"""Whether a text says that the context does not tell."""

import pytest

from mechdyn.tasks.absence import NOT_GIVEN, offered, says_absent

SAYS = (
    "not given",
    "Not given.",
    "The magic word of the harbour is not mentioned in the document.",
    "The document doesn't mention a magic word of the harbour.",
    "The text does not say.",
    "It is not explicitly stated.",
    "I cannot find a magic word of the harbour.",
    "I can’t determine that from the context.",
    "There is no magic word of the harbour.",
    "No magic word of the harbour is given.",
    "So the answer is unknown.",
    "I don't know.",
    "No information about that.",
    "The date of birth cannot be determined.",
)
SAYS_NOT = (
    "",
    "The magic word of the harbour is 0b710a4f-94f8-47a6-88cc-0dd70b7a1fc5.",
    "Ann Orr",
    "So the answer is Paris.",
    "Nobody in the village noticed the lantern.",
    "She gave the given name Noel, and Nottingham was found.",
)


@pytest.mark.parametrize("text", SAYS)
def test_sayings(text: str) -> None:
    assert says_absent(text)


@pytest.mark.parametrize("text", SAYS_NOT)
def test_other_texts(text: str) -> None:
    assert not says_absent(text)


def test_an_offer_is_a_saying() -> None:
    assert says_absent(NOT_GIVEN)
    assert offered("Be short.", False) == "Be short."
    assert offered("Be short.", True) == f'Be short. If the context does not say, answer "{NOT_GIVEN}".'

"""Questions that the context does not answer: how a model may say so, and whether a text does."""

import re

NOT_GIVEN = "not given"
"""The expected answer of a sample whose evidence is not there."""
OFFER = f'If the context does not say, answer "{NOT_GIVEN}".'
"""What an instruction adds where it offers that answer."""
_TOLD = "given|mentioned|stated|specified|provided|said|found|known|available|listed|included|present|there|contained|described"
_TELLS = "mention|say|state|specify|provide|contain|give|include|tell|list|describe|know|have|find"
_SAYINGS = (
    rf"\bnot (?:\w+ ){{0,2}}(?:{_TOLD})\b",
    rf"\b(?:do|does|did) not (?:\w+ )?(?:{_TELLS})\b",
    rf"\bno (?:\w+ ){{1,6}}(?:is|was|are|were|has been) (?:\w+ )?(?:{_TOLD})\b",
    r"\b(?:cannot|can not|could not|unable to|impossible to) (?:\w+ )?(?:find|answer|determine|tell|say)\b",
    r"\b(?:cannot|can not|could not) be (?:found|answered|determined|known)\b",
    r"\bno (?:such|mention|answer|information)\b|\bthere is no\b|\bunknown\b|\bunanswerable\b",
)
_SAYS_SO = re.compile("|".join(_SAYINGS))


def says_absent(text: str) -> bool:
    """Whether a text says that the context does not give what is asked.

    It does where it has one of these, capitals aside and with "n't" read as "not": *not given* (mentioned, stated, found, known …), *does
    not say* (mention, contain …), *no … is mentioned*, *cannot find* (answer, determine …), *there is no*, *no such*, *no information*,
    *unknown*, *unanswerable*. A rule by words: it takes "it is not known who owned the mill" for such a saying too, so hold a value that a
    text gives besides against it.
    """
    return _SAYS_SO.search(text.lower().replace("’", "'").replace("can't", "cannot").replace("n't", " not")) is not None


def offered(instruction: str, offer: bool) -> str:
    """An instruction, with the offer to say that the context does not tell where it is to be made."""
    return f"{instruction} {OFFER}" if offer else instruction

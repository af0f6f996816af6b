"""Which tokens of an answer claim something from the context, and which of them is the first that is wrong.

From the text alone: heads and probabilities have no say in what counts as wrong. A *content token* holds a letter or a digit and belongs to
the answer's value, not to the words that lead up to it. The value begins at the first word that neither stands in the question nor is one
of a few function words; of a rationale, behind "the answer is".

- Right answers (as the task counts them): the tokens over the first place where the expected answer stands, all right.
- Wrong answers: the value is held against the expected answer, letter by letter, capitals and white space aside. Tokens up to the first
  that departs are right, that one is wrong, what follows has no say.
- Expected answer "not given": the first content token is wrong, unless the text says that the context does not tell.

What cannot be placed has no token and says why (`ClaimReading.left_out`); it is counted, never guessed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mechdyn.metrics import extract_answer
from mechdyn.tasks.absence import NOT_GIVEN, says_absent
from mechdyn.tasks.sample import Span
from mechdyn.tasks.task import answer_quality, is_correct, primary_metric
from mechdyn.traces.trace import Trace

DIGITS, HEX_LETTERS, MIXED, WORD = "digits", "hex letters", "letters and digits", "word"
KINDS = (DIGITS, HEX_LETTERS, MIXED, WORD)
NOT_PLACED = "its tokens cannot be placed in its text"
REFUSED = "it says that the context does not tell"
NOTHING = "it claims nothing"
NOT_FOUND = "it counts as right and does not hold the expected answer as written"
PARTLY = "it is partly right"
AGREES = "it counts as wrong and departs nowhere from the expected answer"
AT_A_SIGN = "it departs where it writes neither letter nor digit"
YES_OR_NO = "the expected answer is yes or no, which the context does not hold"
_FUNCTION_WORDS = frozenset(
    "a an and answer are as at based be by called context did do does document for from given has have i in is it its mentioned named not "
    "of on or provided question says so stated text that the there this to was were which who with word you".split()
)
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_HEX = frozenset("abcdef")


@dataclass(frozen=True)
class ClaimedToken:
    """A content token: its step, its place in the value (0 the first token), its kind, and whether it is the first wrong one."""

    step: int
    place: int
    kind: str
    wrong: bool


@dataclass(frozen=True)
class ClaimReading:
    """The content tokens of one answer up to the first wrong one; `left_out` says why there is none, or no wrong one, where one is due."""

    tokens: tuple[ClaimedToken, ...] = ()
    left_out: str = ""

    @property
    def wrong_step(self) -> int | None:
        """The step of the first wrong token."""
        return next((token.step for token in self.tokens if token.wrong), None)


def claimed_tokens(trace: Trace) -> ClaimReading:
    """The content tokens of an answer, from its text, its expected answer and its question."""
    spans = token_spans(trace.text, trace.token_texts)
    if spans is None:
        return ClaimReading(left_out=NOT_PLACED)
    if trace.answer == NOT_GIVEN:
        return _of_absent(trace, spans)
    if trace.answer.strip().lower() in ("yes", "no"):
        return ClaimReading(left_out=YES_OR_NO)
    if is_correct(trace.task, trace.text, trace.answer):
        start = trace.text.lower().find(trace.answer.lower())
        if start < 0:
            return ClaimReading(left_out=NOT_FOUND)
        return ClaimReading(_content(trace.text, spans, (start, start + len(trace.answer)), _holds_digit(trace.answer)))
    if 0 < answer_quality(trace.task, trace.text, trace.answer)[primary_metric(trace.task)] < 1:
        return ClaimReading(left_out=PARTLY)
    return _of_wrong(trace, spans)


def token_spans(text: str, token_texts: Sequence[str]) -> tuple[Span, ...] | None:
    """The characters of `text` that each token covers, white space aside; None where the tokens, one behind the other, do not give it."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    spans, done = [], 0
    for token in token_texts:
        body = "".join(token.split())
        covered = places[done : done + len(body)]
        if "".join(text[place] for place in covered) != body:
            return None
        start = covered[0] if covered else (places[done] if done < len(places) else len(text))
        spans.append((start, covered[-1] + 1 if covered else start))
        done += len(body)
    return tuple(spans) if done == len(places) else None


def value_start(trace: Trace) -> int | None:
    """The character at which the value of an answer begins; None where it has none."""
    begun = max(0, trace.text.rfind(extract_answer(trace.text)))
    known = {match.group().lower() for match in _WORD.finditer(trace.question)} | _FUNCTION_WORDS
    words = _WORD.finditer(trace.text, begun)
    return next((match.start() for match in words if match.group().lower() not in known), None)


def _of_absent(trace: Trace, spans: Sequence[Span]) -> ClaimReading:
    """Whatever is claimed is wrong, from its first token on."""
    if is_correct(trace.task, trace.text, trace.answer) or says_absent(trace.text):
        return ClaimReading(left_out=REFUSED)
    start = value_start(trace)
    if start is None:
        return ClaimReading(left_out=NOTHING)
    value = trace.text[start:].split(maxsplit=1)[0]
    content = _content(trace.text, spans, (start, start + len(value)), _holds_digit(value))
    return ClaimReading(tuple(ClaimedToken(token.step, 0, token.kind, True) for token in content[:1]))


def _of_wrong(trace: Trace, spans: Sequence[Span]) -> ClaimReading:
    """Right tokens up to the first that departs from the expected answer, and that one."""
    start = value_start(trace)
    if start is None:
        return ClaimReading(left_out=NOTHING)
    expected = _squeezed(_without_lead(trace.answer))
    content = _content(trace.text, spans, (start, len(trace.text)), _holds_digit(trace.answer))
    by_step = {token.step: token for token in content}
    tokens: list[ClaimedToken] = []
    for step, (begin, end) in enumerate(spans):
        body = _squeezed(trace.text[max(begin, start) : end]) if end > start else ""
        if not body:
            continue
        agrees = expected.startswith(body)
        if not agrees and expected and body.startswith(expected):
            break
        if not agrees:
            wrong = by_step.get(step)
            if wrong is None:
                return ClaimReading(tuple(tokens), AT_A_SIGN)
            return ClaimReading((*tokens, ClaimedToken(wrong.step, wrong.place, wrong.kind, True)))
        if step in by_step:
            tokens.append(by_step[step])
        expected = expected[len(body) :]
        if not expected:
            break
    return ClaimReading(tuple(tokens), AGREES)


def _content(text: str, spans: Sequence[Span], value: Span, coded: bool) -> tuple[ClaimedToken, ...]:
    """The content tokens over some characters; `place` counts all of them, signs too."""
    start, end = value
    found = []
    over = [(step, text[max(start, first) : min(end, last)]) for step, (first, last) in enumerate(spans) if first < end and start < last]
    for place, (step, body) in enumerate(over):
        kind = token_kind(body, coded)
        if kind:
            found.append(ClaimedToken(step, place, kind, False))
    return tuple(found)


def token_kind(body: str, coded: bool) -> str:
    """The kind of a token's characters; `coded` where the value holds a digit, so that a to f count as hex. Empty for signs alone."""
    signs = [character for character in body.lower() if character.isalnum()]
    digits = [character.isdigit() for character in signs]
    if not signs:
        return ""
    if all(digits):
        return DIGITS
    if any(digits):
        return MIXED
    return HEX_LETTERS if coded and _HEX.issuperset(signs) else WORD


def _without_lead(answer: str) -> str:
    """An expected answer without the function words that it begins with, which a value does not have either."""
    words = _WORD.finditer(answer)
    return answer[next((match.start() for match in words if match.group().lower() not in _FUNCTION_WORDS), 0) :]


def _squeezed(text: str) -> str:
    return "".join(text.lower().split())


def _holds_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)

"""Rendering a system and a user text as the model expects them, and finding character spans in its tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Int

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.tasks.pieces import ALL_SORTS, Pieces, Spelled, whole
from mechdyn.tasks.sample import Sample, Span
from mechdyn.tensors import Tensor, torch

DATE = "26 Jul 2024"
"""The date that Llama 3's own template falls back on."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """A rendered prompt: its text, how many tokens it has and, read when they are asked for, their ids and the characters each covers."""

    text: str
    n_tokens: int
    _spell: Callable[[], Spelled]

    def __len__(self) -> int:
        return self.n_tokens

    @classmethod
    def of(cls, text: str, spelled: Spelled) -> "Prompt":
        """A prompt whose tokens are known."""
        return cls(text, len(spelled), lambda: spelled)

    @cached_property
    def _spelled(self) -> Spelled:
        return self._spell()

    @cached_property
    def tokens(self) -> Int[Tensor, " pos"]:
        """The ids."""
        return torch.from_numpy(np.array(self._spelled.ids, dtype=np.int64))

    @cached_property
    def offsets(self) -> tuple[Span, ...]:
        """The characters [start, end) of each token."""
        return tuple((start, end) for start, end in self._spelled.edges.tolist())

    def covering(self, span: Span) -> np.ndarray:
        """Input positions of the tokens that overlap a character span, ascending."""
        edges, (start, end) = self._spelled.edges, span
        return np.flatnonzero((edges[:, 0] < end) & (start < edges[:, 1]))


def render(tokenizer: Any, system: str | None, user: str, begun: str = "") -> Prompt:
    """System and user text through the tokenizer's chat template, tokenised once, without a second BOS.

    A tokenizer without a template (base models) gets plain text, `system`, `user` and `Answer:` apart by blank lines, with the special
    tokens it adds by itself. A template that refuses the system role gets both texts as the user's. Thinking is switched off where
    the template knows the switch (Qwen3).

    Args:
        tokenizer: a fast tokenizer.
        system: the system text; None for a prompt without one, whatever the template then puts there.
        user: the user's text.
        begun: the beginning of the answer, which the model goes on with; a space parts it from what is no white space. In plain text it
            follows the user's in place of `Answer:`.
    """
    require_offsets(tokenizer)
    if getattr(tokenizer, "chat_template", None) is None:
        last = f"{user} {begun}" if begun else f"{user}\n\nAnswer:"
        return encode(tokenizer, last if system is None else f"{system}\n\n{last}", add_special_tokens=True)
    text = _through_template(tokenizer, system, user)
    space = " " if begun and not text[-1:].isspace() else ""
    return encode(tokenizer, f"{text}{space}{begun}", add_special_tokens=False)


def encode(tokenizer: Any, text: str, add_special_tokens: bool) -> Prompt:
    """Tokenise `text` with character offsets, from remembered pieces where the tokenizer allows."""
    pieces = Pieces.of(tokenizer)
    if not pieces.fits:
        return Prompt.of(text, whole(tokenizer, text, add_special_tokens))
    return Prompt(text, pieces.count(text, add_special_tokens), partial(pieces.spell, text, add_special_tokens))


def positions_of(prompt: Prompt, spans: tuple[Span, ...]) -> Int[Tensor, " pos"]:
    """Input positions of every token that overlaps one of the character spans, ascending."""
    found = [prompt.covering(span) for span in spans]
    return torch.from_numpy(np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64))


def token_spans(prompt: Prompt, spans: Sequence[Span]) -> list[list[int]]:
    """Input positions [first, last + 1) of the tokens that overlap each character span; [0, 0] for a span that no token covers."""
    found = map(prompt.covering, spans)
    return [[int(positions[0]), int(positions[-1]) + 1] if len(positions) else [0, 0] for positions in found]


def context_positions(tokenizer: Any, sample: Sample) -> Int[Tensor, " pos"]:
    """Input positions of the tokens that cover characters of a sample's context: haystack or paragraphs, nothing of the frame round it.

    Raises:
        InputError: a sample of another tokenizer.
    """
    return positions_of(encode_again(tokenizer, sample), (sample.context_span,))


def encode_again(tokenizer: Any, sample: Sample) -> Prompt:
    """A sample's prompt with the characters of its tokens, which samples do not keep.

    Raises:
        InputError: a sample of another tokenizer.
    """
    prompt = encode(tokenizer, sample.prompt, add_special_tokens=getattr(tokenizer, "chat_template", None) is None)
    if not torch.equal(prompt.tokens, sample.tokens):
        raise InputError("the sample's tokens are not this tokenizer's tokens of its prompt; build the sample with the model it is run on")
    return prompt


def locate(prompt: Prompt, text: str, what: str) -> int:
    """Where `text` begins in the prompt; an error where the chat template altered it."""
    start = prompt.text.find(text)
    if start < 0:
        raise InputError(
            f"the chat template changed the {what}: its text no longer stands in the prompt; use a template that keeps it as it is"
        )
    return start


def require_offsets(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot say which characters a token covers."""
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedModelError(
            f"a fast tokenizer with character offsets is needed, got {type(tokenizer).__name__}; load it with AutoTokenizer"
        )


@dataclass(frozen=True)
class _Frame:
    """What a template puts before and behind a user's text; `plain` is False where that depends on the text."""

    before: str
    after: str
    plain: bool

    @classmethod
    def of(cls, tokenizer: Any, system: str | None) -> "_Frame":
        first, second = (_rendered(tokenizer, system, text) for text in _TRIED)
        before, _, after = first.partition(_TRIED[0])
        return cls(before, after, second == f"{before}{_TRIED[1]}{after}")


_TRIED = (ALL_SORTS.replace("<", ""), "x")
_FRAMES: WeakKeyDictionary[Any, dict[tuple[str | None, str], _Frame]] = WeakKeyDictionary()


def _through_template(tokenizer: Any, system: str | None, user: str) -> str:
    """The template itself is run twice for a system text; what it puts around the user's is then known.

    Templates may trim a text, or look for tags in it: such texts go through it each time.
    """
    if not user or user[0].isspace() or user[-1].isspace() or "<" in user:
        return _rendered(tokenizer, system, user)
    frames, key = _FRAMES.setdefault(tokenizer, {}), (system, tokenizer.chat_template)
    if key not in frames:
        frames[key] = _Frame.of(tokenizer, system)
    frame = frames[key]
    return f"{frame.before}{user}{frame.after}" if frame.plain else _rendered(tokenizer, system, user)


def _rendered(tokenizer: Any, system: str | None, user: str) -> str:
    from jinja2.exceptions import TemplateError

    # A fixed date: templates that write today's (Llama 3) would give another prompt tomorrow.
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False, "date_string": DATE}
    asked = {"role": "user", "content": user}
    if system is None:
        return tokenizer.apply_chat_template([asked], **options)
    try:
        return tokenizer.apply_chat_template([{"role": "system", "content": system}, asked], **options)
    except TemplateError:
        return tokenizer.apply_chat_template([{"role": "user", "content": f"{system}\n\n{user}"}], **options)

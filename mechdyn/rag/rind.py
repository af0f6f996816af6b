"""RIND: which sentences of a draft call for retrieval (DRAGIN, Su et al. 2024b; paper, Section 5 and Appendix C)."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from einops import reduce
from jaxtyping import Float, Int

from mechdyn.errors import InputError, NumericalError
from mechdyn.rag.words import Sentence, Word, content_spans, draft_words, group_words
from mechdyn.tensors import Tensor, torch

VARIANTS = ("code", "paper")


@dataclass(frozen=True)
class WordValue:
    """One word of a draft and what decides whether it flags its sentence."""

    text: str
    start: int
    """First token."""
    end: int
    """One past the last token."""
    attention: float
    """What the draft's tokens pay to the word, summed over its own; at least 0."""
    entropy: float
    """Nats, mean over the word's tokens."""
    value: float
    """RIND, at least 0. With `code`, the values of a sentence average 1 where every entropy is 1 nat."""
    content: bool
    """Whether the word may flag its sentence."""
    sentence: int
    """Index into `Rind.sentences`."""


@dataclass(frozen=True)
class Rind:
    """RIND over one draft."""

    words: tuple[WordValue, ...]
    sentences: tuple[Sentence, ...]
    flagged: tuple[int, ...]
    """Indices of sentences with a content word strictly above the threshold, ascending."""
    threshold: float
    variant: str

    @property
    def first_flagged(self) -> int | None:
        """The first flagged sentence, None where none is."""
        return self.flagged[0] if self.flagged else None


def rind(
    tokenizer: Any,
    tokens: Int[Tensor, " step"],
    attention: Float[Tensor, "head query key"],
    entropy: Float[Tensor, " step"],
    *,
    threshold: float,
    variant: str = "code",
) -> Rind:
    """Value every word of a draft by the attention it gets and the doubt it was generated in; flag the sentences above the threshold.

    `code`, as DRAGIN's published code: of each head the largest weight that any row gives to a token, the token's own row included,
    averaged over heads and summed over a word's tokens. In each sentence: value = attention / (sum over the sentence) x entropy x (words in
    the sentence). A sentence that gets no attention at all has values of 0, as 0/0 is in Eq. 2.

    `paper`, as DRAGIN's text: only rows of *later* tokens count, the last token's attention is therefore 0; value = attention x entropy,
    0 for words without content; nothing is normalised.

    In either, a word flags if it carries content (`content_spans`) and its value is strictly above the threshold. DRAGIN's code decides
    before it looks at content, and so can flag a sentence without a flagged word; this does not.

    Args:
        tokenizer: of the model that wrote the draft.
        tokens: the draft, without the EOS token, which would count into its last word.
        attention: the last layer's pattern over the draft's tokens, from a forward over the draft alone (or, departing from DRAGIN, cut
            out of rows that saw more).
        entropy: nats, of the distribution that each token was generated from.
        threshold: the paper gives none; DRAGIN has 1.2 for Llama-2-13b-chat on HotpotQA, 0.8 for the 7B.
        variant: `code` or `paper`.

    Returns:
        Values of all words in order; an empty draft has no word, no sentence and nothing flagged.

    Raises:
        InputError: an unknown variant, a threshold that is NaN, attention or entropy of another length than the draft.
        NumericalError: attention or entropy with negative, NaN or infinite numbers.
    """
    if variant not in VARIANTS:
        raise InputError(f"variant must be 'code' or 'paper', got {variant!r}")
    if math.isnan(threshold):
        raise InputError("threshold must be a number, got NaN; no value is above NaN, so no sentence could ever be flagged")
    _check(len(tokens), attention, entropy)
    words = draft_words(tokenizer, tokens)
    sentences, homes = group_words(words)
    received = _received(attention.double().cpu(), own_row=variant == "code")
    attentions = [float(received[word.token_start : word.token_end].sum()) for word in words]
    entropies = [float(entropy[word.token_start : word.token_end].double().mean()) for word in words]
    content = _content(words, sentences, homes)
    if variant == "code":
        values = _normalised(attentions, entropies, homes)
    else:
        values = [a * h * s for a, h, s in zip(attentions, entropies, content, strict=True)]
    valued = tuple(
        WordValue(word.text, word.token_start, word.token_end, a, h, value, s, home)
        for word, a, h, value, s, home in zip(words, attentions, entropies, values, content, homes, strict=True)
    )
    flagged = sorted({word.sentence for word in valued if word.content and word.value > threshold})
    return Rind(valued, sentences, tuple(flagged), float(threshold), variant)


def _received(attention: Float[Tensor, "head query key"], own_row: bool) -> Float[Tensor, " key"]:
    """The largest weight on each token, mean over heads; of a causal pattern's own and later rows, or of later ones only."""
    if not attention.shape[-1]:
        return attention.new_zeros(0)
    rows = attention if own_row else torch.tril(attention, diagonal=-1)
    return reduce(reduce(rows, "head query key -> head key", "max"), "head key -> key", "mean")


def _normalised(attentions: list[float], entropies: list[float], homes: tuple[int, ...]) -> list[float]:
    """Attention as a share of its sentence's, times entropy, times the sentence's number of words."""
    n_words, totals = Counter(homes), dict.fromkeys(homes, 0.0)
    for home, attention in zip(homes, attentions, strict=True):
        totals[home] += attention
    return [
        attention / totals[home] * entropy * n_words[home] if totals[home] else 0.0
        for home, attention, entropy in zip(homes, attentions, entropies, strict=True)
    ]


def _content(words: tuple[Word, ...], sentences: tuple[Sentence, ...], homes: tuple[int, ...]) -> list[bool]:
    """A word carries content where any part of it does: "(Paris," for "Paris"."""
    spans = [[(sentence.start + a, sentence.start + b) for a, b in content_spans(sentence.text)] for sentence in sentences]
    return [any(a < word.end and word.start < b for a, b in spans[home]) for word, home in zip(words, homes, strict=True)]


def _check(n: int, attention: Tensor, entropy: Tensor) -> None:
    if attention.shape[1:] != (n, n):
        shape = " x ".join(map(str, attention.shape))
        raise InputError(f"attention must be heads x {n} x {n} for a draft of {n} tokens, got {shape}; run the model over the draft alone")
    if len(entropy) != n:
        raise InputError(f"entropy must have one number a token, got {len(entropy)} for a draft of {n} tokens")
    for name, numbers in (("attention", attention), ("entropy", entropy)):
        wrong = ~(numbers.isfinite() & (numbers >= 0))
        if wrong.any():
            raise NumericalError(f"{name} must be finite and at least 0, got {float(numbers[wrong][0])}; the forward pass went wrong")

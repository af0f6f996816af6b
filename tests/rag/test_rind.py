import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechdyn.errors import InputError, NumericalError
from mechdyn.rag.rind import Rind, rind
from tests.rag.pieces import Pieces
from tests.tokenizers import tokenizer_styles

# Each word with its pieces and whether it carries content; two sentences, the second without a full stop.
SENTENCES = (
    ((("Dr.",), True), ((" Al", "do"), True), ((" went",), True), ((" to",), False), ((" O", "sl", "o", "."), True)),
    (((" It",), False), ((" was",), False), ((" c", "old"), True)),
)


def draft(sentences: tuple = SENTENCES) -> Pieces:
    return Pieces([piece for sentence in sentences for word, _ in sentence for piece in word])


def causal_pattern(rng: np.random.Generator, n_heads: int, n: int) -> torch.Tensor:
    raw = rng.random((n_heads, n, n)) ** 3 * np.tril(np.ones((n, n)))
    return torch.tensor(raw / raw.sum(axis=-1, keepdims=True), dtype=torch.float32)


def by_hand(sentences: tuple, attention: torch.Tensor, entropy: torch.Tensor, threshold: float, variant: str) -> tuple[list, list]:
    """RIND with nothing but loops: (attention, entropy, value) of every word, and the flagged sentences."""
    a, h = attention.tolist(), entropy.tolist()
    n, rows, flagged, at = len(h), [], [], 0
    for number, sentence in enumerate(sentences):
        found = []
        for pieces, content in sentence:
            received = 0.0
            for key in range(at, at + len(pieces)):
                first_row = key if variant == "code" else key + 1
                largest = [max([a[head][query][key] for query in range(first_row, n)], default=0.0) for head in range(len(a))]
                received += sum(largest) / len(largest)
            found.append([received, sum(h[at : at + len(pieces)]) / len(pieces), content])
            at += len(pieces)
        total = sum(word[0] for word in found)
        for received, doubt, content in found:
            value = received / total * doubt * len(found) if variant == "code" else received * doubt * content
            rows.append((received, doubt, value))
            if content and value > threshold and number not in flagged:
                flagged.append(number)
    return rows, flagged


def numbers(result: Rind) -> list[tuple[float, float, float]]:
    return [(word.attention, word.entropy, word.value) for word in result.words]


@pytest.mark.parametrize("variant", ["code", "paper"])
@given(seed=st.integers(0, 2**32 - 1), n_heads=st.integers(1, 5), threshold=st.floats(0, 3), order=st.permutations([0, 1, 1, 0]))
@settings(max_examples=40, deadline=None)
def test_values_and_flags_equal_a_computation_by_hand(variant: str, seed: int, n_heads: int, threshold: float, order: list[int]) -> None:
    sentences = tuple((*SENTENCES[index][:-1], *_ended(SENTENCES[index][-1])) for index in order)
    tokenizer, rng = draft(sentences), np.random.default_rng(seed)
    n = len(tokenizer.tokens)
    attention, entropy = causal_pattern(rng, n_heads, n), torch.tensor(rng.exponential(1.0, n), dtype=torch.float32)
    result = rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=threshold, variant=variant)
    expected, flagged = by_hand(sentences, attention, entropy, threshold, variant)
    assert [word.content for word in result.words] == [content for sentence in sentences for _, content in sentence]
    np.testing.assert_allclose(numbers(result), expected, rtol=1e-6)
    assert list(result.flagged) == flagged
    assert result.first_flagged == (flagged[0] if flagged else None)


def _ended(word: tuple) -> list:
    pieces, content = word
    return [(pieces, content)] if pieces[-1] == "." else [((*pieces, "."), content)]


def test_an_example_worked_out_on_paper() -> None:
    tokenizer = Pieces(["Par", "is", " it"])
    attention = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.2, 0.6]], [[1.0, 0.0, 0.0], [0.1, 0.9, 0.0], [0.4, 0.4, 0.2]]])
    entropy = torch.tensor([1.0, 2.0, 3.0])
    # Largest of each column, mean over the two heads: 1, 0.7, 0.4. Paris gets 1.7 of 2.1 at 1.5 nats, "it" 0.4 of 2.1 at 3 nats.
    code = rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=2.4)
    assert numbers(code) == [pytest.approx((1.7, 1.5, 1.7 / 2.1 * 1.5 * 2)), pytest.approx((0.4, 3.0, 0.4 / 2.1 * 3.0 * 2))]
    assert code.flagged == (0,)
    # Below the diagonal: (0.5 + 0.4) / 2 and (0.2 + 0.4) / 2, nothing for the last token.
    paper = rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=1.2, variant="paper")
    assert numbers(paper) == [pytest.approx((0.75, 1.5, 1.125)), (0.0, 3.0, 0.0)]
    assert paper.flagged == ()


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_a_value_at_the_threshold_does_not_flag(variant: str) -> None:
    tokenizer = Pieces(["Paris", " shone"])
    attention, entropy = torch.tensor([[[1.0, 0.0], [0.25, 0.75]]]), torch.tensor([2.0, 1.0])
    value = max(word.value for word in rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=0.0, variant=variant).words)
    assert rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=value, variant=variant).flagged == ()
    below = math.nextafter(value, 0)
    assert rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=below, variant=variant).flagged == (0,)


def test_a_draft_of_one_word() -> None:
    tokenizer = Pieces(["Par", "is"])
    attention, entropy = torch.tensor([[[1.0, 0.0], [0.4, 0.6]]]), torch.tensor([1.0, 3.0])
    code = rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=1.9)
    assert (numbers(code), code.flagged) == ([pytest.approx((1.6, 2.0, 2.0))], (0,))  # all of the attention, one word: its entropy
    paper = rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=0.7, variant="paper")
    assert (numbers(paper), paper.flagged) == ([pytest.approx((0.4, 2.0, 0.8))], (0,))


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_a_draft_of_stop_words_never_flags(variant: str) -> None:
    tokenizer = Pieces(["It", " was", " what", " it", " was", "."])
    attention = causal_pattern(np.random.default_rng(1), 2, 6)
    result = rind(tokenizer, tokenizer.tokens, attention, torch.full((6,), 9.0), threshold=0.0, variant=variant)
    assert result.flagged == () and result.first_flagged is None
    assert not any(word.content for word in result.words)


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_an_empty_draft(variant: str) -> None:
    tokenizer = Pieces([])
    result = rind(tokenizer, tokenizer.tokens, torch.zeros(2, 0, 0), torch.zeros(0), threshold=1.0, variant=variant)
    assert (result.words, result.sentences, result.flagged, result.first_flagged) == ((), (), (), None)


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_zero_attention_gives_zero_and_flags_nothing(variant: str) -> None:
    tokenizer = draft()
    n = len(tokenizer.tokens)
    result = rind(tokenizer, tokenizer.tokens, torch.zeros(2, n, n), torch.ones(n), threshold=0.0, variant=variant)
    assert {word.value for word in result.words} == {0.0}
    assert result.flagged == ()


def test_sentences_are_normalised_apart_and_the_last_ends_with_the_draft() -> None:
    tokenizer = draft()
    n = len(tokenizer.tokens)
    result = rind(tokenizer, tokenizer.tokens, causal_pattern(np.random.default_rng(3), 4, n), torch.ones(n), threshold=0.0)
    assert [sentence.text for sentence in result.sentences] == ["Dr. Aldo went to Oslo.", " It was cold"]
    for index, sentence in enumerate(result.sentences):
        values = [word.value for word in result.words if word.sentence == index]
        assert np.mean(values) == pytest.approx(1.0)  # at 1 nat everywhere
        assert sentence.token_end == max(word.end for word in result.words if word.sentence == index)
    assert result.sentences[-1].token_end == n


@pytest.mark.parametrize("style", tuple(tokenizer_styles()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_tokenizer_and_precision_gives_finite_values(style: str, dtype: torch.dtype) -> None:
    tokenizer = tokenizer_styles()[style]
    tokens = torch.tensor(tokenizer("Zorvex moved to Quellmar. It is cold there!", add_special_tokens=False)["input_ids"])
    n = len(tokens)
    attention = causal_pattern(np.random.default_rng(5), 3, n).to(dtype)
    result = rind(tokenizer, tokens, attention, torch.ones(n, dtype=dtype), threshold=0.0)
    assert [word.text.strip() for word in result.words if word.content] == ["Zorvex", "moved", "Quellmar.", "cold"]
    assert all(math.isfinite(word.value) for word in result.words)
    assert result.flagged == (0, 1)


def test_bad_input_is_refused_in_a_line() -> None:
    tokenizer = Pieces(["a", " b"])
    attention, entropy = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]), torch.ones(2)
    with pytest.raises(InputError, match="variant must be 'code' or 'paper', got 'max'"):
        rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=1.0, variant="max")
    with pytest.raises(InputError, match="threshold must be a number, got NaN"):
        rind(tokenizer, tokenizer.tokens, attention, entropy, threshold=math.nan)
    with pytest.raises(InputError, match="attention must be heads x 2 x 2 for a draft of 2 tokens, got 1 x 2 x 3"):
        rind(tokenizer, tokenizer.tokens, torch.zeros(1, 2, 3), entropy, threshold=1.0)
    with pytest.raises(NumericalError, match="attention must be finite and at least 0, got nan"):
        rind(tokenizer, tokenizer.tokens, attention * math.nan, entropy, threshold=1.0)
    with pytest.raises(NumericalError, match="entropy must be finite and at least 0, got -1"):
        rind(tokenizer, tokenizer.tokens, attention, -entropy, threshold=1.0)


def test_a_threshold_of_infinity_never_retrieves() -> None:
    tokenizer = draft()
    n = len(tokenizer.tokens)
    attention = causal_pattern(np.random.default_rng(7), 2, n)
    assert rind(tokenizer, tokenizer.tokens, attention, torch.ones(n), threshold=math.inf).flagged == ()

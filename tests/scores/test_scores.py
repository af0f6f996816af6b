"""Scores against brute-force loops over single rows."""

import inspect
import random
from types import SimpleNamespace

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.reasoning import Reasoning
from mechdyn.scores.score import StepContext


def random_step(seed: int, n_rows: int = 3, n_heads: int = 4, max_keys: int = 60) -> tuple[torch.Tensor, StepContext]:
    """Left-padded rows of different lengths; few values and few tokens, so that ties and copies are common."""
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    lengths = [rng.randint(1, max_keys) for _ in range(n_rows)]
    n_keys = max(lengths)
    visible = torch.tensor([[key >= n_keys - length for key in range(n_keys)] for length in lengths])
    levels = torch.randint(0, 5, (n_rows, n_heads, n_keys), generator=generator).float() * visible[:, None]
    pattern = levels / levels.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    needle = (torch.rand(n_rows, n_keys, generator=generator) < 0.4) & visible
    tokens = torch.randint(0, 3, (n_rows, n_keys), generator=generator)
    predicted = torch.randint(0, 3, (n_rows,), generator=generator)
    return pattern, StepContext(tokens, needle, visible, predicted)


def brute_copy_paste(row: list[float], tokens: list[int], needle: list[bool], predicted: int) -> float:
    best = 0
    for position, weight in enumerate(row):
        if weight > row[best]:
            best = position
    return 1.0 if row[best] > 0 and needle[best] and tokens[best] == predicted else 0.0


def brute_reasoning(row: list[float], needle: list[bool], visible: list[bool], sink: int, local: int) -> float:
    shown = [position for position, seen in enumerate(visible) if seen]
    left_out = set(shown[:sink]) | set(shown[max(0, len(shown) - local) :])
    rest = [position for position in shown if position not in left_out]
    below = sum(row[position] for position in rest)
    return sum(row[position] for position in rest if needle[position]) / below if below else 0.0


def test_a_head_that_attends_to_nothing_but_its_sink_retrieves_nothing() -> None:
    context = StepContext.one([5, 6, 7], [0, 1, 2], 5)
    assert copy_paste(torch.zeros(1, 1, 3), context) == 0
    assert copy_paste(torch.tensor([[[1e-30, 0.0, 0.0]]]), context) == 1
    assert Reasoning(0, 0)(torch.zeros(1, 1, 3), context) == 0


def test_the_share_of_eq_2_is_of_what_a_sink_leaves() -> None:
    pattern, context = random_step(3)
    torch.testing.assert_close(Reasoning(1, 2)(0.25 * pattern, context), Reasoning(1, 2)(pattern, context))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_copy_paste_is_eq_1(seed: int, dtype: torch.dtype) -> None:
    pattern, context = random_step(seed)
    pattern = pattern.to(dtype)
    scores = copy_paste(pattern, context)
    assert scores.dtype == torch.float32
    for row in range(pattern.shape[0]):
        for head in range(pattern.shape[1]):
            expected = brute_copy_paste(
                pattern[row, head].tolist(), context.tokens[row].tolist(), context.needle[row].tolist(), int(context.predicted[row])
            )
            assert scores[row, head] == expected


def test_copy_paste_breaks_ties_towards_the_lowest_index() -> None:
    pattern = torch.tensor([[[0.2, 0.4, 0.4]]])
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    for needle_at, expected in ((1, 1.0), (2, 0.0)):
        needle = torch.zeros(1, 3, dtype=torch.bool)
        needle[0, needle_at] = True
        context = StepContext(torch.full((1, 3), 7), needle, everywhere, torch.tensor([7]))
        assert copy_paste(pattern, context).item() == expected


@pytest.mark.parametrize(("sink", "local"), [(0, 0), (4, 32), (1, 8), (16, 128), (1000, 0), (0, 1000), (3, 1)])
@pytest.mark.parametrize("seed", range(12))
def test_reasoning_is_eq_2(seed: int, sink: int, local: int) -> None:
    pattern, context = random_step(seed)
    scores = Reasoning(sink=sink, local=local)(pattern, context)
    for row in range(pattern.shape[0]):
        for head in range(pattern.shape[1]):
            expected = brute_reasoning(
                pattern[row, head].tolist(), context.needle[row].tolist(), context.visible[row].tolist(), sink, local
            )
            assert scores[row, head].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("score", [copy_paste, Reasoning(2, 3)])
def test_padding_changes_nothing(score: object) -> None:
    """The same row with and without padding before it; the padding's tokens look like copies."""
    generator = torch.Generator().manual_seed(5)
    pattern = torch.rand(1, 6, 20, generator=generator).softmax(dim=-1)
    needle = torch.rand(1, 20, generator=generator) < 0.5
    tokens, predicted = torch.randint(0, 2, (1, 20), generator=generator), torch.tensor([1])
    plain = score(pattern, StepContext(tokens, needle, torch.ones(1, 20, dtype=torch.bool), predicted))
    pad = torch.zeros(1, 7, dtype=torch.bool)
    padded = StepContext(
        torch.cat([torch.ones(1, 7, dtype=torch.long), tokens], dim=1),
        torch.cat([pad, needle], dim=1),
        torch.cat([pad, torch.ones(1, 20, dtype=torch.bool)], dim=1),
        predicted,
    )
    torch.testing.assert_close(score(torch.cat([torch.zeros(1, 6, 7), pattern], dim=2), padded), plain, atol=1e-6, rtol=0)


def one_row(weights: list[float], needle: list[int], n_padded: int = 0) -> tuple[torch.Tensor, StepContext]:
    n_keys = len(weights)
    mask = torch.zeros(1, n_keys, dtype=torch.bool)
    mask[0, needle] = True
    visible = (torch.arange(n_keys) >= n_padded)[None]
    return torch.tensor([[weights]]), StepContext(torch.zeros(1, n_keys, dtype=torch.long), mask, visible, torch.tensor([0]))


def test_reasoning_counts_only_facts_outside_the_local_window() -> None:
    pattern, context = one_row([0.5, 0.1, 0.1, 0.1, 0.1, 0.1], needle=[2, 5])
    assert Reasoning(sink=1, local=2)(pattern, context).item() == pytest.approx(0.1 / 0.3)
    assert Reasoning(sink=0, local=0)(pattern, context).item() == pytest.approx(0.2)


def test_reasoning_counts_sinks_from_the_first_visible_position() -> None:
    pattern, context = one_row([0.0, 0.0, 0.6, 0.3, 0.1], needle=[3], n_padded=2)
    assert Reasoning(sink=1, local=0)(pattern, context).item() == pytest.approx(0.75)


def test_reasoning_of_nothing_is_zero_and_of_only_facts_is_one() -> None:
    pattern, context = one_row([0.5, 0.25, 0.25], needle=[1])
    assert Reasoning(sink=100, local=0)(pattern, context).item() == 0.0
    assert Reasoning(sink=0, local=100)(pattern, context).item() == 0.0
    pattern, context = one_row([1.0, 0.0, 0.0], needle=[1])
    assert Reasoning(sink=1, local=0)(pattern, context).item() == 0.0
    pattern, context = one_row([0.3, 0.4, 0.3], needle=[1])
    assert Reasoning(sink=1, local=1)(pattern, context).item() == 1.0


def test_reasoning_keeps_a_nan() -> None:
    pattern, context = one_row([0.3, float("nan"), 0.3], needle=[1])
    assert Reasoning(sink=0, local=0)(pattern, context).isnan().all()


@pytest.mark.parametrize("seed", range(10))
def test_scores_lie_between_0_and_1(seed: int) -> None:
    pattern, context = random_step(seed, max_keys=300)
    for score in (copy_paste, Reasoning(0, 0), Reasoning(4, 32)):
        values = score(pattern.to(torch.bfloat16), context)
        assert ((values >= 0) & (values <= 1)).all()


def test_negative_windows_are_refused() -> None:
    with pytest.raises(InputError, match="sink is a number of positions to leave out, 0 or more, got -1"):
        Reasoning(sink=-1)
    with pytest.raises(InputError, match="local is a number"):
        Reasoning(local=-2)
    with pytest.raises(InputError, match=r"sink is a number of positions to leave out, 0 or more, got 1\.5"):
        inspect.unwrap(Reasoning.__post_init__)(SimpleNamespace(sink=1.5, local=0))

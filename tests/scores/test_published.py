"""The published scores of a step against loops written from their papers and code."""

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.scores.locos import locos
from mechdyn.scores.mass import mass
from mechdyn.scores.r2 import r2
from mechdyn.scores.score import StepContext, as_score, score_row
from mechdyn.scores.wu import wu
from tests.scores.test_scores import brute_copy_paste, random_step


def rows_of(pattern, context):
    """Every row and head with its weights, tokens, needle and predicted token as lists."""
    for row in range(pattern.shape[0]):
        rest = context.tokens[row].tolist(), context.needle[row].tolist(), int(context.predicted[row])
        yield from ((row, head, weights, *rest) for head, weights in enumerate(pattern[row].tolist()))


@pytest.mark.parametrize("seed", range(20))
def test_wu_counts_a_copy_as_one_over_the_needles_tokens(seed):
    pattern, context = random_step(seed)
    found = wu(pattern, context)
    for row, head, weights, tokens, needle, predicted in rows_of(pattern, context):
        wanted = brute_copy_paste(weights, tokens, needle, predicted) / max(1, sum(needle))
        assert float(found[row, head]) == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(20))
def test_mass_counts_the_whole_needle_once_for_each_of_its_tokens_that_is_generated(seed):
    pattern, context = random_step(seed)
    found = mass(pattern, context)
    for row, head, weights, tokens, needle, predicted in rows_of(pattern, context):
        wanted = 0.0
        for position, inside in enumerate(needle):
            if inside and tokens[position] == predicted:
                wanted += sum(weight for weight, there in zip(weights, needle, strict=True) if there)
        assert float(found[row, head]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_r2_takes_the_strongest_positions_of_the_row_whatever_token_is_there(seed):
    pattern, context = random_step(seed)
    pattern = pattern * torch.linspace(1, 1.01, pattern.shape[-1])  # no ties, of which topk may take any
    found = r2(pattern, context)
    for row, head, weights, _, needle, _ in rows_of(pattern, context):
        n = sum(needle)
        strongest = sorted(range(len(weights)), key=lambda position: -weights[position])[:n]
        wanted = sum(weights[position] for position in strongest if needle[position]) / n if n else 0.0
        assert float(found[row, head]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_locos_sets_the_needle_against_as_many_tokens_of_the_rest(seed):
    pattern, context = random_step(seed)
    writes = torch.randn(pattern.shape, generator=torch.Generator().manual_seed(seed))
    found = locos(pattern, StepContext(context.tokens, context.needle, context.visible, context.predicted, lambda: writes))
    for row, head, weights, _, needle, _ in rows_of(pattern, context):
        phi = [weight * write for weight, write in zip(weights, writes[row, head].tolist(), strict=True)]
        seen = context.visible[row].tolist()
        inside = [part for part, there in zip(phi, needle, strict=True) if there]
        rest = [part for part, there, shown in zip(phi, needle, seen, strict=True) if shown and not there]
        wanted = sum(inside) - (len(inside) / len(rest) * sum(rest) if rest else 0.0)
        assert float(found[row, head]) == pytest.approx(wanted, abs=1e-5)


def test_locos_of_one_row_takes_what_heads_write_beside_the_row():
    pattern, writes = torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([[4.0, 2.0, -2.0]])
    assert float(score_row("locos", pattern, [7, 8, 9], [0], 7, writes=writes)) == pytest.approx(2.0 - 0.5 * 0.0)
    with pytest.raises(InputError, match="the score 'locos' needs what heads write, which attention rows do not tell; give writes="):
        score_row("locos", pattern, [7, 8, 9], [0], 7)


def test_thresholds_and_countings_are_the_documented_ones():
    found = {name: as_score(name) for name in ("wu", "mass", "r2", "locos", "copy_paste")}
    assert {name: score.threshold for name, score in found.items()} == {"wu": 0, "mass": 0.5, "r2": 0, "locos": 1, "copy_paste": 0}
    assert {name: (score.counting.sample, score.counting.steps, score.counting.accept) for name, score in found.items()} == {
        "wu": ("sum", "line", "rouge-needle"),
        "mass": ("sum", "line", "rouge-needle"),
        "r2": ("sum", "length", "f1"),
        "locos": ("mean", "answer", "rouge-answer"),
        "copy_paste": ("pooled", "all", "task"),
    }


def test_a_score_of_prompts_marks_no_step():
    with pytest.raises(InputError, match="qr scores heads on a prompt and marks no step; rank heads by it: mechdyn heads detect"):
        as_score("qr")

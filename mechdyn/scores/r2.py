"""HeadKV's R2: attention on the answer's sentence among a head's strongest positions, whatever token is generated."""

import torch
from jaxtyping import Float
from torch import Tensor

from mechdyn.scores.counting import ANSWER_LENGTH, F1, SUM, Counting
from mechdyn.scores.score import StepContext, score

_COUNTING = Counting("attention on the answer's sentence (HeadKV's R2)", sample=SUM, steps=ANSWER_LENGTH, accept=F1)


@score("r2", counting=_COUNTING)
def r2(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """Σ a_i / N over those of the row's N strongest positions that lie in the needle, which has N tokens (HeadKV, R2).

    From 0 to 1 / N. No token is matched. A sample's score is the sum over as many steps as the expected answer has tokens, so that longer
    answers score higher (one version of the published code divides by that number and multiplies by 10, which changes the order of heads
    only where answers differ in length); the list is the mean over samples with F1 above 0.5. F1 is taken with the expected answer or with
    the needle's text, whichever is more like what was generated, and the steps are as many as that has tokens: HeadKV asks for bare
    answers, other tasks are answered in the needle's words. No threshold is published: here a head retrieves at a step where the score is
    above 0, where any of its N strongest positions is in the needle.
    """
    found = torch.zeros(pattern.shape[:2], dtype=torch.float32, device=pattern.device)
    for row, (weights, needle) in enumerate(zip(pattern.to(torch.float32), context.needle, strict=True)):
        n_needle = int(needle.sum())
        if n_needle:
            strongest = weights.topk(n_needle, dim=-1)
            found[row] = torch.where(needle[strongest.indices], strongest.values, 0.0).sum(dim=-1) / n_needle
    return found

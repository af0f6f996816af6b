"""LOCOS: what a head writes for the generated token out of the needle, against what it writes for it out of the rest."""

import torch
from jaxtyping import Float
from torch import Tensor

from mechdyn.scores.counting import ANSWER_STEPS, MEAN, ROUGE_ANSWER, Counting
from mechdyn.scores.score import StepContext, score

_COUNTING = Counting("logit of the answer written from the needle (LOCOS)", sample=MEAN, steps=ANSWER_STEPS, accept=ROUGE_ANSWER)


@score("locos", threshold=1.0, counting=_COUNTING)
def locos(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """Σ φ_j over the needle − N / M · Σ φ_j over the rest, φ_j = a_j · (W_O v_j) · u_y (LOCOS, published code).

    u_y is the row of the unembedding of the predicted token, taken as it is: final norm and post-norms are left out, as theirs do. N counts
    needle tokens, M all other visible positions. Σ_j φ_j is (W_O z) · u_y, what the head adds to the token's logit before the final norm.

    A sample's score is the mean over the steps that write the expected answer, the list the mean over samples with a stemmed ROUGE-1
    recall of it above 0.5. No threshold for single steps is published: here a head retrieves at a step where the score is above 1, in
    units of that raw logit, whose scale is the model's own; another threshold shows what hangs on it (docs/detection.md).
    """
    phi = pattern.to(torch.float32) * context.written("locos")
    needle = context.needle & context.visible
    rest = context.visible & ~context.needle
    sums = [torch.where(part[:, None], phi, 0.0).sum(dim=-1) for part in (needle, rest)]
    n_needle, n_rest = (part.sum(dim=-1, keepdim=True) for part in (needle, rest))
    return sums[0] - n_needle / n_rest.clamp(min=1) * sums[1]

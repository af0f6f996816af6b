"""CompressKV's score: the attention on the whole needle while one of its tokens is being copied."""

import torch
from jaxtyping import Float
from torch import Tensor

from mechdyn.scores.counting import FIRST_LINE, ROUGE_NEEDLE, SUM, Counting
from mechdyn.scores.score import StepContext, score

_COUNTING = Counting("attention on the needle at copied tokens (CompressKV)", sample=SUM, steps=FIRST_LINE, accept=ROUGE_NEEDLE)


@score("mass", threshold=0.5, counting=_COUNTING)
def mass(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """c · Σ a_i over the needle's positions, with c how many of its tokens equal the predicted one (CompressKV's published code).

    From 0 to the number of needle tokens: a token that the needle holds twice counts twice. A sample's score is the sum over its steps, the
    list the mean over samples with a stemmed ROUGE-1 recall of the needle above 0.5; CompressKV itself ranks heads within each layer. No
    threshold is published: here a head retrieves at a step where the score is above 0.5, where most of its attention lies on a needle that
    is being copied.
    """
    copies = (context.needle & (context.tokens == context.predicted[:, None])).sum(dim=-1, keepdim=True)
    return copies * torch.where(context.needle[:, None], pattern.to(torch.float32), 0.0).sum(dim=-1)

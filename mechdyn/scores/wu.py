"""The retrieval score of Wu et al. 2024: how much of the needle a head copies."""

from jaxtyping import Float
from torch import Tensor

from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.counting import FIRST_LINE, ROUGE_NEEDLE, SUM, Counting
from mechdyn.scores.score import StepContext, score

_COUNTING = Counting("copies per needle token (Wu et al. 2024)", sample=SUM, steps=FIRST_LINE, accept=ROUGE_NEEDLE)


@score("wu", counting=_COUNTING)
def wu(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """1 / needle tokens where Eq. 1 holds, else 0 (Wu et al. 2024, Eq. 1 and their published code).

    A sample's score is the sum over its steps. The paper defines |g ∩ k| / |k| on sets; the code counts a token again where it is copied
    again, so that scores above 1 occur, and so it is here. The list is the mean over samples with a stemmed ROUGE-1 recall of the needle
    above 0.5. Steps end with the first line break. Per step the heads above 0 are those of `copy_paste`. A row without a needle gives 0.

    We depart where their code errs: needle tokens come from character offsets, not from the first window with nearly the same set of
    tokens.
    """
    return copy_paste(pattern, context) / context.needle.sum(dim=-1, keepdim=True).clamp(min=1)

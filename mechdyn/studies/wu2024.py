"""What Wu et al. 2024 ("Retrieval Head Mechanistically Explains Long-Context Factuality") say of retrieval heads that lists alone can show.

They name five properties. Three are about lists of heads: sparse, intrinsic and universal. A claim of `mechdyn.claims` plans units for a
model and judges their traces; here there is no model to run and there are no traces, so these are functions of files. They end in the same
`Verdict`, by the same `outcome`.

The criteria below were written before any of them was put to a published list, and not moved since. Known by then were the paper's own
numbers and how far some published lists agree: top-20 Jaccard 0.82 and 0.74 for one definition by two groups, 0.25 and less for two
definitions, and, which bears on `intrinsic`, 0.60 to 0.82 for five base models and their instruct models.
"""

import math
from collections.abc import Mapping

import numpy as np
import scipy

from mechdyn.errors import InputError
from mechdyn.evidence import Criterion, Demand, Evidence, Side, Verdict, outcome
from mechdyn.heads import RankedHeads
from mechdyn.stats.head_lists import TOP, n_heads_of, overlap, rank_correlation
from mechdyn.stats.interval import Interval

THRESHOLD = 0.1
"""A head whose mean score reaches this is a retrieval head (Wu et al.)."""
FEW, MANY = 0.05, 0.10
"""Their "less than 5 %"; and a share that is no small one any more."""
FEWEST_MODELS = 5
COUNTED = "heads with a score of 0.1 or more"
METHOD = "Student's t, head by head"
"""What intervals are called that are made here."""
FAR_ABOVE, ABOVE, SAME = 0.001, 0.05, 0.5
"""Probabilities of the overlap by chance, and the Jaccard from which two lists are said to be much the same."""

_SCORE = "the threshold of 0.1 is that of Wu's score; of scores of another kind this says nothing"
_SAMPLES = (
    "samples are taken as independent; Wu's script asks for three needles only, at many lengths and depths, so the true intervals are wider"
)


def retrieval_heads(ranked: RankedHeads) -> Interval:
    """How many heads reach the threshold, and how many surely and possibly do.

    A head's mean has the interval mean ± t · sd / √n (95 %, Student's t with n − 1 degrees of freedom). The lower bound counts heads whose
    whole interval reaches the threshold, the upper those whose interval does in part. All heads err to one side at once there, so the
    interval is wider than a joint one would be. Bounds are NaN where the list does not say how scores spread.

    Raises:
        InputError: a list without scores.
    """
    scores = np.array(ranked.scores)
    if np.isnan(scores).any():
        raise InputError("retrieval heads are counted by their scores, and this list has none")
    count = float((scores >= THRESHOLD).sum())
    if ranked.spread is None or any(math.isnan(each.sd) for each in ranked.spread):
        return Interval(count, math.nan, math.nan, ranked.n or 0)
    n = np.array([each.n for each in ranked.spread])
    reach = scipy.stats.t.ppf(0.975, n - 1) * np.array([each.sd for each in ranked.spread]) / np.sqrt(n)
    low, high = ((scores + sign * reach >= THRESHOLD).sum() for sign in (-1, 1))
    return Interval(count, float(low), float(high), int(n.min()), METHOD)


def sparse(name: str, ranked: RankedHeads) -> Verdict:
    """Few heads are retrieval heads: "only a small portion (less than 5 %)" (abstract); 3 to 6 % in their models (section 2).

    Measured: the share of the model's heads whose mean score is 0.1 or more, with the interval of `retrieval_heads`.
    Supported if at least one head surely is one, and the whole interval lies below 5 %. Refuted if the whole interval lies above 10 %.
    Inconclusive else, and where the list does not say how scores spread over samples.

    Raises:
        InputError: a list without scores, or of a model whose shape is not known.
    """
    total = n_heads_of(ranked)
    heads = retrieval_heads(ranked)
    share = Interval(heads.estimate / total, heads.low / total, heads.high / total, heads.n, heads.method)
    numbers = f"share {share:.3f}"
    found, counted = Evidence("share of heads with a score of 0.1 or more", share), Evidence(COUNTED, heads)
    supports = (
        Criterion.asking(
            f"at least one head surely scores {THRESHOLD:g} or more ({heads.low:g} do)", Demand(counted, Side.AT_LEAST, 1.0, unit="heads")
        ),
        Criterion.asking(f"the whole interval lies below {FEW:g} ({numbers})", Demand(found, Side.BELOW, FEW)),
    )
    refutes = (Criterion.asking(f"the whole interval lies above {MANY:g} ({numbers})", Demand(found, Side.ABOVE, MANY)),)
    return Verdict(
        name,
        "wu2024.sparse",
        outcome(supports, refutes),
        (found, counted),
        supports,
        refutes,
        (_SCORE, _SAMPLES),
        {"heads": total},
    )


def intrinsic(name: str, base: RankedHeads, derived: RankedHeads, k: int = TOP) -> Verdict:
    """Models derived from one base use the same set of retrieval heads: by longer context, chat or mixture of experts (section 3).

    Measured: the Jaccard of the first `k` heads (20) of the base model's list and the derived model's, of the same statistic, with what
    lists drawn at random would share; Spearman's rank correlation beside it, which has no say.
    Supported if random lists share as many with a probability under 0.001, and the Jaccard is 0.5 or more: of 20 heads 14. Refuted if
    random lists share as many with a probability of 0.05 or more. Inconclusive else: above chance, but not the same set.
    There is no interval: both lists are taken as they were published.

    Raises:
        InputError: lists of different shapes.
    """
    found, ranks = overlap(base, derived, k), rank_correlation(base, derived)
    shared = f"{found.shared} of {min(found.sizes)} shared, p = {found.p:.2g}"
    n, at = min(found.sizes), {"k": k}
    jaccard = Evidence("Jaccard", Interval(found.jaccard, math.nan, math.nan, n), at, null=found.chance)
    by_chance = Evidence("probability that random lists share as many", Interval(found.p, math.nan, math.nan, n), at)
    rare, common = (Demand(by_chance, side, bound, True, unit="p") for side, bound in ((Side.BELOW, FAR_ABOVE), (Side.AT_LEAST, ABOVE)))
    supports = (
        Criterion.asking(f"random lists share as many with a probability under {FAR_ABOVE:g} ({shared})", rare),
        Criterion.asking(f"the Jaccard is {SAME:g} or more ({found.jaccard:.3f})", Demand(jaccard, Side.AT_LEAST, SAME, True)),
    )
    refutes = (Criterion.asking(f"random lists share as many with a probability of {ABOVE:g} or more ({shared})", common),)
    return Verdict(
        name,
        "wu2024.intrinsic",
        outcome(supports, refutes),
        (
            jaccard,
            Evidence("rank correlation", Interval(ranks.rho, math.nan, math.nan, ranks.n), note="beside it; has no say"),
        ),
        supports,
        refutes,
        ("two fixed lists: no interval; n counts heads",),
        {"shared": found.shared, "p": found.p},
    )


def universal(lists: Mapping[str, RankedHeads]) -> Verdict:
    """Every model has retrieval heads: "all the explored models with long-context capability have a set of retrieval heads" (abstract).

    Measured: for each model's list, how many heads have a mean score of 0.1 or more, with the interval of `retrieval_heads`.
    Supported if there are at least five lists, and each has at least one such head surely. Refuted if one of them has none even possibly.
    Inconclusive else, and where a list does not say how scores spread over samples and no other refutes.

    Raises:
        InputError: no list, or one without scores.
    """
    if not lists:
        raise InputError("at least one list is judged, got none")
    counts = {name: retrieval_heads(ranked) for name, ranked in lists.items()}
    unknown = any(math.isnan(count.low) for count in counts.values())
    surely = [name for name, count in counts.items() if count.low >= 1]
    none = [name for name, count in counts.items() if count.high < 1]
    each = None if unknown else len(surely) == len(lists)
    evidence = tuple(Evidence(COUNTED, count, {"file": name}) for name, count in counts.items())
    asked = tuple(Demand(row, Side.AT_LEAST, 1.0, unit="heads") for row in evidence)
    enough = Demand(
        Evidence("lists", Interval(float(len(lists)), math.nan, math.nan, len(lists))),
        Side.AT_LEAST,
        float(FEWEST_MODELS),
        True,
        unit="lists",
    )
    supports = (
        Criterion.asking(f"there are at least {FEWEST_MODELS} lists ({len(lists)})", enough),
        Criterion(f"each has a head that surely scores {THRESHOLD:g} or more ({len(surely)} of {len(lists)})", each, asked=asked),
    )
    refutes = (Criterion(f"one has no head that possibly does ({', '.join(none) or 'none'})", bool(none) or (None if unknown else False)),)
    return Verdict("all lists", "wu2024.universal", outcome(supports, refutes), evidence, supports, refutes, (_SCORE, _SAMPLES))


def verdicts(claim: str, lists: Mapping[str, RankedHeads], k: int = TOP) -> list[Verdict]:
    """The verdicts on a property by its name: `sparse` one for each list, `intrinsic` one for each list after the first, `universal` one.

    Raises:
        InputError: another name, or `intrinsic` of fewer than two lists.
    """
    if claim == "sparse":
        return [sparse(name, ranked) for name, ranked in lists.items()]
    if claim == "universal":
        return [universal(lists)]
    if claim != "intrinsic":
        raise InputError(f"lists alone can show sparse, intrinsic or universal, got {claim!r}")
    (name, base), *derived = lists.items()
    if not derived:
        raise InputError(f"intrinsic needs a base model's list and at least one of a model derived from it, got {name!r} alone")
    return [intrinsic(f"{other} from {name}", base, ranked, k) for other, ranked in derived]

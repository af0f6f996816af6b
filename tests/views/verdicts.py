"""Verdicts made up by hand, one that has everything a figure can show."""

from mechdyn.evidence import LESS, SECOND, Criterion, Demand, Evidence, Outcome, Side, Verdict
from mechdyn.stats.interval import Interval

NAUGHTY = "<img src=x onerror=alert(1)>"


def interval(estimate: float, reach: float = 0.05, n: int = 40) -> Interval:
    return Interval(estimate, estimate - reach, estimate + reach, n, "bootstrap")


def made_up_verdict(model: str = "mini", shift: float = 0.0) -> Verdict:
    """Two criteria that support and one that refutes, in two units, with everything beside them."""
    share = Evidence("share that a fixed list explains", interval(0.6 + shift), {"list": "top 20"}, 0.25, samples=(0.5, 0.6, 0.7))
    place = {"k": 0, "samples": "held out"}
    top = Evidence("top correlation", interval(0.9 + shift), place, 0.4)
    null = Evidence("top correlation", interval(0.4), {**place, "samples": "its null"})
    ahead = Evidence("top correlation", interval(0.5 + shift), {**place, LESS: "its null"}, 0.0)
    effect = Evidence("Δ log p", interval(2.0 + shift, 0.5), {"heads": "own", LESS: "static"}, 0.0)
    paper = Evidence("adjacent Jaccard", interval(0.35 + shift), paper={"llama3.1-8b": 0.2793, NAUGHTY: 0.31})
    supports = (
        Criterion.asking("Q is below 0.75", Demand(share, Side.BELOW, 0.75), p=0.01),
        Criterion.asking("the correlation is above its null", Demand(ahead, Side.ABOVE, 0.0), Demand(top, Side.ABOVE, null)),
        Criterion.asking("own takes more", Demand(effect, Side.ABOVE, 0.0, unit="nats")),
    )
    refutes = (Criterion.asking("Q is above 0.9", Demand(share, Side.ABOVE, 0.9), Demand(ahead, Side.ABOVE, 0.0, negated=True)),)
    evidence = (share, top, null, ahead, effect, paper)
    return Verdict(model, "dynamism", Outcome.SUPPORTED, evidence, supports, refutes, named=SECOND)

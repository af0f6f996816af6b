"""Wu et al. 2024, dynamically activated: most retrieval heads are active in some contexts, and on some tokens, only.

Some "always attend to the required information no matter how the context is changed", the rest "are activated in different contexts"
(abstract).
They count how often a head is activated on at least one token of a needle (activation frequency) beside the share of tokens (retrieval
score): 12 heads of Llama-2-7B-80K and 36 of Yi-6B-200K have a frequency of 1, the others are activated on certain tokens and contexts. It
is another statement than dynamism (`mechdyn verify dynamism`), which compares the sets of heads of neighbouring steps.

Here: retrieval heads are those whose mean score is 0.1 or more on a detection set that shares no sample with the measured ones. On the
correct measured samples, the *token share* of a head in a sample in which it retrieves at all is the share of the sample's retrieving steps
(those at which any head retrieves) at which it does. The mean is over all such heads and samples, its interval by sample. A head that is
always on has 1.

Criteria, fixed before any result was seen (known were the overlaps of neighbouring steps, 1 and 0.18 on the controls, 0.70 and 0.50 on
`mini` and `smollm2-135m`):

- supported if the mean token share has its upper end below 0.8;
- refuted if it has its lower end above 0.95.

Inconclusive between, without any retrieval head, and with fewer than 20 correct samples that have a retrieving step. Activation frequency
over samples stands beside without a say: needles of one template are hardly different contexts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mechdyn.claims.claim import claim
from mechdyn.claims.wu2024_causal import retrieving
from mechdyn.evidence import MIN_RETRIEVING_SAMPLES, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.paper.parts import PaperPart
from mechdyn.plans import DETECTION, EVALUATION, NO_TRACES, Plan, Request, chosen_preset
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters
from mechdyn.stats.means import bootstrap_mean, mean_interval
from mechdyn.stats.resampling import UNIT
from mechdyn.studies.conditions import DETECTION_ROLE, PRESETS, detect, samples
from mechdyn.tasks.task import is_correct
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

SOME, ALWAYS = 0.8, 0.95
SHARE, FREQUENCY = "token share of a retrieval head", "activation frequency of a retrieval head"


@claim
@dataclass(frozen=True)
class WuDynamic:
    """The claim, its plan and its judge."""

    name: str = "wu2024.dynamic"
    paper: str = ""
    parts: tuple[PaperPart, ...] = ()

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` says which heads retrieve, `evaluation` when."""
        preset = chosen_preset(PRESETS, request)
        parts = {DETECTION_ROLE: DETECTION, "evaluation": EVALUATION}
        return Plan({role: samples(request, preset, part) for role, part in parts.items()})

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is the mean token share, and the activation frequencies beside it."""
        model, detection = str(request.model["name"]), detect(traces[DETECTION_ROLE])
        if detection is None or not len(found := retrieving(detection)):
            why = "no detection sample was answered correctly" if detection is None else "no head scores 0.1 or more on the detection set"
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, notes=(f"{why}, so there are no retrieval heads",))
        right = [
            trace for trace in traces["evaluation"] if is_correct(trace.task, trace.text, trace.answer) and trace.retrieving_steps.any()
        ]
        facts = {"retrieval_heads": len(found), "heads": found.mask().numel(), "samples": len(right)}
        if len(right) < MIN_RETRIEVING_SAMPLES:
            few = f"{len(right)} correct samples have a retrieving step; {MIN_RETRIEVING_SAMPLES} are needed"
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, notes=(few,), facts=facts)
        shares = token_shares(right, found.mask().numpy())
        share, evidence = _evidence(shares, trace_clusters(right))
        facts["active_in_every_sample"] = int((shares > 0).all(axis=0).sum())
        below, above = Demand(evidence[0], Side.BELOW, SOME), Demand(evidence[0], Side.ABOVE, ALWAYS)
        supports = (Criterion.asking(f"the mean token share {share} has its upper end below {SOME}", below),)
        refutes = (Criterion.asking(f"the mean token share {share} has its lower end above {ALWAYS}", above),)
        return Verdict(model, self.name, outcome(supports, refutes), evidence, supports, refutes, facts=facts)


def token_shares(traces: Sequence[Trace], heads: np.ndarray) -> Float[np.ndarray, "sample head"]:
    """For each sample and head of the mask, the share of the sample's retrieving steps at which the head retrieves."""
    return np.stack([trace.active[trace.retrieving_steps].float().mean(dim=0).numpy()[heads] for trace in traces])


def _evidence(shares: Float[np.ndarray, "sample head"], clusters: Clusters) -> tuple[Interval, tuple[Evidence, ...]]:
    on = shares > 0
    share = bootstrap_mean(shares.sum(axis=1).astype(np.float64), on.sum(axis=1), clusters, limits=UNIT)
    frequency = mean_interval(on.mean(axis=1), clusters)
    return share, (Evidence(SHARE, share, null=1.0), Evidence(FREQUENCY, frequency, note="beside it; has no say"))

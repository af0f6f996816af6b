"""A claim: at a step that retrieves, fewer than a fifth of the heads do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mechdyn import Trace
from mechdyn.claims.claim import Claim, claim
from mechdyn.evidence import Criterion, Evidence, Verdict, outcome
from mechdyn.plans import EVALUATION, NO_TRACES, Plan, Preset, Request, chosen_preset, task_units
from mechdyn.stats.overlap import heads_per_step

PRESETS = {"quick": Preset((256,), n_seeds=2)}
SHARE = 0.2


@claim
@dataclass(frozen=True)
class FewHeads(Claim):
    """Supported where the mean number of retrieving heads lies wholly below a fifth of all, refuted where wholly above."""

    name: str = "few-heads"

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        return Plan({"evaluation": task_units(request, chosen_preset(PRESETS, request), EVALUATION, n_parts=1)})

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        size = heads_per_step(traces["evaluation"]).mean
        bound = SHARE * request.model["n_layers"] * request.model["n_heads"]
        supports = (Criterion(f"{size} heads a step have their upper end below {bound:g}", size.high < bound),)
        refutes = (Criterion(f"{size} heads a step have their lower end above {bound:g}", size.low > bound),)
        evidence = (Evidence("heads per retrieving step", size),)
        return Verdict(str(request.model["name"]), self.name, outcome(supports, refutes), evidence, supports, refutes)

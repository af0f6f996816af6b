"""Verify a claim: plan, run what the store lacks, plan again from what came out, judge from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mechdyn.claims.anticipation import Anticipation
from mechdyn.claims.claim import Claim, Plan, Request, Verdict
from mechdyn.claims.correlation import Correlation
from mechdyn.claims.dynamism import Dynamism
from mechdyn.claims.irreplaceability import Irreplaceability
from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.sweep.run_folder import open_run, write_json
from mechdyn.sweep.stages import run_stages
from mechdyn.sweep.stores import open_store
from mechdyn.tasks.build import build_sample
from mechdyn.tasks.niah import check_request, read_haystack
from mechdyn.traces.trace import Trace

CLAIMS: Mapping[str, Claim] = {claim.name: claim for claim in (Dynamism(), Irreplaceability(), Correlation(), Anticipation())}


@dataclass(frozen=True)
class VerifyConfig:
    """What `mechdyn verify` was asked; the resolved copy is saved with the results."""

    claim: str
    model: str = "mini"
    preset: str = "quick"
    lengths: tuple[int, ...] = ()
    seed: int = 0
    haystack: str | None = None
    batch_size: int = 8


@dataclass(frozen=True)
class Verified:
    """A verdict with what it was judged on."""

    verdict: Verdict
    traces: Mapping[str, Sequence[Trace]]
    folder: Path


def verify(config: VerifyConfig, out: str | Path) -> Verified:
    """Run and judge one claim; the folder holds `run.json`, `traces/` and `verdicts.json`. Run again, it goes on where it stopped."""
    claim = get_claim(config.claim)
    model = load_model(config.model)
    digest = haystack_digest(config.haystack)
    request = Request(model.identity(), config.preset, config.lengths, config.seed, config.haystack, digest)
    check_samples(model, claim.plan(request))
    folder = open_run(out, {**asdict(config), "model": model.identity()})
    store = open_store(folder / "traces", model, seed=config.seed)
    describe = f"{claim.name} on {Path(config.model).name}"
    traces = run_stages(partial(claim.plan, request), model, store, batch_size=config.batch_size, describe=describe)
    verdict = claim.judge(request, traces)
    write_json(folder / "verdicts.json", [verdict.as_json()])
    return Verified(verdict, traces, folder)


def get_claim(name: str) -> Claim:
    """A claim by name."""
    if name not in CLAIMS:
        raise InputError(f"unknown claim {name!r}; give one of {', '.join(CLAIMS)}")
    return CLAIMS[name]


def haystack_digest(haystack: str | None) -> str | None:
    """A hash of the haystack's text, for units: files of one name may differ."""
    return content_hash(read_haystack(haystack)) if haystack is not None else None


def check_samples(model: Model, plan: Plan) -> None:
    """Meet bad lengths, depths and haystacks before anything is written: the shortest and the longest sample are built."""
    for unit in plan.units:
        check_request(unit.sample["length"], unit.sample["depth"], model.n_ctx)
    ordered = sorted(plan.units, key=lambda unit: unit.sample["length"])
    for unit in (ordered[0], ordered[-1]):
        build_sample(model, unit.sample)

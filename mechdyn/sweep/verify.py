"""Verify a claim: plan, run what the store lacks, plan again from what came out, judge from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mechdyn.claims.anticipation import Anticipation
from mechdyn.claims.claim import Claim, Request, Verdict
from mechdyn.claims.correlation import Correlation
from mechdyn.claims.dynamism import Dynamism
from mechdyn.claims.irreplaceability import Irreplaceability
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.sweep.configs import VerifyConfig
from mechdyn.sweep.requests import check_choices, check_samples, make_request
from mechdyn.sweep.run_folder import open_run, write_json
from mechdyn.sweep.stages import run_stages
from mechdyn.sweep.stores import open_store
from mechdyn.traces.trace import Trace

CLAIMS: Mapping[str, Claim] = {claim.name: claim for claim in (Dynamism(), Irreplaceability(), Correlation(), Anticipation())}


@dataclass(frozen=True)
class Verified:
    """A verdict with what it was judged on."""

    verdict: Verdict
    traces: Mapping[str, Sequence[Trace]]
    folder: Path


@dataclass(frozen=True)
class Traced:
    """What a claim asked for, run and not yet judged."""

    claim: Claim
    request: Request
    traces: Mapping[str, Sequence[Trace]]
    folder: Path


def verify(config: VerifyConfig, out: str | Path) -> Verified:
    """Run and judge one claim; the folder holds `run.json`, `traces/` and `verdicts.json`. Run again, it goes on where it stopped."""
    traced = trace_claim(config, out)
    verdict = traced.claim.judge(traced.request, traced.traces)
    write_json(traced.folder / "verdicts.json", [verdict.as_json()])
    return Verified(verdict, traced.traces, traced.folder)


def trace_claim(config: VerifyConfig, out: str | Path) -> Traced:
    """Run what a claim needs, without judging it."""
    claim = get_claim(config.claim)
    check_choices(config.task, config.style, config.data, config.haystack, config.lengths)
    model = load_model(config.model)
    request = make_request(
        model,
        preset=config.preset,
        lengths=config.lengths,
        seed=config.seed,
        haystack=config.haystack,
        task=config.task,
        style=config.style,
        data=config.data,
    )
    first = claim.plan(request)
    check_samples(model, first)
    folder = open_run(out, {**asdict(config), "model": model.identity()})
    store = open_store(folder / "traces", model, score=first.units[0].decoding["score"], seed=config.seed)
    describe = f"{claim.name} on {Path(config.model).name}, {config.task}"
    traces = run_stages(partial(claim.plan, request), model, store, batch_size=config.batch_size, describe=describe)
    return Traced(claim, request, traces, folder)


def get_claim(name: str) -> Claim:
    """A claim by name."""
    if name not in CLAIMS:
        raise InputError(f"unknown claim {name!r}; give one of {', '.join(CLAIMS)}")
    return CLAIMS[name]

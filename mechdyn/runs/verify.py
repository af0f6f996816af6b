"""Verify a claim: plan, run what the store lacks, plan again from what came out, judge from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mechdyn.claims.claim import Claim
from mechdyn.claims.registry import get_claim
from mechdyn.decoding.engines import make_engine
from mechdyn.evidence import Verdict
from mechdyn.models.load import load_model
from mechdyn.plans import Request
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.folder import open_run, write_json
from mechdyn.runs.requests import check_choices, check_samples, make_request
from mechdyn.runs.stages import ROLES, run_stages
from mechdyn.runs.stores import open_store
from mechdyn.studies.facts import FactReport, clean_traces, fact_report
from mechdyn.traces.trace import Trace


@dataclass(frozen=True)
class Verified:
    """A verdict with what it was judged on, and for questions what became of their supporting facts."""

    verdict: Verdict
    traces: Mapping[str, Sequence[Trace]]
    folder: Path
    facts: FactReport | None = None


@dataclass(frozen=True)
class Traced:
    """What a claim asked for, run and not yet judged."""

    claim: Claim
    request: Request
    traces: Mapping[str, Sequence[Trace]]
    folder: Path


def verify(config: VerifyConfig, out: str | Path) -> Verified:
    """Run and judge one claim; the folder holds `run.json`, `traces/`, `verdicts.json` and, for questions, `facts.json`.

    Run again, it goes on where it stopped.
    """
    traced = trace_claim(config, out)
    verdict = traced.claim.judge(traced.request, traced.traces)
    write_json(traced.folder / "verdicts.json", [verdict.as_json()])
    facts = None if config.task == "niah" else fact_report(clean_traces(traced.traces))
    if facts is not None:
        write_json(traced.folder / "facts.json", facts.as_json())
    return Verified(verdict, traced.traces, traced.folder, facts)


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
    engine = make_engine(model, config.engine)
    folder = open_run(out, {**asdict(config), "model": model.identity()})
    store = open_store(folder / "traces", model, score=first.units[0].decoding["score"], seed=config.seed)
    describe = f"{claim.name} on {Path(config.model).name}, {config.task}"
    traces = run_stages(
        partial(claim.plan, request), model, store, batch_size=config.batch_size, describe=describe, engine=engine, record=folder / ROLES
    )
    return Traced(claim, request, traces, folder)

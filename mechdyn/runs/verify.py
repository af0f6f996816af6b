"""Verify a claim: plan, run what the store lacks, plan again from what came out, judge from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mechdyn.claims.claim import get_claim, rules_of
from mechdyn.errors import InputError, StoreError
from mechdyn.evidence import Verdict
from mechdyn.heads import read_heads
from mechdyn.plans import Request
from mechdyn.runs.configs import VerifyConfig, default_folder
from mechdyn.runs.finished import STATIC
from mechdyn.runs.folder import read_record
from mechdyn.runs.registered import judged
from mechdyn.runs.session import Session
from mechdyn.studies.facts import FactReport, clean_traces, fact_report, has_facts
from mechdyn.traces.trace import Trace

VERDICTS, FACTS = "verdicts.json", "facts.json"


@dataclass(frozen=True)
class Verified:
    """A verdict with what it was judged on, and for questions what became of their supporting facts."""

    verdict: Verdict
    traces: Mapping[str, Sequence[Trace]]
    folder: Path
    facts: FactReport | None = None


@dataclass(frozen=True)
class Unjudged:
    """What a claim asked for, run and not yet judged."""

    request: Request
    traces: Mapping[str, Sequence[Trace]]
    folder: Path


def verify(config: VerifyConfig, out: str | Path | None = None) -> Verified:
    """Run and judge one claim; the folder holds `run.json`, `traces/`, `verdicts.json` and, for questions, `facts.json`.

    Run again, it goes on where it stopped. Without `out` the folder is `runs/CLAIM-MODEL-…`.
    """
    claim = get_claim(config.claim)
    if config.heads and not getattr(claim, "takes_heads", False):
        raise InputError(f"the claim {config.claim} compares with no list of the user's; leave --heads out")
    with _open(config, out) as run:
        keep_static(run)
        traced = _traced(run)
        verdict = judged(claim, traced.request, traced.traces, read_record(traced.folder))
        run.write(VERDICTS, [verdict.as_json()])
        clean = clean_traces(traced.traces)
        facts = fact_report(clean) if has_facts(clean) else None
        if facts is not None:
            run.write(FACTS, facts.as_json())
        return Verified(verdict, traced.traces, traced.folder, facts)


def keep_static(run: Session) -> None:
    """Keep the user's static heads with the run, so that it is judged by the same ones again.

    Raises:
        StoreError: the run has others.
    """
    if run.request.static is None:
        return
    path = run.folder / STATIC
    if path.is_file() and read_heads(path) != run.request.static:
        raise StoreError(f"the heads in {run.config.heads} changed since {path} was written; name a new folder with --out")
    run.request.static.save(path)


def trace_claim(config: VerifyConfig, out: str | Path | None = None) -> Unjudged:
    """Run what a claim needs, without judging it."""
    get_claim(config.claim)
    with _open(config, out) as run:
        return _traced(run)


def _open(config: VerifyConfig, out: str | Path | None) -> Session:
    return Session.open(config, out if out is not None else default_folder(config.claim, config))


def _traced(run: Session) -> Unjudged:
    claim = get_claim(run.config.claim)
    describe = f"{run.config.claim} on {Path(run.config.model).name}, {run.request.task.name}"
    return Unjudged(run.request, run.traces(partial(claim.plan, run.request), describe=describe, rules=rules_of(claim)), run.folder)

"""Verify a claim: plan, run what the store lacks, plan again from what came out, judge from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mechdyn.claims.claim import get_claim, rules_of
from mechdyn.errors import InputError, StoreError
from mechdyn.evidence import Verdict
from mechdyn.plans import PRESET_NAMES, Request
from mechdyn.runs.command_lines import command_line, default_folder
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.failure import Failure
from mechdyn.runs.finished import STATIC, read_folder
from mechdyn.runs.folder import read_record
from mechdyn.runs.own_heads import read_own_heads, write_own_heads
from mechdyn.runs.registered import judged
from mechdyn.runs.run_log import MAX_FAILURES
from mechdyn.runs.session import Session
from mechdyn.runs.site import HERE, Site
from mechdyn.studies.facts import FactReport, clean_traces, fact_report, has_facts
from mechdyn.traces.stored import AnyTrace
from mechdyn.traces.trace import Trace

VERDICTS, FACTS = "verdicts.json", "facts.json"
NAMED = 5
"""Units set aside that a verdict names one by one."""


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


def verify(config: VerifyConfig, out: str | Path | None = None, site: Site = HERE) -> Verified:
    """Run and judge one claim; the folder holds `run.json`, `log.jsonl`, `traces/`, `verdicts.json` and, for questions, `facts.json`.

    Run again, it goes on where it stopped. Without `out` the folder is `runs/CLAIM-MODEL-…`. Units that failed for good are named in the
    verdict's notes.
    """
    claim = get_claim(config.claim)
    if config.heads and not getattr(claim, "takes_heads", False):
        raise InputError(f"the claim {config.claim} compares with no list of the user's; leave --heads out")
    with _open(config, out, site) as run:
        keep_static(run)
        traced = _traced(run)
        verdict = judged(claim, traced.request, traced.traces, read_record(traced.folder))
        verdict = noting_absent(verdict, traced.traces, run.set_aside)
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
    if path.is_file() and read_own_heads(path) != run.request.static:
        raise StoreError(f"the heads in {run.config.heads} changed since {path} was written; name a new folder with --out")
    write_own_heads(path, run.request.static)


def trace_claim(config: VerifyConfig, out: str | Path | None = None) -> Unjudged:
    """Run what a claim needs, without judging it."""
    get_claim(config.claim)
    with _open(config, out) as run:
        return _traced(run)


def judge_there(path: str | Path) -> Verified:
    """Judge what a run of `verify` has stored so far; nothing is run or written.

    Units that are not there yet are counted as failed, and the verdict's last notes say how many they are.

    Raises:
        StoreError: no folder of such a run, a damaged file, or too little to judge.
    """
    path = Path(path)
    record = read_record(path)
    if record.kind != VerifyConfig.kind or "claim" not in record.asked:
        raise StoreError(
            f"{path} is a run of {record.kind}, which has no claim to judge; `mechdyn report {path}` reads it when it is finished"
        )
    command = command_line("mechdyn verify", VerifyConfig, {**record.asked, "model": record.source}, out=path)
    folder = read_folder(path, record, command, partial=True)
    claim = get_claim(str(record.asked["claim"]))
    try:
        verdict = judged(claim, folder.request, folder.roles, record)
    except (LookupError, ValueError) as error:
        there = f"{folder.planned - folder.missing} of the {folder.planned} units planned so far"
        raise StoreError(f"run {path} cannot be judged yet: {there} are there ({_line(error)}); go on with it by: {command}") from error
    verdict = noting_absent(verdict, folder.stored, folder.set_aside, folder.missing)
    return Verified(verdict, folder.roles, path)


def _line(error: Exception) -> str:
    return f"no {error.args[0]} yet" if isinstance(error, KeyError) and error.args else " ".join(str(error).split())


def noting_absent(
    verdict: Verdict, traces: Mapping[str, Sequence[AnyTrace]], set_aside: Mapping[str, Failure], missing: int = 0
) -> Verdict:
    """The verdict, with notes on the units that it was judged without: those that failed for good, and those not run yet."""
    keys = {trace.unit for role in traces.values() for trace in role}
    aside = [failure for key, failure in set_aside.items() if key in keys]
    notes = [f"{missing} of {len(keys)} units are not run yet; the verdict is on the others, and may change with them"] if missing else []
    notes += [f"set aside after {MAX_FAILURES} failures: {failure.about} ({failure})" for failure in aside[:NAMED]]
    notes += [f"and {len(aside) - NAMED} units more were set aside"] if len(aside) > NAMED else []
    return replace(verdict, notes=(*verdict.notes, *notes)) if notes else verdict


def _open(config: VerifyConfig, out: str | Path | None, site: Site = HERE) -> Session:
    if config.preset not in PRESET_NAMES and type(get_claim(config.claim)).__module__.startswith("mechdyn."):
        raise InputError(f"unknown preset {config.preset!r}; give one of {', '.join(PRESET_NAMES)}")
    return Session.open(config, out if out is not None else default_folder(config.claim, config), site)


def _traced(run: Session) -> Unjudged:
    claim = get_claim(run.config.claim)
    describe = f"{run.config.claim} on {Path(run.config.model).name}, {run.request.task.name}"
    return Unjudged(run.request, run.traces(partial(claim.plan, run.request), describe=describe, rules=rules_of(claim)), run.folder)

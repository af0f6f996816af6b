"""What a verdict will be judged by, fixed in `run.json` before the first trace, and held against what it was judged by in the end.

`registered` in `run.json` has the claim, the name of its criteria, their margins, its own options, the seed of all samples, and of
each role that the claim could name then how many units it has and the hash of their keys (a unit's key hashes its sample, model, decoding
and ablation). `hash` is that of all this with what the run was asked and the model's identity; `at` is when, and no part of it, so that the
same plan has the same hash wherever it is made. Roles that follow from the first traces, such as the conditions of an ablation by detected
heads, are added under `later`, each before its own traces. Publish the hash, and nobody need trust the folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mechdyn.claims.claim import Claim, Rules, rules_of
from mechdyn.errors import StoreError
from mechdyn.evidence import Verdict
from mechdyn.hashing import content_hash
from mechdyn.plans import Request
from mechdyn.runs.folder import RECORD, RunRecord, read_record, write_json
from mechdyn.traces.stored import AnyTrace
from mechdyn.traces.trace import Trace

Keys = Mapping[str, Sequence[str]]
"""The keys of each role's units, in order."""
ROLES = "traces.json"
"""The file beside `traces/` that lists each role's units by key; it is there once a run has begun."""
_HASHED = ("claim", "named", "margins", "options", "seeds", "splits")


@dataclass(frozen=True)
class Standing:
    """What became of a registration: its hash, empty where there is none, and a line for each thing that is otherwise now."""

    hash: str
    differences: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`yes, hash 0123…`, `changed since, hash 0123…` or `no`: a cell of a table."""
        if not self.hash:
            return "no"
        return f"{'changed since' if self.differences else 'yes'}, hash {self.hash}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The same as a sentence, and a line for each difference."""
        if not self.hash:
            return ("registered before the first trace: no",)
        if not self.differences:
            return (f"registered before the first trace: yes, hash {self.hash}",)
        return (f"registered before the first trace (hash {self.hash}), but changed since:", *(f"  {line}" for line in self.differences))


def register(folder: Path, rules: Rules, keys: Keys) -> None:
    """Fix what a run will be judged by; called before each role is run, with the keys of all roles that are named so far.

    A run with traces that were made without it is never registered afterwards, and what is registered is never changed: roles that are new
    are added as later ones.

    Raises:
        StoreError: `run.json` cannot be read.
    """
    record = read_record(folder)
    if record.registered is None:
        if (folder / ROLES).is_file():
            return
        fixed = {**_as_json(rules), "seeds": {"samples": record.asked.get("seed", 0)}, "splits": _splits(keys)}
        at = datetime.now(UTC).isoformat(timespec="seconds")
        made = {**fixed, "later": {}, "at": at, "hash": _hash_of(record, fixed)}
    else:
        known = {**record.registered["splits"], **record.registered["later"]}
        new = _splits({role: units for role, units in keys.items() if role not in known})
        if not new:
            return
        made = {**record.registered, "later": {**record.registered["later"], **new}}
    write_json(folder / RECORD, replace(record, registered=made).as_json())


def standing(record: RunRecord, rules: Rules, keys: Keys) -> Standing:
    """Hold what was registered against what is judged: the rules as they are now, and the units of each role.

    Raises:
        StoreError: an entry `registered` that lacks a part.
    """
    found = record.registered
    if found is None:
        return Standing("")
    try:
        differences = [*_changed_rules(found, _as_json(rules)), *_changed_splits({**found["splits"], **found["later"]}, _splits(keys))]
        if found["hash"] != _hash_of(record, found):
            differences.append("run.json: what it says was registered, or asked, does not have the hash that stands there")
        return Standing(str(found["hash"]), tuple(differences))
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{RECORD} has an entry 'registered' that mechdyn did not write ({error!r}); restore it, or run again") from error


def judged(claim: Claim, request: Request, traces: Mapping[str, Sequence[Trace]], record: RunRecord) -> Verdict:
    """The claim's verdict, with a note of whether what it was judged by is what was registered."""
    return noted(claim.judge(request, traces), standing(record, rules_of(claim), unit_keys(traces)))


def noted(verdict: Verdict, found: Standing) -> Verdict:
    """The verdict with that note behind its own."""
    return replace(verdict, notes=(*verdict.notes, *found.notes))


def unit_keys(traces: Mapping[str, Sequence[AnyTrace]]) -> Keys:
    """The keys of the units that traces are of."""
    return {role: [trace.unit for trace in found] for role, found in traces.items()}


def _as_json(rules: Rules) -> dict[str, Any]:
    return {"claim": rules.claim, "named": rules.named, "margins": dict(rules.margins), "options": dict(rules.options)}


def _splits(keys: Keys) -> dict[str, Any]:
    return {role: {"units": len(units), "hash": content_hash(list(units))} for role, units in keys.items()}


def _hash_of(record: RunRecord, fixed: Mapping[str, Any]) -> str:
    return content_hash(
        {"kind": record.kind, "asked": dict(record.asked), "model": dict(record.model), **{name: fixed[name] for name in _HASHED}}
    )


def _changed_rules(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    lines = [_changed(name, then[name], now[name]) for name in ("claim", "named") if then[name] != now[name]]
    for part in ("margins", "options"):
        names = dict.fromkeys([*then[part], *now[part]])
        pairs = ((name, then[part].get(name, "none"), now[part].get(name, "none")) for name in names)
        lines += [_changed(f"{part}, {name}", before, after) for name, before, after in pairs if before != after]
    return lines


def _changed_splits(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Roles whose units are others; a role that is judged and was never registered among them."""
    lines = []
    for role in dict.fromkeys([*then, *now]):
        before, after = then.get(role), now.get(role)
        if before is None or after is None:
            lines.append(f"role {role}: {'registered, not judged' if after is None else 'judged, never registered'}")
        elif before != after:
            lines.append(f"role {role}: other units, or another order ({before['units']} then, {after['units']} now)")
    return lines


def _changed(name: str, before: object, after: object) -> str:
    return f"{_WORDS.get(name, name)}: {before!r} then, {after!r} now"


_WORDS = {"named": "criteria"}

"""What the sets follow, run on a model: permuted needles or any other task, measured from the traces."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mechdyn.errors import InputError
from mechdyn.evidence import Evidence
from mechdyn.plans import chosen_preset, named_preset
from mechdyn.runs.ablate import RESULTS
from mechdyn.runs.configs import FollowsConfig
from mechdyn.runs.finished import read_folder
from mechdyn.runs.folder import read_record
from mechdyn.runs.session import Session
from mechdyn.stats.interval import Interval
from mechdyn.studies.follows import CARRIED, PRESETS, ROLE, Follows, carried_over, follows, follows_plan
from mechdyn.traces.trace import Trace

THIS_RUN = "this run"


@dataclass(frozen=True, eq=False)
class Followed:
    """What was found; `carried` is what the modes of each run gain on the steps of each, by (fitted on, tried on)."""

    found: Follows
    carried: Mapping[tuple[str, str], Interval]
    folder: Path


def run_follows(config: FollowsConfig, out: str | Path | None = None) -> Followed:
    """Trace the needles and measure; the folder holds `run.json`, `traces/` and `results.json`. Run again, it goes on where it stopped.

    Raises:
        InputError: options that do not go together; nothing is written. Also where too few answers are right.
        StoreError: a folder of `beside` that is no such run.
    """
    named_preset(PRESETS, config.preset)
    for name in config.beside:
        read_record(Path(name))
    with Session.open(config, out) as run:
        beside = {name: _answers(name, run.model.identity()) for name in config.beside}
        plan = follows_plan(run.request, chosen_preset(PRESETS, run.request), haystacks=config.haystacks, orders=config.orders)
        traces = run.traces(plan, describe=f"what sets follow on {Path(config.model).name}, {run.request.task.name}")[ROLE]
        with tqdm(desc="predictors and modes", unit="fit", leave=False) as bar:
            found = follows(traces, seed=config.seed, done=lambda: bar.update())
        carried = carried_over({THIS_RUN: traces, **beside}, seed=config.seed) if beside else {}
        run.write(RESULTS, {**found.as_json(), "carried": [each.as_json() for each in carried_evidence(carried)]})
        return Followed(found, carried, run.folder)


def carried_evidence(carried: Mapping[tuple[str, str], Interval]) -> list[Evidence]:
    """As `results.json` has it."""
    return [Evidence(CARRIED, gain, {"of": source, "on": target}) for (source, target), gain in carried.items()]


def _answers(path: str, model: Mapping[str, object]) -> list[Trace]:
    """The answers of another run of this command, of the same model."""
    record = read_record(Path(path))
    if record.kind != FollowsConfig.kind:
        raise InputError(f"--beside takes folders of mechdyn follows, {path} is of {record.kind}")
    if record.model.get("name") != model["name"]:
        raise InputError(
            f"modes are of the heads of one model, so how far they carry over to {record.model.get('name')} ({path}) is not defined; "
            f"give runs of {model['name']}"
        )
    return list(read_folder(Path(path), record, "mechdyn follows").traces["traces"][ROLE])

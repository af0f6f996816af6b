"""Folders of runs that are not finished, made by running a part of the plan."""

from pathlib import Path

from mechdyn.claims.claim import get_claim, rules_of
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.folder import write_json
from mechdyn.runs.registered import register
from mechdyn.runs.session import Session, open_store
from mechdyn.runs.units import run_units


def verify_in_part(config: VerifyConfig, folder: Path, part: slice) -> None:
    """The folder of a run of `verify` that was stopped when it had these units of its first stage."""
    with Session.open(config, folder) as run:
        plan = get_claim(config.claim).plan(run.request)
        store = open_store(run.folder / "traces", run.model, score=plan.units[0].decoding["score"], seed=config.seed)
        keys = {role: [unit.key for unit in units] for role, units in plan.roles.items()}
        register(run.folder, rules_of(get_claim(config.claim)), keys)
        write_json(run.folder / "traces.json", keys)
        run_units(run.executor, plan.units[part], store, batch_size=config.batch_size, log=run.log)

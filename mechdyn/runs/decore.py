"""`mechdyn improve decore`: contrastive decoding against the model without a list of heads, and without each step's own."""

from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.improve.chosen_heads import Retrieving
from mechdyn.improve.decore import METHODS, ContrastStrength, Decore
from mechdyn.runs.improve import Improved, check_improve, examined, listed_heads, put_to_test
from mechdyn.runs.improve_configs import DecoreConfig
from mechdyn.runs.session import Session
from mechdyn.schedules import Dynamic, Schedule, Static
from mechdyn.studies.random_lists import random_lists

SCHEDULES = ("static", "dynamic", "random")
"""The listed heads, each step's own, and as a control as many others, drawn once."""


def decore(config: DecoreConfig, out: str | Path | None = None) -> Improved:
    """Evaluate DeCoRe; the folder holds `run.json`, `answers.jsonl`, `results.json`, and what heads were detected on.

    Run again, it goes on where it stopped.

    Raises:
        InputError: options that do not go together, heads that the model does not have, or samples that it cannot hold; nothing is
            written. Also where heads are to be detected and no sample is answered correctly.
    """
    contrast = _check(config)
    with Session.open(config, out) as run:
        run.resolve(methods=config.methods or METHODS, schedules=config.schedules or SCHEDULES)
        what = examined(run)
        listed = None if run.config.schedules == ("dynamic",) else listed_heads(run)
        kinds: dict[str, Schedule] = {"dynamic": Dynamic()}
        if listed is not None:
            (others,) = random_lists(len(listed), listed, 1, config.seed)
            kinds |= {"static": Static(listed), "random": Static(others)}
        retrieving = Retrieving(config.score, config.threshold)
        variants = [
            Decore(
                run.model,
                schedule,
                f"{kind} {method}",
                method=method,
                contrast=contrast,
                retrieving=retrieving,
                engine=config.engine,
            )
            for kind, schedule in ((kind, kinds[kind]) for kind in run.config.schedules)
            for method in run.config.methods
        ]
        about = {kind: [str(head) for head in made.chosen] for kind, made in kinds.items() if isinstance(made, Static)}
        return put_to_test(run, variants, what, about=about)


def _check(config: DecoreConfig) -> ContrastStrength:
    """Refuse choices that need no model to be refused."""
    check_improve(config)
    for name, chosen, known in (("method", config.methods, METHODS), ("schedule", config.schedules, SCHEDULES)):
        for each in chosen:
            if each not in known:
                raise InputError(f"--{name} of DeCoRe is {' or '.join(known)}, got {each}")
    return ContrastStrength(config.alpha, config.cap, config.scaled)

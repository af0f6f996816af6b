"""`mechdyn improve decore`: contrastive decoding against the model without a list of heads, and without each step's own."""

from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.improve.chosen_heads import Retrieving
from mechdyn.improve.decore import METHODS, Contrast, Decore
from mechdyn.runs.improve import Improved, check_improve, examined, listed_heads, put_to_test
from mechdyn.runs.improve_configs import DecoreConfig
from mechdyn.runs.session import Session
from mechdyn.schedules import Dynamic, Schedule, Static

SCHEDULES = ("static", "dynamic")


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
        listed = listed_heads(run) if "static" in run.config.schedules else None
        kinds: dict[str, Schedule] = {"static": Static(listed)} if listed is not None else {}
        kinds |= {"dynamic": Dynamic()} if "dynamic" in run.config.schedules else {}
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
            for kind, schedule in kinds.items()
            for method in run.config.methods
        ]
        about = {"heads": [] if listed is None else [str(head) for head in listed]}
        return put_to_test(run, variants, what, about=about)


def _check(config: DecoreConfig) -> Contrast:
    """Refuse choices that need no model to be refused."""
    check_improve(config)
    for name, chosen, known in (("method", config.methods, METHODS), ("schedule", config.schedules, SCHEDULES)):
        for each in chosen:
            if each not in known:
                raise InputError(f"--{name} of DeCoRe is {' or '.join(known)}, got {each}")
    return Contrast(config.alpha, config.cap, config.scaled)

"""From what the user chose to the request that a claim plans by; what cannot be is refused before anything is written."""

import logging
from collections.abc import Sequence

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.models.model import Model
from mechdyn.plans import MAX_NEW_TOKENS, TASKS, Plan, Request
from mechdyn.tasks.build import build_sample
from mechdyn.tasks.hotpotqa import INSTRUCTIONS, load_items, load_samples
from mechdyn.tasks.niah import check_request, read_haystack

STYLES = tuple(INSTRUCTIONS)
_log = logging.getLogger(__name__)


def check_choices(
    task: str,
    style: str | None = None,
    data: str | None = None,
    haystack: str | None = None,
    lengths: Sequence[int] = (),
    depths: Sequence[float] = (),
) -> None:
    """Refuse a task that does not exist, and options that the task does not have or lacks."""
    if task not in TASKS:
        raise InputError(f"unknown task {task!r}; give one of {', '.join(TASKS)}")
    if style is not None and style not in STYLES:
        raise InputError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    if task == "hotpotqa" and data is None:
        raise InputError(
            "task hotpotqa needs a file of questions in HotpotQA's JSON layout; give one with --data FILE, or --data hub:hotpotqa/hotpot_qa"
        )
    useless = {
        "--data": data is not None and task != "hotpotqa",
        "--style": style is not None and task == "niah",
        "--haystack": haystack is not None and task != "niah",
        "--length": bool(lengths) and task == "hotpotqa",
        "--depth": bool(depths) and task != "niah",
    }
    for option, given in useless.items():
        if given:
            raise InputError(f"task {task} has no use for {option}; leave it out, or choose another task with --task")


def make_request(
    model: Model,
    *,
    preset: str = "quick",
    lengths: tuple[int, ...] = (),
    seed: int = 0,
    haystack: str | None = None,
    task: str = "niah",
    style: str | None = None,
    data: str | None = None,
) -> Request:
    """The request; for questions of a file, with the ids of those whose prompt the model can hold beside the answer.

    A warning says how many were left out.

    Raises:
        InputError: choices that do not go together, or a file that cannot be read or of which the model can hold fewer than two questions.
    """
    check_choices(task, style, data, haystack, lengths)
    style = style or STYLES[0]
    digest, questions = _questions(model, data, style) if data is not None else (None, ())
    return Request(
        model=model.identity(),
        preset=preset,
        lengths=lengths,
        seed=seed,
        haystack=haystack,
        haystack_digest=haystack_digest(haystack),
        task=task,
        style=style,
        data=data,
        data_digest=digest,
        questions=questions,
    )


def haystack_digest(haystack: str | None) -> str | None:
    """A hash of the haystack's text, for units: files of one name may differ."""
    return content_hash(read_haystack(haystack)) if haystack is not None else None


def check_samples(model: Model, plan: Plan) -> None:
    """Meet bad lengths, depths and haystacks before anything is written: the shortest and the longest sample are built."""
    for unit in plan.units:
        if "length" in unit.sample:
            check_request(unit.sample["length"], unit.sample.get("depth", 0.0), model.n_ctx, room=unit.decoding["max_new_tokens"])
    ordered = sorted(plan.units, key=lambda unit: unit.sample.get("length", 0))
    for unit in (ordered[0], ordered[-1]):
        build_sample(model, unit.sample)


def _questions(model: Model, data: str, style: str) -> tuple[str, tuple[str, ...]]:
    items = load_items(data)
    loaded = load_samples(model, items, style=style, too_long="skip", room=MAX_NEW_TOKENS["hotpotqa"])
    if len(loaded.samples) < 2:
        raise InputError(
            f"the model holds {len(loaded.samples)} of the {len(items)} questions of {data} within its context of {model.n_ctx} positions, "
            "and 2 are needed, one to find static heads on and one to measure; take shorter questions or a model with more context"
        )
    if loaded.skipped:
        _log.warning(
            "%d of the %d questions of %s are left out: with room for the answer they are longer than the model's context of %d positions",
            len(loaded.skipped),
            len(items),
            data,
            model.n_ctx,
        )
    return content_hash(items), tuple(sample.meta["id"] for sample in loaded.samples)

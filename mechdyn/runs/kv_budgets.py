"""`mechdyn improve kv-budgets`: the model with caches of a share of each prompt, dealt out once or at every step."""

from dataclasses import replace
from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads, parse_heads_or_file
from mechdyn.improve.budgets.allocation import Allotment, scores_of
from mechdyn.improve.budgets.measure import BudgetSetting
from mechdyn.improve.budgets.variant import Budgeted
from mechdyn.plans import DETECTION, Plan, Request, chosen_preset, task_units
from mechdyn.runs.improve import PRESETS, Improved, check_improve, examined, put_to_test
from mechdyn.runs.improve_configs import KVBudgetsConfig
from mechdyn.runs.own_heads import write_own_heads
from mechdyn.runs.session import Session
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.studies.kv_budgets import SCORE, found_forecast, found_list
from mechdyn.traces.budgets import ECHO, FORECAST, RANDOM, SAMPLE, SOURCES, STATIC, UNIFORM, CacheShare
from mechdyn.traces.trace import Trace

WHEN_LEFT_OUT = (UNIFORM, STATIC, ECHO, FORECAST)
"""What can be deployed."""
CACHES = (0.1, 0.2)
LIST = "static_heads.json"


def kv_budgets(config: KVBudgetsConfig, out: str | Path | None = None) -> Improved:
    """Evaluate small caches; the folder holds `run.json`, `answers.jsonl`, `results.json`, `static_heads.json`, and what was detected on.

    Run again, it goes on where it stopped.

    Raises:
        InputError: options that do not go together, a list of another model, a share that is none, or samples that the model cannot hold;
            nothing is written. Also where a list or forecast is to be found here and no sample is answered correctly.
    """
    caches = asked_caches(config)
    named = _named(config.heads) if config.heads else None
    with Session.open(config, out) as run:
        sources = tuple(dict.fromkeys(cache.source for cache in caches))
        run.resolve(score=config.score or SCORE, sources=sources, caches=config.caches or CACHES)
        what = examined(run)
        setting = _setting(run, replace(run.request, score=run.config.score), caches, named)
        variants = [Budgeted(run.model, cache, setting, score=run.config.score, engine=config.engine) for cache in caches]
        about = {"beta": config.beta, "window": config.window, "kernel": config.kernel, "list": config.heads or f"found on {config.task}"}
        return put_to_test(run, variants, what, about=about)


def asked_caches(config: KVBudgetsConfig) -> tuple[CacheShare, ...]:
    """Every source at every share; what cannot be is refused before a model is loaded."""
    check_improve(config)
    Allotment(config.window, config.beta, config.window, config.kernel)
    for source in config.sources:
        if source not in SOURCES or source == SAMPLE:
            known = ", ".join(each for each in SOURCES if each != SAMPLE)
            raise InputError(f"a budget is dealt out by one of {known}, got {source!r}")
    return tuple(
        CacheShare(source, share, not config.for_good, config.per)
        for source in config.sources or WHEN_LEFT_OUT
        for share in config.caches or CACHES
    )


def _setting(run: Session, request: Request, caches: tuple[CacheShare, ...], named: RankedHeads | None) -> BudgetSetting:
    """The list that is named, or one found on other samples, and a forecast where it is asked for."""
    config, shape = run.config, (run.model.n_layers, run.model.n_heads)
    sources = {cache.source for cache in caches}
    static = None if named is None else scores_of(named, *shape)
    detection: tuple[Trace, ...] = ()
    if FORECAST in sources or (named is None and sources & {STATIC, RANDOM}):
        plan = Plan({DETECTION_ROLE: task_units(request, chosen_preset(PRESETS, request), DETECTION)})
        detection = tuple(run.traces(plan, describe=f"list and forecast of {Path(config.model).name}")[DETECTION_ROLE])
    forecast = None
    if FORECAST in sources:
        forecast, reason = found_forecast(detection, config.seed)
        if forecast is None:
            raise InputError(f"{reason}; ask for more samples with --runs, or leave --source {FORECAST} out")
    if static is None and sources & {STATIC, RANDOM}:
        named = found_list(request, detection)
        if named is None:
            raise InputError(
                f"none of {len(detection)} detection samples is answered correctly by heads that score; give a list with --heads"
            )
        static = scores_of(named, *shape)
    if named is not None:
        write_own_heads(run.folder / LIST, named)
    return BudgetSetting(caches, static, forecast, config.beta, config.window, config.kernel, config.seed)


def _named(text: str) -> RankedHeads:
    found = parse_heads_or_file(text)
    if not isinstance(found, RankedHeads):
        raise InputError(f"a budget is dealt out by the scores of all heads, so --heads is a file of a whole ranking, got {text}")
    return found

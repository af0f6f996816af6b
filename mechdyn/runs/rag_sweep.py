"""How dynamic RAG moves with threshold, k and window, none of which the paper states for its models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mechdyn.probes.storage import load_probe
from mechdyn.rag.options import RagOptions
from mechdyn.rag.strategies import DYNAMIC, FIXED_RANDOM, ORACLE, STATIC
from mechdyn.runs.ablate import RESULTS
from mechdyn.runs.rag import choose_conditions, options_of, prepare, run_conditions, strategies_of
from mechdyn.runs.rag_configs import RagConfig, RagSweepConfig
from mechdyn.runs.session import Session
from mechdyn.stats.interval import Interval
from mechdyn.studies.rag import RagRow, rag_row

DEFAULTS: Mapping[str, Sequence[Any]] = {"threshold": (0.4, 0.8, 1.2, 1.6, 2.4), "k": (4, 8, 16, 32, 64), "window": (8, 16, 32, 64, 128)}
NUMBERS = tuple(DEFAULTS)
_STRATEGIES = (DYNAMIC, ORACLE, STATIC, FIXED_RANDOM)


@dataclass(frozen=True)
class RagSweep:
    """A row for every strategy and setting, by the name `strategy, setting`."""

    rows: Mapping[str, RagRow]
    curves: Mapping[str, Mapping[str, Mapping[float | int, Interval]]]
    """F1 by number that moves (`threshold`, `k`, `window`), strategy and value; every curve has the default setting among its values."""
    folder: Path


def rag_sweep(config: RagSweepConfig, out: str | Path | None = None) -> RagSweep:
    """Answer the questions under every strategy and setting, as one run: a draft or retrieval that settings share is run once.

    The folder is that of `rag`, with `results.json` alone. Run again, it goes on where it stopped.
    """
    asked = {"threshold": config.thresholds, "k": config.ks, "window": config.windows}
    values: dict[str, Sequence[Any]] = {number: given or DEFAULTS[number] for number, given in asked.items()}
    base = RagConfig(**{item.name: getattr(config, item.name) for item in fields(RagConfig) if hasattr(config, item.name)})
    names = strategies_of(replace(base, strategies=config.strategies or _STRATEGIES))
    options = options_of(base)
    if config.probe:
        load_probe(config.probe)
    with Session.open(config, out) as run:
        run.resolve(strategies=names, thresholds=values["threshold"], ks=values["k"], windows=values["window"])
        prepared = prepare(run, options)
        settings = {
            _setting(number, value): replace(options, **{number: value}) for number in NUMBERS for value in sorted(set(values[number]))
        }
        given = load_probe(config.probe, run.model.identity()) if config.probe else None
        distinct = _distinct(settings)
        conditions, facts = choose_conditions(prepared, names, {name: settings[name] for name in distinct.values()}, given)
        questions, logs = run_conditions(prepared, conditions, describe=f"sweep on {Path(config.model).name}")
        rows = {
            f"{name}, {setting}": replace(
                rag_row(f"{name}, {distinct[options]}", questions, logs[f"{name}, {distinct[options]}"]), condition=f"{name}, {setting}"
            )
            for setting, options in settings.items()
            for name in names
        }
        run.write(RESULTS, {"facts": facts, "conditions": [row.as_json() for row in rows.values()]})
        curves = {
            number: {
                name: {value: rows[f"{name}, {_setting(number, value)}"].f1 for value in sorted(set(values[number]))} for name in names
            }
            for number in NUMBERS
        }
        return RagSweep(rows, curves, run.folder)


def _curve(rows: Mapping[str, RagRow], name: str, number: str, values: Sequence[float | int]) -> dict[float | int, Interval]:
    """A strategy's F1 by one number's values, ascending."""
    return {value: rows[f"{name}, {_setting(number, value)}"].f1 for value in sorted(set(values))}


def _setting(number: str, value: float | int) -> str:
    return f"{number} {value:g}"


def _distinct(settings: Mapping[str, RagOptions]) -> dict[RagOptions, str]:
    """Each setting once: the default one has as many names as there are numbers."""
    found: dict[RagOptions, str] = {}
    for name, options in settings.items():
        found.setdefault(options, name)
    return found

"""How dynamic RAG moves with threshold, k and window, none of which the paper states for its models."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mechdyn.claims.dynamic_rag import RagRow, rag_row
from mechdyn.probes.storage import load_probe
from mechdyn.rag.names import DYNAMIC, FIXED_RANDOM, ORACLE, STATIC
from mechdyn.rag.options import RagOptions
from mechdyn.runs.configs import RagConfig, RagSweepConfig
from mechdyn.runs.folder import open_run, write_json
from mechdyn.runs.rag import choose_conditions, prepare, run_conditions, strategies_of
from mechdyn.stats.resampling import Interval

THRESHOLDS, KS, WINDOWS = (0.4, 0.8, 1.2, 1.6, 2.4), (4, 8, 16, 32, 64), (8, 16, 32, 64, 128)
NUMBERS = ("threshold", "k", "window")
_STRATEGIES = (DYNAMIC, ORACLE, STATIC, FIXED_RANDOM)


@dataclass(frozen=True)
class RagSweep:
    """A row for every strategy and setting, by the name `strategy, setting`."""

    rows: Mapping[str, RagRow]
    curves: Mapping[str, Mapping[str, Mapping[float | int, Interval]]]
    """Number to strategy to value to F1; the default setting stands in every number's curve."""
    folder: Path


def rag_sweep(config: RagSweepConfig, out: str | Path) -> RagSweep:
    """Answer the questions under every strategy and setting, as one run: drafts and looks that settings share are run once.

    The folder is that of `rag`, with `results.json` alone. Run again, it goes on where it stopped.
    """
    values = {"threshold": config.thresholds or THRESHOLDS, "k": config.ks or KS, "window": config.windows or WINDOWS}
    base = RagConfig(**{item.name: getattr(config, item.name) for item in fields(RagConfig) if hasattr(config, item.name)})
    names = strategies_of(replace(base, strategies=config.strategies or _STRATEGIES))
    prepared = prepare(base)
    settings = {
        _setting(number, value): _with(prepared.options, number, value) for number in NUMBERS for value in sorted(set(values[number]))
    }
    given = load_probe(config.probe, prepared.model.identity()) if config.probe else None
    resolved = {**asdict(config), "strategies": names, **values, "model": prepared.model.identity()}
    folder = open_run(out, {name: value for name, value in resolved.items() if name not in ("thresholds", "ks", "windows")})
    distinct = _distinct(settings)
    conditions, facts = choose_conditions(base, prepared, names, {name: settings[name] for name in distinct.values()}, folder, given)
    questions, logs = run_conditions(prepared, conditions, folder, config.batch_size, describe=f"sweep on {Path(config.model).name}")
    rows = {
        f"{name}, {setting}": replace(
            rag_row(f"{name}, {distinct[options]}", questions, logs[f"{name}, {distinct[options]}"]), condition=f"{name}, {setting}"
        )
        for setting, options in settings.items()
        for name in names
    }
    write_json(folder / "results.json", {"facts": facts, "conditions": [row.as_json() for row in rows.values()]})
    curves = {
        number: {name: {value: rows[f"{name}, {_setting(number, value)}"].f1 for value in sorted(set(values[number]))} for name in names}
        for number in NUMBERS
    }
    return RagSweep(rows, curves, folder)


def _with(options: RagOptions, number: str, value: Any) -> RagOptions:
    return replace(options, **{number: value})


def _setting(number: str, value: float | int) -> str:
    return f"{number} {value:g}"


def _distinct(settings: Mapping[str, RagOptions]) -> dict[RagOptions, str]:
    """Each setting once: the default one has as many names as there are numbers."""
    found: dict[RagOptions, str] = {}
    for name, options in settings.items():
        found.setdefault(options, name)
    return found

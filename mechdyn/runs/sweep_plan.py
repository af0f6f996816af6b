"""The plan of a sweep: a TOML file that names models, tasks, claims and studies, and the runs that it comes to.

models  = ["mini", "planted-dynamic"]
tasks   = ["niah", "world"]
claims  = ["dynamism", "correlation"]   # a run of `mechdyn verify` each
studies = ["ablate"]                    # a run of that command each: ablate, progressive, sensitivity, rag
seeds   = [0, 1]

[options]                               # of every run whose command has them, by the name that the command line gives them
preset = "quick"
length = [256]

[ablate]                                # of that study, or of the claim of that name, alone
condition = ["clean", "dynamic"]
heads = ["lists/a.json", "lists/b.json"]   # a run for each list
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.runs.command_lines import default_folder, identity_fields
from mechdyn.runs.configs import AblateConfig, ProgressiveConfig, SensitivityConfig, VerifyConfig
from mechdyn.runs.rag_configs import RagConfig

STUDIES: Mapping[str, Any] = {config.kind: config for config in (AblateConfig, ProgressiveConfig, SensitivityConfig, RagConfig)}
_AXES = {"models": "model", "tasks": "task", "seeds": "seed"}
_LISTS = ("models", "tasks", "claims", "studies", "seeds")


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: a command with its config. `name` is its folder within the sweep's."""

    config: Any

    @property
    def name(self) -> str:
        command = getattr(self.config, "claim", self.config.kind)
        return default_folder(command, self.config).name

    @property
    def key(self) -> str:
        """A hash of what is asked, not of how it is carried out: the same run has the same key in every plan."""
        asked = {item.name: getattr(self.config, item.name) for item in identity_fields(type(self.config))}
        return content_hash({"kind": self.config.kind, **{name: _plain(value) for name, value in asked.items()}})


def read_plan(path: str | Path, how: Mapping[str, Any] | None = None) -> list[SweepRun]:
    """The runs of a plan: each model's together, models in the order of the file, claims before studies and either by name.

    A unit that several runs share is run by the first of them, in a batch of its plan, on whose shape its last digits hang. So the order
    in which a file names tasks, claims and studies decides nothing.

    Args:
        path: the TOML file.
        how: options of how runs are carried out, by field; they take the place of the plan's.

    Raises:
        InputError: a file that cannot be read, no run in it, or a name or option that no command has.
    """
    path = Path(path)
    try:
        plan = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the plan {path} cannot be read ({error.strerror}); give a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the plan {path} is no TOML ({' '.join(str(error).split())})") from error
    # A section that names a task of its own comes to one run for all tasks of the plan.
    named = list({run.key: run for run in _runs(plan, str(path), how or {})}.values())
    models = list(dict.fromkeys(run.config.model for run in named))
    runs = sorted(named, key=lambda run: (models.index(run.config.model), run.config.kind != VerifyConfig.kind, run.name))
    if not runs:
        raise InputError(f"the plan {path} comes to no run: name models, tasks, and claims or studies ({', '.join(STUDIES)})")
    names = [run.name for run in runs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two runs of the plan {path} would have the folder {twice[0]}; put them into two plans")
    return runs


def share_of(runs: Sequence[SweepRun], share: str | None) -> list[SweepRun]:
    """Every n-th run, beginning with the i-th, for `i/n`: what one of n machines does.

    Raises:
        InputError: no such share.
    """
    if share is None:
        return list(runs)
    first, _, n = share.partition("/")
    if not (first.isdecimal() and n.isdecimal() and 1 <= int(first) <= int(n)):
        raise InputError(f"share must be I/N with I from 1 to N, such as 2/3, got {share!r}")
    return list(runs)[int(first) - 1 :: int(n)]


def _runs(plan: Mapping[str, Any], where: str, how: Mapping[str, Any]) -> Iterator[SweepRun]:
    lists = {name: _list(plan, name, where) for name in _LISTS}
    claims, studies = lists["claims"], lists["studies"]
    _require_known(plan, where, claims, studies)
    axes = {field: lists[name] for name, field in _AXES.items() if lists[name]}
    axes.setdefault("model", ["mini"])
    for values in product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        for name, config in [*((claim, VerifyConfig) for claim in claims), *((study, STUDIES[study]) for study in studies)]:
            given = {**_named(plan.get("options", {}), config, where, strict=False), **chosen, **_named(plan.get(name, {}), config, where)}
            heads = given.pop("heads", None)
            for each in heads if isinstance(heads, list) else [heads]:
                asked = {**given, **({"heads": each} if each is not None else {}), **how}
                asked |= {"claim": name} if config is VerifyConfig else {}
                yield SweepRun(_made(config, asked, where))


def _require_known(plan: Mapping[str, Any], where: str, claims: Sequence[str], studies: Sequence[str]) -> None:
    from mechdyn.claims.claim import get_claim

    for claim in claims:
        get_claim(claim)
    unknown = [study for study in studies if study not in STUDIES]
    if unknown:
        raise InputError(f"{where}: unknown study {unknown[0]!r}; give some of {', '.join(STUDIES)}")
    sections = {"options", *claims, *studies}
    strangers = [name for name in plan if name not in _LISTS and name not in sections]
    if strangers:
        raise InputError(
            f"{where}: a plan has no {strangers[0]!r}; it has {', '.join(_LISTS)} and the sections {', '.join(sorted(sections))}"
        )
    known = {name for config in (VerifyConfig, *STUDIES.values()) for name in _flags(config)}
    lost = [name for name in plan.get("options", {}) if name not in known]
    if lost:
        raise InputError(
            f"{where}: no command has an option {lost[0]!r}; options are called as on the command line, without dashes in front"
        )


def _list(plan: Mapping[str, Any], name: str, where: str) -> list[Any]:
    kind = int if name == "seeds" else str
    found = plan.get(name, [])
    if not isinstance(found, list) or not all(type(each) is kind for each in found):
        raise InputError(f"{where}: {name} must be a list of {'numbers' if kind is int else 'names'}, got {found!r}")
    return found


def _flags(config: Any) -> dict[str, Field[Any]]:
    """The options of a command by name, as it is typed without dashes in front."""
    named = {str(item.metadata.get("flag", item.name)).split("/")[-1].lstrip("-").replace("_", "-"): item for item in fields(config)}
    return {**named, **{item.name: item for item in fields(config)}}


def _named(section: Any, config: Any, where: str, strict: bool = True) -> dict[str, Any]:
    """A section's values by field; options of other commands are left out unless they must be this one's."""
    if not isinstance(section, Mapping):
        raise InputError(f"{where}: options stand in a section of their own, such as [options], got {section!r}")
    flags = _flags(config)
    strangers = [name for name in section if name not in flags]
    if strangers and strict:
        raise InputError(f"{where}: mechdyn {config.kind} has no option {strangers[0]!r}; see mechdyn {config.kind} --help")
    return {flags[name].name: value for name, value in section.items() if name in flags}


def _made(config: Any, asked: Mapping[str, Any], where: str) -> Any:
    """The config, each value held against its field's type and bounds."""
    hints = get_type_hints(config)
    values = {}
    for item in fields(config):
        if item.name not in asked:
            if item.default is MISSING:
                raise InputError(f"{where}: a run of {config.kind} needs {item.name}")
            continue
        values[item.name] = _value(asked[item.name], hints[item.name], item, where)
    return config(**values)


def _value(value: Any, hint: Any, item: Field[Any], where: str) -> Any:
    kinds = [kind for kind in get_args(hint) if kind not in (type(None), Ellipsis)] or [hint]
    many = str(hint).startswith("tuple")
    given = value if isinstance(value, (list, tuple)) and many else [value]
    allowed = (kinds[0], int) if kinds[0] is float else (kinds[0],)
    bounds = item.metadata.get("min", float("-inf")), item.metadata.get("max", float("inf"))
    for each in given:
        if each is None and type(None) in get_args(hint):
            continue
        if type(each) not in allowed or (isinstance(each, (int, float)) and not bounds[0] <= each <= bounds[1]):
            raise InputError(f"{where}: {item.name} must be {kinds[0].__name__}{_bounded(item)}, got {each!r}")
    return tuple(kinds[0](each) for each in given) if many else value


def _bounded(item: Field[Any]) -> str:
    words = [f"{word} {item.metadata[name]}" for name, word in (("min", "at least"), ("max", "at most")) if name in item.metadata]
    return f" of {' and '.join(words)}" if words else ""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

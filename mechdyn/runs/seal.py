"""`mechdyn improve seal`: learn a factor for each head or channel, then evaluate the model with them, always and by forecast."""

from itertools import cycle, islice
from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.improve.output_scales import Scaled, save_folded
from mechdyn.improve.seal import ABOUT, ForecastSeal, LearnedScales, load_seal
from mechdyn.improve.seal_training import SealTraining, train_seal
from mechdyn.improve.variant import Variant
from mechdyn.plans import DETECTION, Plan, Preset, chosen_preset, task_units
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Probe
from mechdyn.probes.storage import load_probe, save_probe
from mechdyn.runs.improve import PRESETS, Improved, check_improve, examined, put_to_test
from mechdyn.runs.improve_configs import SealConfig
from mechdyn.runs.session import Session, check_samples
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import SampleSet, build_sample

BY = ("head", "channel")
_AHEAD = 1
"""Steps ahead that a probe is fitted to forecast."""
_PROBE_SAMPLES = 40
"""Samples that it is fitted on, at least."""


def seal(config: SealConfig, out: str | Path | None = None) -> Improved:
    """Learn and evaluate scales; the folder holds `run.json`, `seal-head/` and `seal-channel/`, `answers.jsonl`, `results.json`.

    Run again, it goes on where it stopped, in the middle of learning too.

    Raises:
        InputError: options that do not go together, samples that the model cannot hold, or a checkpoint's folder that is there already.
        StoreError: scales or a probe of another model.
    """
    _check(config)
    with Session.open(config, out) as run:
        run.resolve(by=() if config.scales else config.by or BY)
        what = examined(run)
        given = load_seal(config.scales, run.model) if config.scales else None
        probe = load_probe(config.probe, run.model.identity()) if config.probe else None
        found = {"given": given} if given is not None else {by: _learned(run, by) for by in run.config.by}
        variants: list[Variant] = [Scaled(run.model, each.scales, f"SEAL by {by}", config.engine) for by, each in found.items()]
        if config.control:
            variants += [Scaled(run.model, each.scales.dealt(config.seed), f"control by {by}", config.engine) for by, each in found.items()]
        if config.forecast:
            probe = probe or _fitted(run)
            variants += [ForecastSeal(run.model, each.scales, probe, f"forecast by {by}", config.engine) for by, each in found.items()]
        about = {by: {name: value for name, value in each.training.items() if name != "loss"} for by, each in found.items()}
        improved = put_to_test(run, variants, what, about=about)
        if config.checkpoint is not None:
            save_folded(run.model, next(iter(found.values())).scales, config.checkpoint)
        return improved


def _check(config: SealConfig) -> None:
    """Refuse choices that need no model to be refused."""
    check_improve(config)
    for by in config.by:
        if by not in BY:
            raise InputError(f"--by of SEAL is {' or '.join(BY)}, got {by}")
    if config.scales is not None and config.by:
        raise InputError("--scales names scales that were learned, by head or by channel; leave --by out")
    if config.probe is not None and not config.forecast:
        raise InputError("--probe is what factors are forecast by; leave --no-forecast out, or the probe")
    if config.checkpoint is not None and Path(config.checkpoint).exists():
        raise InputError(f"output {config.checkpoint} exists already; name a new folder with --checkpoint")
    SealTraining(learning_rate=config.learning_rate, epochs=config.epochs)


def _learned(run: Session, by: str) -> LearnedScales:
    """Scales from the run's folder, or learned now."""
    config, folder = run.config, run.folder / f"seal-{by}"
    if (folder / ABOUT).is_file():
        return load_seal(folder, run.model)
    how = SealTraining(by == "channel", config.learning_rate, config.epochs, config.seed)
    found = train_seal(run.model, training_samples(run), how, progress=run.folder / f"seal-{by}.progress.safetensors")
    found.save(folder)
    (run.folder / f"seal-{by}.progress.safetensors").unlink(missing_ok=True)
    return found


def training_samples(run: Session) -> list[Sample]:
    """Samples of the run's task, its lengths and depths in turn, none of those that are evaluated."""
    cells = tuple(islice(cycle(dict.fromkeys(chosen_preset(PRESETS, run.request).cells)), run.config.samples))
    task = run.request.task
    specs = task.samples(SampleSet(cells, DETECTION, seed=run.config.seed))
    return [build_sample(run.model, {"task": task.name, **spec}) for spec in specs]


def _fitted(run: Session) -> Probe:
    """A probe one step ahead, fitted on traces of other samples and kept in the run's folder."""
    folder = run.folder / "probe"
    if (folder / "probe.json").is_file():
        return load_probe(folder, run.model.identity())
    preset = chosen_preset(PRESETS, run.request)
    n_cells = len(preset.lengths) * len(preset.depths)
    wanted = Preset(preset.lengths, max(preset.n_seeds, -(-_PROBE_SAMPLES // n_cells)), preset.depths)
    plan = Plan({DETECTION_ROLE: task_units(run.request, wanted, DETECTION)})
    check_samples(run.model, plan)
    traces = run.traces(plan, describe=f"traces for a probe of {Path(run.config.model).name}")[DETECTION_ROLE]
    try:
        data = probe_data([trace for trace in traces if trace.stopped != "error" and trace.n_steps], _AHEAD, seed=run.config.seed)
    except InputError as error:
        raise InputError(f"no probe can be fitted here ({error}); give one with --probe, or take --no-forecast") from error
    probe = fit_probe(data, "auto", seed=run.config.seed)
    save_probe(probe, folder)
    return probe

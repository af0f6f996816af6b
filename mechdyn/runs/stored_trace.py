"""The trace that a run of `mechdyn trace` has stored already: given again, the command reads it and loads no model."""

from pathlib import Path

from mechdyn.errors import StoreError
from mechdyn.models.registry import BUNDLED
from mechdyn.models.source import revision_on_disk
from mechdyn.runs.command_lines import default_folder
from mechdyn.runs.configs import TraceConfig
from mechdyn.runs.finished import read_folder
from mechdyn.runs.folder import RECORD, RunRecord, read_record
from mechdyn.traces.manifest import package_versions
from mechdyn.traces.stored import StoredTrace


def stored_trace(config: TraceConfig, out: str | Path | None = None) -> tuple[StoredTrace, Path] | None:
    """The trace and its folder; None where it is not there, or where it takes the model to tell that it is the same.

    It is the same where the run was asked the same of the same files, in the same dtype, with the same versions of the packages. What names
    a file beside the model is not compared here, and a damaged run is left to whoever goes on with it.
    """
    folder = Path(out) if out is not None else default_folder(config.kind, config)
    if not (folder / RECORD).is_file() or any((config.data, config.haystack, config.off)):
        return None
    try:
        record = read_record(folder)
        if RunRecord.of(config, record.model).differences(record, TraceConfig) or not _is_same_model(config, record):
            return None
        run = read_folder(folder, record, f"mechdyn trace --out {folder}")
    except StoreError:
        return None
    ((trace,),) = run.stored.values()
    known = all(manifest.packages == package_versions() for manifest in run.manifests.values())
    return (trace, folder) if known and not run.set_aside else None


def _is_same_model(config: TraceConfig, record: RunRecord) -> bool:
    dtype = config.dtype or ("float32" if config.model in BUNDLED or not _has_cuda() else None)
    name = Path(config.model).name if Path(config.model).exists() else config.model
    same = (name, dtype) == (record.model["name"], record.model.get("dtype"))
    return same and revision_on_disk(config.model) == record.model.get("revision")


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()

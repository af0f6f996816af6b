"""What a trace store was made with: a run may add to a store only where every line of this is the same."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from typing import Any

from mechdyn.errors import InputError, StoreError
from mechdyn.traces.seals import is_sealed, sealed_json

SCHEMA_VERSION = 3
"""Raised whenever the columns, their types or their meaning change, or what lies in a store."""
UNSEALED = 2
"""Version 2 has the same columns and no checksums: it is read, and not written to. A store of any other version is refused."""

PACKINGS = ("sparse", "dense")
HIDDEN_DTYPES = ("float16", "float32")
_REMEDY = "restore the file from a copy, or trace into a new folder"
_PACKAGES = ("mechdyn", "torch", "transformers", "transformer-lens", "pyarrow")


@dataclass(frozen=True)
class Manifest:
    """The run that a store belongs to; equality decides. JSON values only.

    Raises:
        InputError: a shape below 1, an unknown packing or dtype, or a value that JSON cannot hold.
    """

    model: str
    """The model's name or path, as in `Model.name`."""
    revision: str
    """Commit or content hash of its weights."""
    dtype: str
    """The dtype it ran in, such as `float32`."""
    n_layers: int
    n_heads: int
    d_model: int
    template: str
    """Hash of the chat template; empty for a tokenizer without one."""
    score: str
    """The score's name, such as `copy_paste`."""
    score_options: Mapping[str, Any] = field(default_factory=dict)
    """Its parameters (sink, local ...), none for copy-paste."""
    scores: str = "sparse"
    """How scores are packed: `sparse` keeps the flat indices of the heads that score 1 (binary scores), `dense` a float32 a head."""
    hidden_dtype: str = "float16"
    """`float16` or `float32`, for the hidden states as stored."""
    hidden_site: str = "ln_final.hook_out"
    """The hook that the hidden states came from."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    """Package versions, see `package_versions`."""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for name in ("n_layers", "n_heads", "d_model"):
            if getattr(self, name) < 1:
                raise InputError(f"a manifest's {name} must be at least 1, got {getattr(self, name)}; take it from the model")
        for name, known in (("scores", PACKINGS), ("hidden_dtype", HIDDEN_DTYPES)):
            if getattr(self, name) not in known:
                raise InputError(f"a manifest's {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("score_options", "seeds", "packages"):
            # Through JSON and back, so that a manifest read from its file equals the one that was written.
            object.__setattr__(self, name, json.loads(to_json(getattr(self, name), f"a manifest's {name}")))

    @property
    def n_flat(self) -> int:
        """Heads of the whole model: head (l, h) has the flat index l · n_heads + h."""
        return self.n_layers * self.n_heads

    def differences(self, other: "Manifest") -> list[str]:
        """A line for every field that differs, `name: mine, not theirs`."""
        pairs = ((item.name, getattr(self, item.name), getattr(other, item.name)) for item in fields(self))
        return [f"{name}: {mine!r}, not {theirs!r}" for name, mine, theirs in pairs if mine != theirs]

    def dumps(self) -> str:
        """The text of `manifest.json`, which ends with its own SHA-256."""
        return sealed_json(asdict(self))

    @property
    def sealed(self) -> bool:
        """Whether the files of the store have checksums."""
        return self.schema_version != UNSEALED


def parse_manifest(text: str, where: str) -> Manifest:
    """Read `manifest.json`; `where` is named in errors.

    Raises:
        StoreError: no JSON object, a text that was changed since it was written, a schema version that this package does not read, or
            fields that are missing, unknown or out of range.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{where} is not JSON ({error}); the store is damaged, {_REMEDY}") from error
    version = values.get("schema_version") if isinstance(values, dict) else None
    own = values.pop("sha256", None) if isinstance(values, dict) else None
    if own is not None and not is_sealed(text):
        raise StoreError(f"{where} was changed since it was written: its text does not have the SHA-256 that it ends with; {_REMEDY}")
    if type(version) is not int:
        raise StoreError(f"{where} has no schema version, so it is no trace store's manifest; name a folder that mechdyn wrote")
    if version not in (SCHEMA_VERSION, UNSEALED):
        remedy = (
            "install the mechdyn that wrote it, or a newer one"
            if version > SCHEMA_VERSION
            else "trace again, or read it with an older mechdyn"
        )
        raise StoreError(f"{where} has schema version {version}, this mechdyn reads versions {UNSEALED} and {SCHEMA_VERSION}; {remedy}")
    if (own is None) != (version == UNSEALED):
        raise StoreError(f"{where} of schema version {version} {'lacks its' if own is None else 'has a'} SHA-256; {_REMEDY}")
    try:
        return Manifest(**values)
    except (TypeError, InputError) as error:
        raise StoreError(f"{where} is not a manifest of schema version {version} ({error}); restore the file or trace again") from error


def package_versions(names: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Installed versions by distribution name; a package that is not installed is left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def to_json(value: Any, what: str) -> str:
    """JSON text of plain values; `what` is named where a value is none."""
    try:
        return json.dumps(value if not isinstance(value, Mapping) else dict(value), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must hold JSON values only ({error}); give strings, numbers, lists and objects") from error

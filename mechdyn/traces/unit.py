"""What is to be run, as content: one unit makes one trace, and its hash is the trace's key in every store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mechdyn.hashing import content_hash

EFFECT = "effect"
"""The key of `Unit.decoding` under which a unit names the sets of heads whose effect is measured along its answer."""
BACKING = "backing"
"""The key under which it names the heads whose backing of each token is read."""
BUDGETS = "budgets"
"""The key under which it names the key-value caches that its answer is tried with."""


@dataclass(frozen=True)
class Unit:
    """One sample to trace with one model, one way of decoding and one ablation; JSON values only.

    `model` names the model and its revision; `sample` is a task's name and arguments (`{"task": "niah", "length": 512, ...}`); `decoding`
    holds score, token limit and the like, under `effect` which sets of heads are measured along the answer (`mechdyn.contrasts`), and under
    `budgets` which caches (`mechdyn.studies.kv_budgets`); `ablation` the schedule (empty: none).
    """

    model: Mapping[str, Any]
    sample: Mapping[str, Any]
    decoding: Mapping[str, Any] = field(default_factory=dict)
    ablation: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Paths stay out of it where a digest says what lay there: the same content has the same key in every folder."""
        content = self.as_json()
        if "haystack_digest" in content["sample"]:
            content["sample"].pop("haystack", None)
        if "file_digest" in content["sample"]:
            content["sample"].pop("file", None)
        if content["model"].get("revision"):
            content["model"].pop("name", None)
        return content_hash(content)

    def as_json(self) -> dict[str, Any]:
        return {name: dict(getattr(self, name)) for name in ("model", "sample", "decoding", "ablation")}

"""SEAL: a learned factor for each head, or for each channel of its z, everything else frozen (Lee et al. 2025, SEAL-H and SEAL-C).

The factors stand before W_O at every position, prompt and answer, so that they fold into it and cost nothing (`output_scales.fold`). Beyond
the paper, `ForecastSeal` lets a head have its factor only at steps at which a probe says, some steps ahead, that it will retrieve.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mechdyn.decoding.engine import DecodeState, Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError, StoreError
from mechdyn.improve.output_scales import Factors, OutputScales, scaling
from mechdyn.improve.plain import read_prompts
from mechdyn.improve.stepping import answer_samples, forced_log_probs
from mechdyn.improve.variant import Answer
from mechdyn.models.model import Model
from mechdyn.probes.probe import Probe
from mechdyn.probes.storage import require_model
from mechdyn.tasks.sample import Sample
from mechdyn.traces.seals import file_hash, is_sealed, sealed_json

SCALES, ABOUT = "seal.safetensors", "seal.json"
_VERSION, _UNSEALED = 2, 1
"""Version 2 ends with a hash of itself and has that of the scales; version 1, which has neither, is read."""


@dataclass(frozen=True, eq=False)
class LearnedScales:
    """Learned scales, the identity of the model that they were learned on, and how that went, as JSON values."""

    scales: OutputScales
    model: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: str | Path) -> Path:
        """Write `seal.safetensors` and `seal.json` into a new folder.

        Raises:
            InputError: scales are there already, or the folder cannot be written.
        """
        target = Path(folder)
        if (target / ABOUT).exists():
            raise InputError(f"output {target} exists already and holds scales; name a new folder, or remove it first")
        content = {"version": _VERSION, "model": dict(self.model), "training": dict(self.training)}
        try:
            target.mkdir(parents=True, exist_ok=True)
            partial = [target / f".{name}.{os.getpid()}" for name in (SCALES, ABOUT)]
            save_file({"scales": self.scales.values.contiguous()}, partial[0])
            partial[1].write_text(sealed_json({**content, "scales": file_hash(partial[0])}), encoding="utf-8")
            for file, name in zip(partial, (SCALES, ABOUT), strict=True):
                os.replace(file, target / name)
        except OSError as error:
            raise InputError(f"output folder {target} cannot be written ({error.strerror}); name another") from error
        return target


def load_seal(folder: str | Path, model: Model) -> LearnedScales:
    """Read scales that were learned on this model.

    Raises:
        StoreError: no scales are there, they are damaged, of another version, or were learned on another model.
    """
    source = Path(folder)
    try:
        text = (source / ABOUT).read_text(encoding="utf-8")
        content = json.loads(text)
        if content["version"] not in (_VERSION, _UNSEALED):
            raise StoreError(f"the scales in {source} have version {content['version']}, this mechdyn reads {_VERSION}; train them again")
        if content["version"] == _VERSION and not (is_sealed(text) and file_hash(source / SCALES) == content["scales"]):
            raise StoreError(f"the scales in {source} are damaged: their files are not what was written; train them again")
        found = LearnedScales(OutputScales(load_file(source / SCALES)["scales"]), content["model"], content["training"])
    except FileNotFoundError as error:
        raise StoreError(f"there are no scales in {source} ({ABOUT} and {SCALES}); train some, or name their folder") from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"the scales in {source} cannot be read ({' '.join(str(error).split())}); train them again") from error
    wanted = model.identity()
    different = [f"{name} {found.model.get(name)!r}, not {wanted[name]!r}" for name in wanted if found.model.get(name) != wanted[name]]
    # The same weights under another name, or in another dtype, are the same model.
    different = [each for each in different if each.partition(" ")[0] not in ("name", "dtype")]
    if different:
        raise StoreError(
            f"the scales in {source} were learned on another model, {found.model.get('name')} ({'; '.join(different)}); train them again"
        )
    found.scales.check(model)
    return found


class ForecastSeal:
    """Scales that a head has only at steps at which a probe, reading the hidden state some steps before, says that it will retrieve.

    The prompt is read without scales, and so are the first steps, for which there is no forecast yet. No step is run twice, and the
    needle's place is nowhere used: this can be deployed.
    """

    def __init__(self, model: Model, scales: OutputScales, probe: Probe, name: str = "forecast", engine: str | Engine = "auto") -> None:
        scales.check(model)
        require_model(probe, model.identity())
        if probe.offset < 1 or not probe.binary:
            raise InputError(
                f"scales by forecast need a probe that tells whether heads retrieve at least 1 step ahead, got {probe}; fit one with "
                "mechdyn probe --offset 1"
            )
        self.model, self.name, self._scales, self._probe = model, name, scales, probe
        self._engine = make_engine(model, engine)

    def answers(self, samples: Sequence[Sample], *, max_new_tokens: int | None = None) -> list[Answer]:
        with scaling(self.model) as factors:
            return answer_samples(self.model, samples, lambda batch: self._begin(batch, factors), max_new_tokens)

    def log_probs(self, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
        with scaling(self.model) as factors:
            return forced_log_probs(tokens, lambda batch: self._begin(batch, factors))

    def _begin(self, samples: Sequence[Sample], factors: Factors) -> "ForecastSteps":
        return ForecastSteps(self._engine, read_prompts(self._engine, samples), Forecasts(self._probe, self._scales), factors)


class Forecasts:
    """What a probe forecasts for the steps to come, as factors."""

    def __init__(self, probe: Probe, scales: OutputScales) -> None:
        self._probe, self._scales, self._ahead = probe, scales, list[Float[Tensor, "row layer head channel"]]()

    def next(self) -> Float[Tensor, "row layer head channel"] | None:
        """The factors of the next step; None as long as there is no forecast."""
        return self._ahead.pop(0) if len(self._ahead) >= self._probe.offset else None

    def read(self, hidden: Float[Tensor, "row d_model"]) -> None:
        """The hidden state of a step, from which the step `offset` ahead is forecast."""
        on = self._probe.heads(hidden.float().cpu())[..., None]
        self._ahead.append(torch.where(on, self._scales.values, 1.0))

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._ahead = [factors[list(rows)] for factors in self._ahead]


class ForecastSteps:
    """One forward a step, under the factors that were forecast for it."""

    def __init__(self, engine: Engine, state: DecodeState, forecasts: Forecasts, factors: Factors) -> None:
        self._engine, self._state, self._forecasts, self._factors = engine, state, forecasts, factors

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row vocab"]:
        self._factors.now = self._forecasts.next()
        output, self._state = self._engine.step(self._state, tokens)
        self._factors.now = None
        self._forecasts.read(output.hidden)
        return output.logits

    def select(self, rows: Sequence[int]) -> None:
        self._state = self._engine.fork(self._state, rows)
        self._forecasts.select(rows)

    def positions(self, n_prompt: int, n_new: int) -> int:
        return n_prompt + n_new

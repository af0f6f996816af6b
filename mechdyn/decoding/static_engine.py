"""The fast engine with its steps in fixed shapes, which a GPU replays as one recorded graph; off unless `engine="static"` asks for it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.static_step import StaticStep, why_not
from mechdyn.decoding.writes import Writes, read_along
from mechdyn.models.model import Model

ROOM = 64
"""Tokens behind a prompt that fixed shapes have room for; what comes after is run step by step."""
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Run:
    """Steps in fixed shapes behind one batch of prompts: the state that they stand at, and the one behind the token observed there."""

    step: StaticStep
    before: DecodeState
    fed: Int[Tensor, " row"] | None = None
    after: DecodeState | None = None


class StaticEngine(FastEngine):
    """Equal to `FastEngine`, which it falls back to wherever fixed shapes do not serve; a warning says why, once a reason.

    They serve a batch of whole prompts, a row each, that is observed token by token, and its forwards without heads where these give zero.
    On a CUDA device the step is recorded as a graph and replayed; on the CPU it runs as it is. It has never run on a GPU.
    """

    def __init__(self, model: Model, hidden: str = "final", chunk: int | None = None, room: int = ROOM) -> None:
        super().__init__(model, hidden, chunk)
        self._room = room
        self._run: _Run | None = None
        self.fallbacks: list[str] = []

    def fork(self, state: DecodeState, rows: Sequence[int], *, passing: bool = False) -> DecodeState:
        """All rows in their order are the state itself."""
        return state if list(rows) == list(range(len(state.next_position))) else super().fork(state, rows, passing=passing)

    @torch.inference_mode()
    def step(
        self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, observed: StepOutput | None = None
    ) -> tuple[StepOutput, DecodeState]:
        """In fixed shapes where they serve."""
        reason = self._edits(state, tokens, edit) if edit is not None else self._observes(state)
        if reason:
            if reason not in self.fallbacks:
                self.fallbacks.append(reason)
                _log.warning("engine static: %s; such steps run one by one", reason)
            return super().step(state, tokens, edit, observed)
        assert self._run is not None
        if edit is None:
            return _observe(self, self._run, tokens)
        self._run.step.ablate(edit.mask)
        return _output(self, self._run, edited=True)

    def _observes(self, state: DecodeState) -> str:
        """Get ready to observe the next token of this state; why that cannot be, or nothing."""
        run = self._run
        if run is not None and state is run.after:
            run.step.keep()
            run.before, run.fed, run.after = state, None, None
        elif state.n_fed:
            return "the state has steps behind it that were not of fixed shapes, or was forked"
        elif run is None or state is not run.before or run.after is not None:
            return self._begin(state)
        return "" if state.n_fed < self._room else f"there is room for {self._room} tokens behind a prompt"

    def _begin(self, state: DecodeState) -> str:
        self._run = None
        if reason := why_not(self.model, state):
            return reason
        step = StaticStep(self.model, state, self._room)
        if self.model.device.type == "cuda":
            try:
                step.capture()
            except RuntimeError as error:
                return f"the step could not be recorded ({str(error).splitlines()[0][:150]})"
        self._run = _Run(step, state)
        return ""

    def _edits(self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit) -> str:
        """Why this cannot be the step that was observed last, without some heads; or nothing."""
        run = self._run
        if run is None or state is not run.before or run.fed is None or not torch.equal(run.fed, tokens):
            return "heads are off in a step that was not observed just before, by the same rows"
        if edit.values is not None or edit.averaged is not None or edit.whole:
            return "heads are not off by zero at the current position"
        return ""


def _observe(engine: StaticEngine, run: _Run, tokens: Int[Tensor, " row"]) -> tuple[StepOutput, DecodeState]:
    run.step.observe(tokens)
    run.fed = tokens
    output, run.after = _output(engine, run, edited=False)
    return output, run.after


def _output(engine: StaticEngine, run: _Run, edited: bool) -> tuple[StepOutput, DecodeState]:
    """What the step's tensors hold now, copied out of them, and the state behind it; where nothing was off it has the step's own tails."""
    step, n_fed = run.step, run.before.n_fed
    tails = [tuple(_until(states, n_fed, edited) for states in both) for both in step.tails]
    keys, values = (tuple(each[part] for each in tails) for part in (0, 1))
    prompts = run.before.memory.prompts
    after = run.before.fed(run.before.memory.grown(keys, values))
    n_keys = prompts.length + n_fed
    patterns = step.patterns[..., : n_keys + 1].clone()
    if edited:
        patterns[..., -1] = step.patterns[..., -1]

    def along(layer: int, directions: Float[Tensor, "row head d_value"]) -> Float[Tensor, "row head key"]:
        return read_along(torch.cat([prompts.values[layer], values[layer]], dim=2), directions)

    hidden = step.final if engine.hidden == "final" else step.residual
    return StepOutput(step.logits.clone(), patterns.unbind(0), hidden.clone(), None, Writes(engine.model, along)), after


def _until(states: Float[Tensor, "row kv_head room d"], n_fed: int, edited: bool) -> Float[Tensor, "row kv_head key d"]:
    """The tail with the step's own key, which an edited one has at the last place."""
    return torch.cat([states[:, :, :n_fed], states[:, :, -1:]], dim=2) if edited else states[:, :, : n_fed + 1]

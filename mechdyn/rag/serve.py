"""Running the loop's calls on the model, many in one batch.

Prompts with hidden parts are prefilled with gaps in their positions. The whole context of a sample is prefilled once, however many calls
need it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from mechdyn.decoding.capture import last_layer_pattern
from mechdyn.decoding.engine import DecodeState, Engine, StepOutput
from mechdyn.models.model import Model
from mechdyn.rag.calls import Attend, Observe, Seen, Write, Written
from mechdyn.rag.visibility import Context, cut_prompt, visible_positions
from mechdyn.rag.words import draft_sentences
from mechdyn.scores.reasoning import Reasoning
from mechdyn.scores.score import Score, StepContext

LOOK_EVERY = 4
"""New tokens between two looks for the end of a first sentence; it ends where a second one has begun, which takes a few tokens to tell."""


@dataclass(eq=False)
class Server:
    """Runs calls about some contexts. The whole context of each is prefilled once, when it is first needed."""

    model: Model
    engine: Engine
    contexts: Sequence[Context]
    score: Score = field(default_factory=Reasoning)
    _whole: DecodeState | None = field(default=None, init=False)

    @torch.inference_mode()
    def write(self, calls: Sequence[Write]) -> list[Written]:
        """Continue the text of every call; those that see the whole context go on from its shared prefill."""
        groups = [[call for call in calls if call.shown == call.context.whole]]
        groups.append([call for call in calls if call.shown != call.context.whole])
        found: dict[Write, Written] = {}
        for from_whole, group in zip((True, False), groups, strict=True):
            if group:
                state, inputs = self._behind_whole(group) if from_whole else self._behind_prompts(group)
                found |= zip(group, _continue(self.engine, self.model, group, state, inputs), strict=True)
        return [found[call] for call in calls]

    @torch.inference_mode()
    def observe(self, calls: Sequence[Observe]) -> list[Seen]:
        """What the model shows at the position behind each call's text, with the whole context visible."""
        state, inputs = self._behind_whole(calls)
        output, state = self.engine.step(state, inputs)
        return [self._seen(call, output, state.visible[row].bool(), row) for row, call in enumerate(calls)]

    def attend(self, calls: Sequence[Attend]) -> list[Float[Tensor, "head query key"]]:
        """The last layer's attention over each draft alone."""
        return [last_layer_pattern(self.model, torch.tensor(call.tokens)).float().cpu() for call in calls]

    def whole_prompts(self, calls: Sequence[Write | Observe]) -> DecodeState:
        """The state behind each call's whole prompt less its last token: a row for each call, forked from one prefill."""
        if self._whole is None:
            self._whole = self.engine.prefill([context.sample.tokens[:-1] for context in self.contexts], apart=True)
        places = {id(context): place for place, context in enumerate(self.contexts)}
        return self.engine.fork(self._whole, [places[id(call.context)] for call in calls])

    def _behind_whole(self, calls: Sequence[Write | Observe]) -> tuple[DecodeState, Int[Tensor, " row"]]:
        texts = [_joined(call.context.sample.tokens[-1:], call.kept) for call in calls]
        state = self.engine.extend(self.whole_prompts(calls), [text[:-1] for text in texts])
        return state, torch.stack([text[-1] for text in texts])

    def _behind_prompts(self, calls: Sequence[Write]) -> tuple[DecodeState, Int[Tensor, " row"]]:
        laid = [_lay_out(self.model.tokenizer, call) for call in calls]
        state = self.engine.prefill([tokens[:-1] for tokens, _ in laid], [positions[:-1] for _, positions in laid], apart=True)
        last = torch.stack([positions[-1] for _, positions in laid]).to(state.next_position)
        return replace(state, next_position=last), torch.stack([tokens[-1] for tokens, _ in laid])

    def _seen(self, call: Observe, output: StepOutput, visible: Bool[Tensor, " key"], row: int) -> Seen:
        """What one row shows. Without its padding, a row's keys are the prompt and the text in order: key i is position i."""
        sample = call.context.sample
        pattern = torch.stack([pattern[row][:, visible.to(pattern.device)].float().cpu() for pattern in output.patterns])
        tokens = _joined(sample.tokens, call.kept)
        needle = pad(sample.needle_mask, (0, len(call.kept)))
        n_layers, n_keys = len(pattern), len(tokens)
        context = StepContext(
            tokens.expand(n_layers, n_keys),
            needle.expand(n_layers, n_keys),
            torch.ones(n_layers, n_keys, dtype=torch.bool),
            output.logits[row].argmax().cpu().expand(n_layers),
        )
        attention = pattern[:, :, call.context.start : call.context.end]
        return Seen(attention, self.score(pattern, context), output.hidden[row].float().cpu())


@dataclass(eq=False)
class _Row:
    """A text while it is being written."""

    call: Write
    tokens: list[int] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    rows: list[Float[Tensor, "head key"]] = field(default_factory=list)
    stopped: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended; where attention rows are wanted, the last token must have been fed to the model as well."""
        return bool(self.stopped) and (not self.call.rows or self.stopped == "error" or len(self.rows) >= len(self.tokens))

    def take(self, token: int, entropy: float, eos_ids: tuple[int, ...], tokenizer: Any) -> None:
        """Add the token that the model chose, or end the text."""
        if self.stopped:
            return
        if token in eos_ids:
            self.stopped = "eos"
            return
        self.tokens.append(token)
        self.entropy.append(entropy)
        if len(self.tokens) >= self.call.limit:
            self.stopped = "length"
        elif self.call.first_sentence and len(self.tokens) % LOOK_EVERY == 0:
            self.stopped = "sentence" if len(draft_sentences(tokenizer, torch.tensor(self.tokens))) > 1 else ""

    def written(self) -> Written:
        attention = None
        if self.call.rows and self.rows:
            attention = torch.stack([pad(row, (0, len(self.tokens) - row.shape[1])) for row in self.rows], dim=1)
        return Written(tuple(self.tokens), self.stopped, torch.tensor(self.entropy), attention)


def _continue(engine: Engine, model: Model, calls: Sequence[Write], state: DecodeState, inputs: Int[Tensor, " row"]) -> list[Written]:
    """Write every row greedily to its own end; rows that have ended leave the batch."""
    rows = [_Row(call) for call in calls]
    live = list(rows)
    while True:
        output, state = engine.step(state, inputs)
        logits = output.logits.float()
        chosen, finite, entropy = logits.argmax(dim=-1).cpu(), logits.isfinite().all(dim=-1).tolist(), _entropy(logits).tolist()
        for index, row in enumerate(live):
            if row.call.rows and row.tokens:
                # New tokens are the last keys, one a step in every row; this step's query is the newest of them.
                row.rows.append(output.patterns[-1][index, :, -len(row.tokens) :].float().cpu())
            if not finite[index]:
                row.stopped = "error"
            row.take(int(chosen[index]), entropy[index], model.eos_ids, model.tokenizer)
        keep = [index for index, row in enumerate(live) if not row.over]
        if not keep:
            return [row.written() for row in rows]
        inputs = chosen[keep]
        if len(keep) < len(live):
            live, state = [live[index] for index in keep], engine.fork(state, keep)


def _entropy(logits: Float[Tensor, "row vocab"]) -> Float[Tensor, " row"]:
    """In nats."""
    log = logits.log_softmax(dim=-1)
    return (-log.exp() * log).nan_to_num(0.0).sum(dim=-1).clamp(min=0.0)


def _lay_out(tokenizer: Any, call: Write) -> tuple[Int[Tensor, " pos"], Int[Tensor, " pos"]]:
    """Tokens and position ids of a prompt with gaps, or of a shorter one without, and of the text so far."""
    sample = call.context.sample
    if call.cut:
        tokens = _joined(cut_prompt(tokenizer, call.context, call.shown), call.kept)
        return tokens, torch.arange(len(tokens))
    positions = visible_positions(call.context, call.shown)
    behind = torch.arange(len(sample), len(sample) + len(call.kept))
    return _joined(sample.tokens[positions], call.kept), torch.cat([positions, behind])


def _joined(tokens: Int[Tensor, " _"], kept: tuple[int, ...]) -> Int[Tensor, " _"]:
    return torch.cat([tokens, torch.tensor(kept, dtype=torch.long)])

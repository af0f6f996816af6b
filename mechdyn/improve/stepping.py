"""Greedy decoding by whatever gives a step's logits, and the same with every token given.

`Steps` is the state of a batch under one rule of decoding; a rule is one class with a `step`. The loops are here, once for all rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.batches import naming_memory
from mechdyn.decoding.trace import check_sample
from mechdyn.errors import InputError
from mechdyn.improve.variant import Answer
from mechdyn.models.model import Model
from mechdyn.models.shape import shape_of
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import TASKS


@runtime_checkable
class Steps(Protocol):
    """A batch of rows, a prompt each, less its last token; `step` feeds one token to every row."""

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row vocab"]:
        """What the next token is chosen by: logits, or anything that the softmax makes the rule's distribution of.

        `given` are the tokens that come next where they are given and not chosen.
        """
        ...

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows."""
        ...

    def positions(self, n_prompt: int, n_new: int) -> int:
        """Positions whose keys and values a row holds in the end."""
        ...


Begin = Callable[[Sequence[Sample]], Steps]
"""Reads the prompts of samples, all but their last token."""


@dataclass(eq=False)
class _Row:
    sample: Sample
    room: int
    tokens: list[int] = field(default_factory=list)
    stopped: str = ""


def answer_samples(model: Model, samples: Sequence[Sample], begin: Begin, max_new_tokens: int | None = None) -> list[Answer]:
    """Greedy answers of one batch: at each step the likeliest token of each row, the first of several.

    An answer ends at any of the model's EOS ids, at `max_new_tokens` (its task's own number where left out) or at the model's context.

    Raises:
        InputError: a prompt that leaves no room for a token.
        OutOfMemoryError: the device does not hold the batch.
    """
    if not samples:
        return []
    for sample in samples:
        check_sample(model, sample)
    rows = [_Row(sample, max_new_tokens or TASKS.get(sample.task).max_new_tokens) for sample in samples]
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    started = perf_counter()
    with naming_memory(model, [len(sample) for sample in samples], max(row.room for row in rows), ablates=True):
        steps = begin(samples)
        _run(model, rows, steps)
    peak = torch.cuda.max_memory_allocated(model.device) if model.device.type == "cuda" else None
    seconds = (perf_counter() - started) / len(rows)
    return [_answer(model, row, steps, seconds, peak) for row in rows]


def forced_log_probs(tokens: Int[Tensor, " pos"], begin: Begin) -> Float[Tensor, "pos vocab"]:
    """Log probabilities of the token behind each position under a rule of decoding, the text given token by token.

    Nothing is a prompt: every position is a step.
    """
    steps = begin([text_sample(tokens[:1])])
    given = [*tokens[1:].tolist(), None]
    found = []
    for token, following in zip(tokens.tolist(), given, strict=True):
        logits = steps.step(torch.tensor([token]), None if following is None else torch.tensor([following]))
        found.append(logits[0].float().log_softmax(dim=-1).cpu())
    return torch.stack(found)


@torch.inference_mode()
def whole_log_probs(model: Model, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
    """The model's own log probabilities of the token behind each position, from one forward."""
    if model.twin is None:
        raise InputError(f"{model.name} is a HookedTransformer, which is only traced; load it with load_model to improve it")
    device = model.twin.get_input_embeddings().weight.device
    logits = model.twin(tokens[None].to(device), use_cache=False).logits[0]
    return logits.float().log_softmax(dim=-1).cpu()


def text_sample(tokens: Int[Tensor, " pos"]) -> Sample:
    """A text as a sample without a needle or a question."""
    none: Int[Tensor, " needle"] = torch.zeros(0, dtype=torch.long)
    return Sample("own", "", tokens, (), none, (0, 0), "", "")


def _run(model: Model, rows: Sequence[_Row], steps: Steps) -> None:
    live, inputs = list(rows), torch.stack([row.sample.tokens[-1] for row in rows])
    while True:
        logits = steps.step(inputs)
        chosen, finite = logits.argmax(dim=-1).cpu(), logits.isfinite().all(dim=-1).cpu()
        for row, token, is_number in zip(live, chosen.tolist(), finite.tolist(), strict=True):
            _record(model, row, token, is_number)
        keep = [index for index, row in enumerate(live) if not row.stopped]
        if not keep:
            return
        inputs = chosen[keep]
        if len(keep) < len(live):
            live = [live[index] for index in keep]
            steps.select(keep)


def _record(model: Model, row: _Row, token: int, finite: bool) -> None:
    if not finite or token in model.eos_ids:
        row.stopped = "eos" if finite else "error"
        return
    row.tokens.append(token)
    if len(row.tokens) >= row.room or len(row.sample) + len(row.tokens) >= model.n_ctx:
        row.stopped = "length"


def _answer(model: Model, row: _Row, steps: Steps, seconds: float, peak: int | None) -> Answer:
    held = steps.positions(len(row.sample), len(row.tokens)) * bytes_a_position(model)
    text = model.tokenizer.decode(row.tokens, skip_special_tokens=True)
    return Answer(text, tuple(row.tokens), seconds, held, peak, row.stopped)


def bytes_a_position(model: Model) -> int:
    """Bytes of the keys and values of one position in all layers, by arithmetic; windows are not taken off."""
    return shape_of(model.twin).n_cached * model.dtype.itemsize

"""What variants are put to: samples of any registered task, and texts that need no retrieval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.plans import EVALUATION, Preset
from mechdyn.tasks.haystack import read_haystack
from mechdyn.tasks.hotpot_evaluation import fact_match, quoted_sentences
from mechdyn.tasks.prose import procedural_prose
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import TASKS, SampleSet, Task, build_sample, make_task
from mechdyn.tensors import Tensor, torch

QUOTES = ("quote_f1", "quote_precision", "quote_recall")
"""Whether a rationale quotes the right sentences, word for word: of those that it quotes the share that are supporting facts (precision),
of the supporting facts the share that it quotes (recall), and their harmonic mean; all 0 where it quotes none."""
_WORDS_A_SENTENCE = 6
_PROSE_SEED = 7_000_003
"""Where the seeds of these texts begin, so that none is the haystack of a sample."""


@dataclass(frozen=True, eq=False)
class TaskSamples:
    """Samples of one task; `spec` is what it was asked for by, `room` how many tokens an answer may have."""

    spec: str
    samples: tuple[Sample, ...]
    room: int

    @property
    def task(self) -> type[Task]:
        return TASKS.get(self.samples[0].task)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The task's metrics, the primary one first; where samples have supporting facts, whether these are quoted as well."""
        own = sorted(self.task.metrics, key=lambda metric: metric != self.task.primary)
        return (*own, *(QUOTES if all(map(_has_facts, self.samples)) else ()))

    def quality(self, sample: Sample, text: str) -> dict[str, float]:
        """Every metric of an answer to one of the samples, each in [0, 1]."""
        found = dict(self.task.quality(text, sample.answer))
        if QUOTES[0] in self.metrics:
            facts = map(tuple, sample.meta["facts"])
            match = fact_match(quoted_sentences(text, sample.meta["context"]), facts)
            found |= dict(zip(QUOTES, (match.f1, match.precision, match.recall), strict=True))
        return found

    def cells(self) -> list[tuple[int, float]]:
        """The length and depth of each sample, as its task groups them."""
        return [self.task.cell(sample.meta) for sample in self.samples]


def samples_of_task(model: Model, spec: str, preset: Preset, *, seed: int = 0, max_new_tokens: int | None = None) -> TaskSamples:
    """The evaluation samples of a task for a model; what trains or detects heads takes others (`mechdyn.plans.DETECTION`).

    Args:
        model: for whose context and tokenizer they are made.
        spec: a task with its options: `niah`, `hotpotqa:data=FILE`.
        preset: prompt lengths, depths, and how many samples there are of each; of a file as many items are taken where it has enough.
        seed: draws the samples.
        max_new_tokens: room for an answer; the task's own number where left out.

    Raises:
        InputError: an unknown task, options that it does not take, or samples that the model has no room for.
    """
    task = make_task(spec)
    room = max_new_tokens or task.max_new_tokens
    prepared = task.prepare(model, room)
    specs = prepared.samples(SampleSet(preset.cells, EVALUATION, seed=seed))
    samples = tuple(build_sample(model, {"task": task.name, **each}) for each in specs)
    longest = max(map(len, samples))
    if longest + room > model.n_ctx:
        raise InputError(
            f"samples of {spec} have up to {longest} tokens and answers up to {room}, and {model.name} holds {model.n_ctx} positions; "
            "take shorter ones with --length"
        )
    return TaskSamples(spec, samples, room)


def prose_texts(model: Model, *, n: int = 8, length: int = 256, seed: int = 0, file: str | Path | None = None) -> tuple[Tensor, ...]:
    """Texts of `length` tokens in which nothing has to be looked up: the procedural prose that haystacks are made of, or a file's.

    Raises:
        InputError: a file that cannot be read or is too short, or a length that the model cannot hold.
    """
    if not 2 <= length <= model.n_ctx:
        raise InputError(f"texts have 2 to {model.n_ctx} tokens on {model.name}, got {length}")
    if file is None:
        prose = (procedural_prose(_PROSE_SEED + seed * n + index, max(8, length // _WORDS_A_SENTENCE + 8)) for index in range(n))
        return tuple(_ids(model, text)[:length] for text in prose)
    ids = _ids(model, read_haystack(file))
    if len(ids) < n * length:
        raise InputError(f"{n} texts of {length} tokens are wanted and {file} has {len(ids)} tokens; give a longer file or fewer texts")
    return tuple(ids[index * length : (index + 1) * length] for index in range(n))


def _ids(model: Model, text: str) -> Int[Tensor, " pos"]:
    """With the BOS that the tokenizer begins a text with, if it does."""
    return torch.tensor(model.tokenizer(text)["input_ids"])


def _has_facts(sample: Sample) -> bool:
    return bool(sample.meta.get("facts")) and "context" in sample.meta and sample.meta.get("style") == "rationale"


def values_of(tested: TaskSamples, texts: Sequence[str | None]) -> Mapping[str, Float[np.ndarray, " sample"]]:
    """Each metric of each sample's answer; NaN where there is none, which is no zero."""
    lost = dict.fromkeys(tested.metrics, np.nan)
    rows: list[dict[str, Any]] = [
        lost if text is None else tested.quality(sample, text) for sample, text in zip(tested.samples, texts, strict=True)
    ]
    return {metric: np.array([row[metric] for row in rows], dtype=np.float64) for metric in tested.metrics}

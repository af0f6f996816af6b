"""Which heads retrieve, by whose definition: what samples give every head, and when a list is stable (docs/definitions.md, "Detection").

A score of steps ranks heads by the traces of a task's samples, as its `Counting` says; a score of prompts by what the question's rows give
the documents. The samples are those of the plan's detection part, so a list shares none with what claims measure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.metrics import f1, rouge_1_recall
from mechdyn.plans import DETECTION, Preset, Request
from mechdyn.registry import parse_spec
from mechdyn.scores.counting import ALL_STEPS, ANSWER_LENGTH, FIRST_LINE, POOLED, ROUGE_ANSWER, ROUGE_NEEDLE, SUM, TASK, Counting
from mechdyn.scores.prompt import PROMPT_SCORES, NamedPromptScore, get_prompt_score
from mechdyn.scores.score import SCORES, NamedScore, as_score
from mechdyn.stats.head_lists import TOP
from mechdyn.stats.head_ranking import Agreement, HeadScores, stability
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import TASKS, SampleSet, is_correct
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

STABLE = 0.9
"""A list is stable where Spearman's ρ over its first k heads, against lists of resampled needles, is this or more."""
FEWEST_NEEDLES = 10
"""No list of fewer needles counts as stable: resamples of so few are too much alike."""
ACCEPT = 0.5
"""ROUGE-1 recall, or F1, above which the published methods take a sample."""
PRESETS = {
    "quick": Preset((256, 512), n_seeds=4),
    "standard": Preset((256, 512, 1024), n_seeds=10),
    "paper": Preset((1000, 2000, 3000, 4000, 5000), n_seeds=12, depths=(0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)),
}
"""`paper` has the lengths of Table 1's prompts and, as Wu et al. 2024, ten depths and up to 600 samples, each with a needle of its own."""


@dataclass(frozen=True)
class Detector:
    """What heads are ranked by: a score of steps, or one of prompts."""

    score: NamedScore | NamedPromptScore

    @property
    def name(self) -> str:
        return self.score.name

    @property
    def counting(self) -> Counting | None:
        """None of a score of prompts, which generates nothing and takes every sample."""
        return self.score.counting if isinstance(self.score, NamedScore) else None

    @property
    def statistic(self) -> str:
        """What the ranking's scores are."""
        if isinstance(self.score, NamedPromptScore):
            return self.score.statistic
        return self.score.counting.statistic or f"mean {self.score.name} score over the steps of correct samples"


@dataclass(frozen=True)
class Expectation:
    """What is known of a sample before a model runs: the texts that answers are held to, how many tokens they have, and its cell."""

    sample: str
    needle: str
    answer: str
    n_needle: int
    n_answer: int
    cell: tuple[int, float]

    @property
    def needle_key(self) -> str:
        """The same for samples with the same needle."""
        return content_hash(self.needle)


@dataclass(frozen=True, eq=False)
class Counted:
    """One sample: what it gives every head (flat) and its weight, or why it gives nothing."""

    asked: Expectation
    sums: Float[np.ndarray, " head"] | None = None
    count: float = 1.0
    dropped: str = ""


def as_detector(what: str) -> Detector:
    """The score of that name, with options where it is one of steps.

    Raises:
        InputError: no such score, or options that it does not have.
    """
    name, options = parse_spec(what)
    if name in PROMPT_SCORES.names():
        if options:
            raise InputError(f"the score {name} has no options, got {options}")
        return Detector(get_prompt_score(name))
    try:
        return Detector(as_score(what))
    except InputError as error:
        if name in SCORES.names():
            raise
        raise InputError(f"{error}; of whole prompts {', '.join(PROMPT_SCORES.names())}") from error


def rounds(request: Request, preset: Preset) -> dict[str, tuple[Unit, ...]]:
    """Units of the detection part by round: each has a sample of every length and depth, with seeds of its own."""
    cells = tuple((length, depth) for length in preset.lengths for depth in preset.depths)
    specs = request.task.samples(SampleSet(cells * preset.n_seeds, DETECTION, seed=request.seed))
    units = tuple(map(request.unit, specs))
    return {f"detection {start // len(cells) + 1}": units[start : start + len(cells)] for start in range(0, len(units), len(cells))}


def asked_of(sample: Sample, n_answer: int) -> Expectation:
    """What a sample asks; `n_answer` is how many tokens the expected answer has by itself."""
    needle = " ".join(sample.prompt[start:end].strip() for start, end in sample.needle_spans)
    cell = TASKS.get(sample.task).cell(sample.meta)
    return Expectation(sample.key, needle, sample.answer, len(sample.needle_positions), n_answer, cell)


def count_trace(trace: Trace, asked: Expectation, counting: Counting, pieces: Sequence[str]) -> Counted:
    """What a generation gives every head.

    Args:
        trace: the generation.
        asked: what was asked.
        counting: how the score counts.
        pieces: the text of each generated token where it stands, so that together they read as the text.
    """
    if trace.stopped == "error":
        return Counted(asked, dropped="the generation failed (NaN or infinite logits)")
    if not trace.n_steps:
        return Counted(asked, dropped="no token was generated")
    refused = _refused(trace, asked, counting, pieces)
    if refused:
        return Counted(asked, dropped=refused)
    steps = _steps(trace.text, asked, counting, pieces)
    if not steps.any():
        return Counted(asked, dropped="the expected answer is not in the text, so no step writes it")
    scores = trace.retrieval_scores[steps].flatten(1).double().numpy()
    sums = scores.sum(axis=0)
    if counting.sample == POOLED:
        return Counted(asked, sums, float(len(scores)))
    return Counted(asked, sums if counting.sample == SUM else sums / len(scores))


def head_scores(found: Sequence[Counted], n_layers: int, n_heads: int) -> HeadScores | None:
    """The samples that count, together; None where there is none."""
    kept = [(each.asked.needle_key, each.sums, each.count) for each in found if each.sums is not None]
    if not kept:
        return None
    needles, sums, counts = zip(*kept, strict=True)
    return HeadScores(np.stack(sums), np.array(counts), needles, n_layers, n_heads)


def is_stable(scores: HeadScores | None, k: int = TOP, *, seed: int = 0) -> bool:
    """Whether more samples would hardly change the first k heads (`STABLE`, `FEWEST_NEEDLES`)."""
    return scores is not None and scores.n_needles >= FEWEST_NEEDLES and reached(stability(scores, k, seed=seed))


def reached(agreement: Agreement) -> bool:
    """Whether resampled lists agree well enough; NaN does not."""
    return agreement.correlation >= STABLE


def drop_counts(found: Sequence[Counted]) -> Mapping[str, int]:
    """How many samples were dropped, by reason, most first."""
    reasons = [each.dropped for each in found if each.dropped]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons), key=lambda reason: (-reasons.count(reason), reason))}


def _refused(trace: Trace, asked: Expectation, counting: Counting, pieces: Sequence[str]) -> str:
    """Why a sample is not taken; empty where it is."""
    if counting.accept == TASK:
        return "" if is_correct(trace.task, trace.text, trace.answer) else "the answer is wrong, as the task counts it"
    text = "".join(pieces[: _first_line(pieces)]) if counting.steps == FIRST_LINE else trace.text
    if counting.accept in (ROUGE_NEEDLE, ROUGE_ANSWER):
        of = "needle" if counting.accept == ROUGE_NEEDLE else "answer"
        recall = rouge_1_recall(text, asked.needle if of == "needle" else asked.answer)
        return "" if recall > ACCEPT else f"ROUGE-1 recall of the {of} is not above {ACCEPT:g}"
    return "" if max(_likeness(text, asked)) > ACCEPT else f"F1 with answer and needle is not above {ACCEPT:g}"


def _likeness(text: str, asked: Expectation) -> tuple[float, float]:
    """F1 of a text with the expected answer, and with the needle."""
    return f1(text, asked.answer), f1(text, asked.needle)


def _steps(text: str, asked: Expectation, counting: Counting, pieces: Sequence[str]) -> Bool[Tensor, " step"]:
    """The steps that count."""
    n_steps = len(pieces)
    if counting.steps == ALL_STEPS:
        return torch.ones(n_steps, dtype=torch.bool)
    if counting.steps == FIRST_LINE:
        return torch.arange(n_steps) < _first_line(pieces)
    if counting.steps == ANSWER_LENGTH:
        with_answer, with_needle = _likeness(text, asked)
        return torch.arange(n_steps) < (asked.n_answer if with_answer >= with_needle else asked.n_needle)
    ends = np.cumsum([len(piece) for piece in pieces])
    start = "".join(pieces).find(asked.answer) if asked.answer else -1
    if start < 0:
        return torch.zeros(n_steps, dtype=torch.bool)
    starts = ends - [len(piece) for piece in pieces]
    return torch.tensor((starts < start + len(asked.answer)) & (start < ends))


def _first_line(pieces: Sequence[str]) -> int:
    """How many tokens there are up to and with the first line break."""
    return next((index + 1 for index, piece in enumerate(pieces) if "\n" in piece), len(pieces))

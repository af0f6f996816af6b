"""How heads are ranked by a score: which samples count, which of their steps, and what a sample gives a head."""

from dataclasses import dataclass

from mechdyn.errors import InputError

POOLED, MEAN, SUM = "pooled", "mean", "sum"
ALL_STEPS, FIRST_LINE, ANSWER_STEPS, ANSWER_LENGTH = "all", "line", "answer", "length"
TASK, ROUGE_NEEDLE, ROUGE_ANSWER, F1 = "task", "rouge-needle", "rouge-answer", "f1"
_KNOWN = {
    "sample": (POOLED, MEAN, SUM),
    "steps": (ALL_STEPS, FIRST_LINE, ANSWER_STEPS, ANSWER_LENGTH),
    "accept": (TASK, ROUGE_NEEDLE, ROUGE_ANSWER, F1),
}


@dataclass(frozen=True)
class Counting:
    """What `mechdyn heads detect` makes of the steps of a sample (docs/definitions.md, "Detection").

    Attributes:
        statistic: what the ranking's scores are, in words.
        sample: `pooled`: the mean over the steps of all samples together; `mean`: the mean over samples of the mean over a sample's steps;
            `sum`: the mean over samples of the sum over a sample's steps.
        steps: `all`; `line`: up to and with the first step that writes a line break; `answer`: those that write the expected answer, where
            the text has it; `length`: as many from the first as the expected answer has tokens.
        accept: `task`: samples that the task counts as right; `rouge-needle` and `rouge-answer`: stemmed ROUGE-1 recall of the needle or of
            the expected answer above 0.5; `f1`: F1 of words with the expected answer or with the needle above 0.5.
    """

    statistic: str = ""
    sample: str = POOLED
    steps: str = ALL_STEPS
    accept: str = TASK

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} of a score's counting must be one of {', '.join(known)}, got {getattr(self, name)!r}")

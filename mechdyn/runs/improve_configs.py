"""What the commands that improve a model can be asked; each composes its own options with `ImproveOptions`."""

from dataclasses import dataclass
from typing import ClassVar

from mechdyn.runs.configs import RunOptions, SampleOptions, ScoreOptions, TaskOptions, how, option

ANSWERS, PLANNED = "answers.jsonl", "planned.json"
"""Files of such a run: a line for each answer and each text of drift; how many there will be."""


@dataclass(frozen=True, kw_only=True)
class ImproveOptions(SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What is improved, and what it is evaluated on."""

    on: tuple[str, ...] = option(
        (),
        "Task to evaluate on, as --task takes it: niah, world, hotpotqa:data=FILE, citations:data=FILE, …; may be repeated. niah and world "
        "when left out.",
    )
    texts: int = option(8, "Texts with nothing to retrieve in them, on which drift is measured; 0 for none.", min=0, max=10_000)
    text_length: int = option(256, "Tokens of each of these texts.", min=2)
    text_file: str | None = option(None, "A text file or folder of .txt files for them; procedural prose when left out.")


@dataclass(frozen=True, kw_only=True)
class DecoreConfig(ImproveOptions):
    """What `mechdyn improve decore` was asked."""

    kind: ClassVar[str] = "decore"
    heads: str | None = option(
        None, "Heads of the weaker model: a file of ranked heads, FILE:format=…, or 'L3H6 L4H1'. Detected on --task when left out."
    )
    top: int | None = option(None, "How many of the first of a ranking; the first 5 %, at most 30, when left out.", min=1)
    methods: tuple[str, ...] = option(
        (), "uniform (published) or zero: what takes the heads' place; may be repeated. Both when left out.", flag="--method"
    )
    schedules: tuple[str, ...] = option(
        (),
        "static (the heads above), dynamic (each step's own) or random (as many others, a control); may be repeated. All when left out.",
        flag="--schedule",
    )
    alpha: float | None = option(None, "A fixed strength in place of the base distribution's entropy; 0 is greedy decoding.", min=0)
    cap: float | None = option(None, "The entropy counts up to this many nats.", min=0)
    scaled: bool = option(False, "Divide the entropy by that of an even distribution over the vocabulary.")


@dataclass(frozen=True, kw_only=True)
class SealConfig(ImproveOptions):
    """What `mechdyn improve seal` was asked."""

    kind: ClassVar[str] = "seal"
    by: tuple[str, ...] = option((), "head or channel: what has a factor of its own; may be repeated. Both when left out.")
    samples: int = option(50, "Samples of --task to learn from, as long as those of the evaluation and none of them.", min=1)
    learning_rate: float = option(0.01, "Of AdamW: the one knob.")
    epochs: int = option(1, "How often each sample is learned from.", min=1)
    forecast: bool = option(True, "Also factors that a head has only where a probe says, one step ahead, that it will retrieve.")
    probe: str | None = option(None, "Folder of such a probe of this model; one is fitted on other samples of --task when left out.")
    scales: str | None = option(None, "Folder of scales learned before (RUN/seal-head), in place of learning; --by is then left out.")
    control: bool = option(True, "Also the same factors dealt to other heads of the model, at random.")
    checkpoint: str | None = how(None, "Also write a Hugging Face checkpoint with the first scales folded in, into this new folder.")


@dataclass(frozen=True, kw_only=True)
class KVBudgetsConfig(ImproveOptions):
    """What `mechdyn improve kv-budgets` was asked."""

    kind: ClassVar[str] = "kv-budgets"
    heads: str | None = option(
        None, "A file of ranked heads, or FILE:format=…, whose scores deal a static budget out; found on --task when left out."
    )
    sources: tuple[str, ...] = option(
        (),
        "uniform, random, static, oracle, persistence, echo or forecast: what deals the budget out; may be repeated. uniform, static, echo "
        "and forecast when left out.",
        flag="--source",
    )
    caches: tuple[float, ...] = option(
        (), "Share of the prompt that a head sees, above 0 and at most 1; may be repeated. 0.1 and 0.2 when left out.", flag="--cache"
    )
    per: str = option("query", "query or kv: a budget for each query head, or one for the heads that share keys.")
    for_good: bool = option(False, "What is dropped never comes back.")
    beta: float = option(1.5, "HeadKV's β, from 1 on: the larger, the smaller the part that scores deal out.")
    window: int = option(8, "The prompt's last positions, which every head sees; at most half of its budget.", min=1)
    kernel: int = option(7, "Neighbours over which attention is max-pooled before positions are ranked; odd.", min=1)

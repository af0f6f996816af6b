"""What `mechdyn retmask` can be asked, stage by stage and as a whole."""

from dataclasses import dataclass
from typing import ClassVar

from mechdyn.runs.configs import RunOptions, SampleOptions, ScoreOptions, TaskOptions, how, option

_HEADS = "Heads to switch off: a file of ranked heads, FILE:format=…, FILE:top=K, or 'L3H6 L4H1'."


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How answers are drawn."""

    temperature: float = option(0.6, "Of sampling, published; 0 is greedy.", min=0)
    response_tokens: int | None = option(None, "Tokens of a sampled answer at most; the task's own number when left out.", min=1)
    prompts: str | None = option(None, 'JSON lines {"prompt": "…"} to answer; samples of --task that no evaluation sees, when left out.')


@dataclass(frozen=True, kw_only=True)
class DeactivateConfig:
    """What `mechdyn retmask deactivate` was asked."""

    kind: ClassVar[str] = "deactivate"
    model: str = option("mini", "a name that `mechdyn models` lists, a local Hugging Face directory, a GGUF file or a hub id.")
    heads: str = option("", _HEADS)
    tau: float = option(0.1, "Of a ranking the heads with a score of at least this are taken: 0.1 (Llama 3.1), 0.05 (Qwen3, Olmo 3).")


@dataclass(frozen=True, kw_only=True)
class ContrastConfig(SamplingOptions, SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn retmask contrast` was asked."""

    kind: ClassVar[str] = "contrast"
    heads: str = option("", _HEADS)
    tau: float = option(0.1, "Of a ranking the heads with a score of at least this are taken: 0.1 (Llama 3.1), 0.05 (Qwen3, Olmo 3).")
    weaker: str | None = option(None, "Another model whose answers are not preferred, or rounded:bits=4, in place of heads switched off.")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How DPO is run, where it is to be otherwise than the settings have it."""

    lora: int | None = option(None, "Train an adapter of this rank in place of all weights.", min=1)
    learning_rate: float | None = option(None, "The highest rate; a tenth of it is the last.")
    epochs: int | None = option(None, "How often each pair is seen.", min=1)
    rows: int | None = how(None, "Pairs that are run at once.", min=1)


@dataclass(frozen=True, kw_only=True)
class RetmaskTrainConfig(TrainOptions):
    """What `mechdyn retmask train` was asked."""

    kind: ClassVar[str] = "train"
    model: str = option("mini", "a name that `mechdyn models` lists, a local Hugging Face directory, a GGUF file or a hub id.")
    pairs: str = option("", "Folder of a data set with prompt, chosen, rejected: `contrast` writes one as pairs/.")
    settings: str = option("quick", "quick, or paper: the published settings.")
    seed: int = option(0, "Of the order of the pairs.")


@dataclass(frozen=True, kw_only=True)
class RetmaskConfig(SamplingOptions, TrainOptions, SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn verify retmask` was asked."""

    kind: ClassVar[str] = "retmask"
    heads: str | None = option(None, f"{_HEADS} Ranked on the samples to train on when left out.")
    tau: float = option(0.1, "Of a ranking the heads with a score of at least this are taken: 0.1 (Llama 3.1), 0.05 (Qwen3, Olmo 3).")
    seeds: int = option(3, "How often each arm is drawn and trained; a verdict takes 3.", min=1, max=100)
    weaker: str | None = option(None, "The weaker model of the control; rounded:bits=4, the model with rounded weights, when left out.")
    keep_models: bool = how(False, "Keep the trained controls too, not only RetMask's models.")

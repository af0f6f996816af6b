"""What `mechdyn rag` and `mechdyn rag-sweep` can be asked (`mechdyn.runs.configs`)."""

from dataclasses import dataclass
from typing import ClassVar

from mechdyn.runs.configs import LengthOptions, RunOptions, TaskOptions, how, option


@dataclass(frozen=True, kw_only=True)
class RagOptionsConfig(LengthOptions, TaskOptions, RunOptions):
    """What `mechdyn rag` and `mechdyn rag-sweep` have in common."""

    task: str = option("world", "world, hotpotqa, own, or another task with a context to retrieve from.")
    questions: int | None = option(None, "Questions at each length (of a file at most half) instead of the preset's.", min=1, max=10_000)
    probe: str | None = option(None, "Folder of a probe of this model for dynamic; one is fitted on other questions when left out.")
    heads: int = option(5, "Heads that each strategy chooses.", min=1)
    mode: str = option("mask", "mask or text: hide the rest of the context, or build a shorter prompt from the windows.")


@dataclass(frozen=True, kw_only=True)
class RagConfig(RagOptionsConfig):
    """What `mechdyn rag` was asked."""

    kind: ClassVar[str] = "rag"
    strategies: tuple[str, ...] = option(
        (),
        "dynamic, oracle, static, dynamic-random, fixed-random, no-context, full-context or one of another package, with options as "
        "NAME:OPTION=VALUE,…; may be repeated. All of mechdyn's own when left out.",
        flag="--strategy",
    )
    threshold: float = option(1.2, "A sentence with a word of a RIND value above this is retrieved for.")
    k: int = option(16, "Context positions that the chosen heads retrieve.", flag="-k")
    window: int = option(32, "Tokens shown to either side of each cluster of positions.")
    variant: str = option("code", "code or paper: RIND as DRAGIN's published code has it, or as its paper prints it.")
    attention: str = option("alone", "alone or full: RIND's attention from a forward over the draft alone, or from generation itself.")
    draft: str = option("hidden", "hidden or windows: what a draft behind a rewritten sentence sees, nothing or still the last windows.")
    max_sentences: int = option(10, "Sentences an answer may have; one more round than this is the bound.")


@dataclass(frozen=True, kw_only=True)
class RagSweepConfig(RagOptionsConfig):
    """What `mechdyn rag-sweep` was asked: one number moves, the others stay at their defaults."""

    kind: ClassVar[str] = "rag-sweep"
    strategies: tuple[str, ...] = option(
        (), "Strategy; may be repeated. dynamic, oracle, static, fixed-random if left out.", flag="--strategy"
    )
    thresholds: tuple[float, ...] = option(
        (), "RIND threshold; may be repeated. 0.4, 0.8, 1.2, 1.6 and 2.4 if left out.", flag="--threshold"
    )
    ks: tuple[int, ...] = option((), "Context positions; may be repeated. 4, 8, 16, 32 and 64 if left out.", flag="-k", min=1)
    windows: tuple[int, ...] = option(
        (), "Tokens to either side; may be repeated. 8, 16, 32, 64 and 128 if left out.", flag="--window", min=0
    )
    batch_size: int = how(4, "Questions answered together, each under all strategies and settings.", min=1)

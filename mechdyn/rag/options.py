"""What a run of dynamic RAG is free to choose."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from mechdyn.errors import InputError
from mechdyn.rag.rind import VARIANTS

ATTENTIONS = ("alone", "full")
DRAFTS = ("hidden", "windows")
MODES = ("mask", "text")


@dataclass(frozen=True)
class RagOptions:
    """The numbers of Algorithms 1 and 2; the paper states none of them (defaults: docs/definitions.md, "Dynamic RAG").

    Args:
        threshold: a sentence is retrieved for where a content word's RIND value is strictly above this (DRAGIN: 1.2 for Llama-2-13b).
        variant: RIND as DRAGIN's published code has it, or as its paper prints it.
        attention: RIND's attention from a forward over the draft alone, or from the rows of generation itself.
        k: how many of the context positions that the chosen heads attend to most are taken.
        join: positions closer than this many tokens are one cluster.
        window: tokens shown to either side of a cluster's strongest position.
        max_new_tokens: the tokens that an answer may have.
        max_sentences: an answer is drafted at most this many times and once more; one that needs more rounds is stopped, and its log says
            so.
        draft: what a draft behind a rewritten sentence may see. `hidden`: nothing of the context, as section 5.2 says ("when no
            retrieval is needed, the entire context is masked"). `windows`: still the last windows, as Algorithm 1 prints it, which masks
            the context again only behind a draft that was kept.
        mode: `mask` hides the rest of the context with positions unmoved; `text` builds a shorter prompt from the windows' text.
    """

    threshold: float = 1.2
    variant: str = "code"
    attention: str = "alone"
    k: int = 16
    join: int = 8
    window: int = 32
    max_new_tokens: int = 128
    max_sentences: int = 10
    draft: str = "hidden"
    mode: str = "mask"

    def __post_init__(self) -> None:
        for name, known in (("variant", VARIANTS), ("attention", ATTENTIONS), ("draft", DRAFTS), ("mode", MODES)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name, least in (("k", 1), ("join", 1), ("window", 0), ("max_new_tokens", 1), ("max_sentences", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.threshold >= 0:
            raise InputError(f"threshold must be 0 or more (RIND values are never below 0), got {self.threshold}")
        if math.isinf(self.threshold):
            raise InputError("threshold must be a finite number, got inf; for answers without any retrieval take the strategy no-context")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

"""What the paper reports for its five models, to stand beside what was measured (Tables 1 to 3; heads per step from its text)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperDynamism:
    """One row of Table 1, with the dynamic heads per step and the activated heads reported beside it."""

    static_jaccard: float
    adjacent_jaccard: float
    entropy: float
    heads_per_step: tuple[float, float]
    activated: tuple[int, int]


TABLE_1 = {
    "llama3.1-8b": PaperDynamism(0.3512, 0.2793, 3.8154, (12.97, 7.69), (238, 1024)),
    "llama3.2-3b": PaperDynamism(0.3126, 0.3188, 3.0083, (9.69, 6.18), (149, 672)),
    "qwen3-8b": PaperDynamism(0.4611, 0.3668, 4.1038, (20.18, 10.43), (415, 1152)),
    "llama2-13b": PaperDynamism(0.2077, 0.4979, 4.8973, (6.20, 5.49), (172, 1600)),
    "phi4-mini": PaperDynamism(0.1845, 0.5056, 3.5532, (6.13, 7.09), (176, 768)),
}

"""What the paper reports for its five models, to stand beside what was measured: Tables 1 to 3, and numbers from its text."""

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


@dataclass(frozen=True)
class PaperProgressive:
    """What the text says of a model's Figure 3: compensated heads in the static top 20 for k >= 5, and accuracy at two k."""

    compensated: tuple[float, float]
    accuracy: tuple[tuple[int, float], ...]

    def __str__(self) -> str:
        low, high = self.compensated
        accuracy = ", ".join(f"{value:g} at k = {k}" for k, value in self.accuracy)
        return f"compensated heads {low:g} to {high:g} for k >= 5; accuracy {accuracy}"


FIGURE_3 = {"llama3.1-8b": PaperProgressive((4.5, 7.0), ((0, 1.0), (20, 0.0)))}
"""The other models' curves, and all of Figure 2, are printed as pictures only."""

"""What the paper reports for its five models, to stand beside what was measured: Tables 1 to 4, and numbers from its text."""

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


@dataclass(frozen=True)
class PaperProbe:
    """One row of Table 2: an MLP probe at offset 0."""

    f1: float
    precision: float
    recall: float
    auprc: float


TABLE_2 = {
    "llama3.1-8b": PaperProbe(0.8349, 0.8344, 0.8353, 0.9173),
    "llama3.2-3b": PaperProbe(0.8456, 0.8564, 0.8351, 0.9289),
    "qwen3-8b": PaperProbe(0.8566, 0.8780, 0.8362, 0.9339),
    "llama2-13b": PaperProbe(0.8336, 0.8455, 0.8220, 0.9183),
    "phi4-mini": PaperProbe(0.8038, 0.8219, 0.7865, 0.8862),
}

FIGURE_4_TOP_1 = {0: 0.966, 1: 0.931, 2: 0.915}
"""Leading canonical correlation by offset, from the text of 3.4; in sample, of a model that it does not name."""


@dataclass(frozen=True)
class PaperRegressor:
    """One row of Table 3: an MLP regressor of reasoning scores at offset 0, on HotpotQA."""

    mse: float
    mae: float
    r2: float


TABLE_3 = {
    "llama3.1-8b": PaperRegressor(0.0023, 0.0177, 0.8120),
    "llama3.2-3b": PaperRegressor(0.0036, 0.0247, 0.8015),
    "qwen3-8b": PaperRegressor(0.0050, 0.0255, 0.7200),
    "llama2-13b": PaperRegressor(0.0009, 0.0121, 0.7669),
    "phi4-mini": PaperRegressor(0.0014, 0.0109, 0.7333),
}


@dataclass(frozen=True)
class PaperRag:
    """One row of Table 4: (EM, F1) of each strategy on HotpotQA. The paper has neither the oracle nor the full context."""

    dynamic: tuple[float, float]
    static: tuple[float, float]
    dynamic_random: tuple[float, float]
    fixed_random: tuple[float, float]
    no_context: tuple[float, float]

    def of(self, strategy: str) -> tuple[float, float] | None:
        """EM and F1 of a strategy by its name here; None where the paper has none."""
        return getattr(self, strategy.replace("-", "_"), None)


TABLE_4 = {
    "llama3.1-8b": PaperRag((0.456, 0.5586), (0.398, 0.5098), (0.272, 0.3670), (0.272, 0.3763), (0.252, 0.3257)),
    "llama3.2-3b": PaperRag((0.384, 0.4993), (0.428, 0.5386), (0.224, 0.3143), (0.226, 0.3051), (0.184, 0.2439)),
    "qwen3-8b": PaperRag((0.286, 0.3580), (0.278, 0.3429), (0.210, 0.2804), (0.210, 0.2804), (0.220, 0.2961)),
    "llama2-13b": PaperRag((0.284, 0.3838), (0.278, 0.3789), (0.276, 0.3762), (0.272, 0.3751), (0.192, 0.2750)),
    "phi4-mini": PaperRag((0.202, 0.2690), (0.186, 0.2505), (0.082, 0.1090), (0.086, 0.1111), (0.172, 0.2331)),
}
"""EM is in steps of 0.002, so there were 500 questions."""

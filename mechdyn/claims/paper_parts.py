"""The paper's tables and figures, and what runs each: a report says by this what was not run."""

from dataclasses import dataclass

NEEDLES, QUESTIONS = "needles", "questions"
ABLATION, PROGRESSIVE, SENSITIVITY = "ablation grid", "progressive ablation", "sensitivity"
CORRELATIONS, PROBES = "correlations by offset", "probes"


@dataclass(frozen=True)
class Part:
    """A table or figure on one kind of task. `measures` is what a run of it measures, `command` what runs it."""

    name: str
    measures: str
    on: str
    command: str


_WORLD = "--task world"
_HOTPOT = "--task hotpotqa --data FILE"


def _both(names: tuple[str, str], measures: str, command: str) -> tuple[Part, Part]:
    return Part(names[0], measures, NEEDLES, command), Part(names[1], measures, QUESTIONS, f"{command} {_WORLD}, or {_HOTPOT}")


PARTS = (
    *_both(("Table 1", "Section 4, dynamism"), "dynamism", "mechdyn verify dynamism"),
    *_both(("Figure 2 as a verdict", "Figure 6 as a verdict"), "irreplaceability", "mechdyn verify irreplaceability"),
    *_both(("Figures 2 and 9 to 11", "Figures 6 and 12 to 14"), ABLATION, "mechdyn ablate"),
    *_both(("Figures 3 and 15 to 17", "Figures 7 and 18 to 20"), PROGRESSIVE, "python -m experiments.figure_3_progressive"),
    *_both(("Figure 4 as a verdict", "Figure 8 as a verdict"), "correlation", "mechdyn verify correlation"),
    *_both(("Figure 4", "Figure 8"), CORRELATIONS, "python -m experiments.figure_4_cca"),
    *_both(("Table 2", "Table 3"), PROBES, "python -m experiments.table_2_probe"),
    *_both(("beyond the paper: anticipation", "beyond the paper: anticipation"), "anticipation", "mechdyn verify anticipation"),
    Part("beyond the paper: sink, local window and threshold", SENSITIVITY, QUESTIONS, "python -m experiments.sensitivity"),
)

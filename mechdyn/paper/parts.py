"""The paper's tables and figures, and what runs each: a report says by this what was not run.

What a claim answers stands in the claim's own file; `mechdyn.claims.claim.paper_parts` puts all of it together.
"""

from dataclasses import dataclass

NEEDLES, QUESTIONS = "needles", "questions"
ABLATION, PROGRESSIVE, SENSITIVITY = "ablation grid", "progressive ablation", "sensitivity"
CORRELATIONS, PROBES = "correlations by offset", "probes"
DYNAMIC_RAG = "dynamic RAG"


@dataclass(frozen=True)
class Part:
    """A table or figure on one kind of task. `measures` is what a run of it measures, `command` what runs it."""

    name: str
    measures: str
    on: str
    command: str


_ON_QUESTIONS = "--task world, or --task hotpotqa --data FILE"
_SCRIPT = "python -m experiments."


def claim_parts(claim: str, needles: str, questions: str) -> tuple[Part, Part]:
    """What a claim answers: a part of the paper on needles and one on questions, each by its name."""
    command = f"mechdyn verify {claim}"
    return Part(needles, claim, NEEDLES, command), Part(questions, claim, QUESTIONS, f"{command} {_ON_QUESTIONS}")


OTHER_PARTS = (
    Part("Figures 2 and 9 to 11", ABLATION, NEEDLES, "mechdyn ablate"),
    Part("Figures 6 and 12 to 14", ABLATION, QUESTIONS, f"{_SCRIPT}figure_6_ablation_questions"),
    Part("Figures 3 and 15 to 17", PROGRESSIVE, NEEDLES, f"{_SCRIPT}figure_3_progressive"),
    Part("Figures 7 and 18 to 20", PROGRESSIVE, QUESTIONS, f"{_SCRIPT}figure_7_progressive_questions"),
    Part("Figure 4", CORRELATIONS, NEEDLES, f"{_SCRIPT}figure_4_cca"),
    Part("Figure 8", CORRELATIONS, QUESTIONS, f"{_SCRIPT}figure_8_cca_questions"),
    Part("Table 2", PROBES, NEEDLES, f"{_SCRIPT}table_2_probe"),
    Part("Table 3", PROBES, QUESTIONS, f"{_SCRIPT}table_3_regressor"),
    Part("Table 4", DYNAMIC_RAG, QUESTIONS, "mechdyn rag, or with --task hotpotqa --data FILE"),
    Part("beyond the paper: sink, local window and threshold", SENSITIVITY, QUESTIONS, f"{_SCRIPT}sensitivity"),
)
"""The parts that no claim answers."""

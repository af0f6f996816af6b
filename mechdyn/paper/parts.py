"""The paper's tables and figures, and what runs each: a report says by this what was not run.

What a claim answers stands in the claim's own file; `mechdyn.claims.claim.paper_parts` puts all of it together.
"""

from dataclasses import dataclass

NEEDLES, QUESTIONS = "needles", "questions"
ABLATION, PROGRESSIVE, SENSITIVITY = "ablation grid", "progressive ablation", "sensitivity"
CORRELATIONS, PROBES = "correlations by offset", "probes"
DYNAMIC_RAG = "dynamic RAG"


@dataclass(frozen=True)
class PaperPart:
    """A table or figure on one kind of task. `measures` is what a run of it measures, `command` what runs it."""

    name: str
    measures: str
    on: str
    command: str


_ON_QUESTIONS = "--task world, or --task hotpotqa --data FILE"


def claim_parts(claim: str, needles: str, questions: str) -> tuple[PaperPart, PaperPart]:
    """What a claim answers: a part of the paper on needles and one on questions, each by its name."""
    command = f"mechdyn verify {claim}"
    return PaperPart(needles, claim, NEEDLES, command), PaperPart(questions, claim, QUESTIONS, f"{command} {_ON_QUESTIONS}")


OTHER_PARTS = (
    PaperPart("Figures 2 and 9 to 11", ABLATION, NEEDLES, "mechdyn ablate"),
    PaperPart("Figures 6 and 12 to 14", ABLATION, QUESTIONS, f"mechdyn ablate {_ON_QUESTIONS}"),
    PaperPart("Figures 3 and 15 to 17", PROGRESSIVE, NEEDLES, "mechdyn progressive"),
    PaperPart("Figures 7 and 18 to 20", PROGRESSIVE, QUESTIONS, f"mechdyn progressive {_ON_QUESTIONS}"),
    PaperPart("Figure 4", CORRELATIONS, NEEDLES, "mechdyn correlations"),
    PaperPart("Figure 8", CORRELATIONS, QUESTIONS, f"mechdyn correlations {_ON_QUESTIONS}"),
    PaperPart("Table 2", PROBES, NEEDLES, "mechdyn probe"),
    PaperPart("Table 3", PROBES, QUESTIONS, f"mechdyn probe {_ON_QUESTIONS}"),
    PaperPart("Table 4", DYNAMIC_RAG, QUESTIONS, "mechdyn rag, or with --task hotpotqa --data FILE"),
    PaperPart("beyond the paper: sink, local window and threshold", SENSITIVITY, QUESTIONS, "mechdyn sensitivity"),
)
"""The parts that no claim answers."""

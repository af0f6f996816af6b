"""Multi-hop questions in HotpotQA's JSON layout: how context and question are put to a model."""

from collections.abc import Sequence

RATIONALE_INSTRUCTION = 'Quote the sentences that lead to the answer, then finish with "So the answer is" and the answer.'
ANSWER_MARK = "So the answer is"


def context_text(context: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Paragraphs in order as `Title: sentence sentence`, a line each, every character of the sentences kept."""
    return "\n".join(f"{title}: {join_sentences(sentences)}" for title, sentences in context)


def join_sentences(sentences: Sequence[str]) -> str:
    """Join sentences, with a space only where neither side brings white space of its own."""
    text = ""
    for sentence in sentences:
        apart = not text or not sentence or text[-1].isspace() or sentence[0].isspace()
        text += sentence if apart else f" {sentence}"
    return text

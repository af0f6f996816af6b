"""What heads give the documents of a sample from the rows of its question: QRHead's measurement, which generates nothing."""

from jaxtyping import Float
from torch import Tensor

from mechdyn.decoding.prefill import prefill
from mechdyn.decoding.read import mean_rows
from mechdyn.models.model import Model
from mechdyn.scores.prompt import document_scores
from mechdyn.tasks.documents import AskedDocuments


def read_documents(model: Model, asked: AskedDocuments) -> Float[Tensor, "layer head document"]:
    """What each head gives each document: its attention from the question's rows, less the same under the question "N/A" (QRHead).

    The question's rows run from the first token behind the context to the prompt's end, instruction and the template's end among them;
    attention is the mean over them. The context is read once for both questions.
    """
    start = asked.start
    held = prefill(model, [asked.tokens[:start]])
    question, null = (mean_rows(model, tokens, start, start, held=held) for tokens in (asked.tokens, asked.null_tokens))
    return document_scores(question - null, asked.documents)

"""A RAG strategy that knows no heads: BM25 over the sentences of the context (Robertson and Zaragoza 2009)."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from mechdyn.rag.strategy import Retrieval, WindowStrategy, strategy


def words(text):
    return re.findall(r"\w+", text.lower())


@strategy("bm25")
@dataclass(frozen=True)
class BM25(WindowStrategy):
    about: ClassVar[str] = "the sentences with the words of the question"
    sentences: int = 2
    k1: float = 1.5
    b: float = 0.75

    def windows(self, retrieval: Retrieval):
        passage = retrieval.context.passage
        pieces = [match.span() for match in re.finditer(r"[^.!?\n]+[.!?]?", passage)]
        counts = [Counter(words(passage[start:end])) for start, end in pieces]
        mean = sum(count.total() for count in counts) / len(counts)
        scores = [0.0] * len(pieces)
        for word in words(f"{retrieval.context.sample.question} {retrieval.flagged}"):
            n = sum(word in count for count in counts)
            weight = math.log(1 + (len(counts) - n + 0.5) / (n + 0.5))
            for place, count in enumerate(counts):
                length = 1 - self.b + self.b * count.total() / mean
                scores[place] += weight * count[word] * (self.k1 + 1) / (count[word] + self.k1 * length)
        best = sorted(range(len(pieces)), key=lambda place: -scores[place])[: self.sentences]
        return retrieval.context.token_spans(pieces[place] for place in best if scores[place] > 0)

"""A model that says what a script says: the loop's calls are answered by hand."""

from itertools import pairwise

import torch

from mechdyn.rag.calls import Attend, Observe, Seen, Write, Written
from mechdyn.rag.log import RagLog
from mechdyn.rag.loop import Trial, answer
from mechdyn.rag.options import RagOptions
from mechdyn.rag.strategies import FreshRandomHeads
from mechdyn.rag.visibility import find_context
from mechdyn.tasks.world import world
from tests.bundled import mini_tokenizer

SHAPE = (2, 4)


def context():
    return find_context(mini_tokenizer(), world(mini_tokenizer(), length=300, seed=1))


def ids(text):
    return tuple(mini_tokenizer()(text, add_special_tokens=False)["input_ids"])


def said(text, stopped="eos", doubt=()):
    """A text whose tokens inside any of the pieces `doubt` were chosen with an entropy of 5 nats, the others with none."""
    tokens = ids(text)
    lengths = [len(mini_tokenizer().decode(tokens[:n])) for n in range(len(tokens) + 1)]
    spans = [(text.index(piece), text.index(piece) + len(piece)) for piece in doubt]
    inside = [any(start < b and a < end for a, b in spans) for start, end in pairwise(lengths)]
    n = len(tokens)
    return Written(tokens, stopped, torch.tensor(inside) * 5.0, torch.full((3, n, n), 0.5).tril())


class Script:
    """Answers drafts and rewrites in order; looks see attention that rises towards the context's end."""

    def __init__(self, *written, **options):
        self.written, self.asked = list(written), []
        self.context = context()
        self.trial = Trial("scripted", self.context, FreshRandomHeads(), RagOptions(**options), mini_tokenizer())

    def run(self, strategy=None) -> RagLog:
        trial = self.trial if strategy is None else Trial("scripted", self.context, strategy, self.trial.options, mini_tokenizer())
        asking = answer(trial)
        call = next(asking)
        while True:
            self.asked.append(call)
            try:
                call = asking.send(self.result(call))
            except StopIteration as stop:
                return stop.value

    def result(self, call):
        if isinstance(call, Write):
            return self.written.pop(0)
        if isinstance(call, Attend):
            n = len(call.tokens)
            return torch.full((3, n, n), 0.5).tril()
        rising = torch.linspace(0, 1, len(self.context)).expand(*SHAPE, -1)
        return Seen(rising, torch.zeros(SHAPE), torch.zeros(8))

    def of(self, kind):
        return [call for call in self.asked if isinstance(call, kind)]


__all__ = ["Observe", "Script", "said"]

"""Algorithms 1 and 2 (paper, Appendix C) as one readable loop.

The loop is a generator: it yields what it wants from the model and is sent what came, so that many samples and strategies run as one batch
and read as if each ran alone.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from mechdyn.rag.log import RagLog, Round, Window
from mechdyn.rag.options import RagOptions
from mechdyn.rag.requests import Attend, Observe, Request, Seen, Write, Written
from mechdyn.rag.rind import Rind, rind
from mechdyn.rag.sentences import draft_sentences
from mechdyn.rag.strategies import Direct, HeadChoice, Strategy
from mechdyn.rag.visibility import Context, shown_facts
from mechdyn.rag.windows import Span, average_attention, choose_windows, merge

Asking: TypeAlias = Generator[Request, Any, RagLog]
Tokens: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Task:
    """One sample under one strategy; `name` is what its log is called."""

    name: str
    context: Context
    strategy: Strategy
    options: RagOptions
    tokenizer: Any


@dataclass
class _Answer:
    """The answer while it grows."""

    kept: Tokens = ()
    rounds: list[Round] = field(default_factory=list)
    shown: tuple[Span, ...] = ()
    """All windows so far."""
    stopped: str = ""


def answer(task: Task) -> Asking:
    """One answer, with the strategy's retrievals or in one go."""
    if isinstance(task.strategy, Direct):
        return _answer_directly(task, task.strategy)
    return _answer_with_retrieval(task, task.strategy)


def _answer_directly(task: Task, strategy: Direct) -> Asking:
    shown = task.context.whole if strategy.whole else ()
    written: Written = yield Write(task.context, shown, (), task.options.max_new_tokens, cut=task.options.mode == "text")
    return _log(task, _Answer(written.tokens, shown=shown, stopped=written.stopped))


def _answer_with_retrieval(task: Task, strategy: HeadChoice) -> Asking:
    """Algorithm 1: draft without the context; where RIND flags a sentence, retrieve for it and write it anew; go on behind it.

    At most `max_sentences` + 1 rounds; a run that needs more is stopped and its log says `rounds`.
    """
    options, done = task.options, _Answer()
    visible: tuple[Span, ...] = ()
    for number in range(options.max_sentences + 1):
        draft: Written = yield _write(task, visible, done.kept, rows=options.attention == "full")
        judged = None
        if draft.tokens and draft.stopped != "error":
            attention = draft.attention if options.attention == "full" else (yield Attend(draft.tokens))
            judged = _rind(task, draft, attention)
        if judged is None or judged.first_flagged is None:
            done.kept += draft.tokens
            done.rounds.append(Round(_text(task, draft.tokens), judged, kept=_text(task, draft.tokens)))
            done.stopped = draft.stopped
            break
        retracted = draft.tokens[: judged.sentences[judged.first_flagged].token_start]
        done.kept += retracted
        seen: Seen = yield Observe(task.context, done.kept)
        heads, windows = retrieve(task.context, strategy, options, seen, number)
        rewrite: Written = yield _write(task, windows, done.kept, first_sentence=True)
        sentence = _first_sentence(task, rewrite)
        done.kept += sentence
        done.shown = merge([*done.shown, *windows])
        done.rounds.append(
            Round(
                draft=_text(task, draft.tokens),
                rind=judged,
                kept=_text(task, retracted),
                retrieved=True,
                heads=heads,
                windows=tuple(Window(span, task.context.characters(span), task.context.text(span)) for span in windows),
                facts=shown_facts(task.context, windows),
                rewritten=_text(task, sentence),
            )
        )
        if rewrite.stopped != "sentence" and len(sentence) == len(rewrite.tokens):
            done.stopped = rewrite.stopped
            break
        visible = windows if options.draft == "windows" else ()
    return _log(task, done)


def retrieve(
    context: Context, strategy: HeadChoice, options: RagOptions, seen: Seen, number: int
) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    """Algorithm 2, from what the model showed with all of the context visible: the heads chosen, the spans of the prompt to show."""
    heads = strategy.heads(seen, context.sample.key, number)
    scores = average_attention(seen.attention, heads)
    chosen = choose_windows(scores, k=options.k, join=options.join, radius=options.window)
    return tuple(str(head) for head in heads), tuple((context.start + start, context.start + end) for start, end in chosen)


def _write(task: Task, shown: tuple[Span, ...], kept: Tokens, *, first_sentence: bool = False, rows: bool = False) -> Write:
    limit = task.options.max_new_tokens - len(kept)
    return Write(task.context, shown, kept, limit, first_sentence, rows, cut=task.options.mode == "text")


def _rind(task: Task, draft: Written, attention: Any) -> Rind:
    tokens = torch.tensor(draft.tokens)
    return rind(task.tokenizer, tokens, attention, draft.entropy, threshold=task.options.threshold, variant=task.options.variant)


def _first_sentence(task: Task, written: Written) -> Tokens:
    """The first new sentence; of a text that is empty, nothing."""
    if not written.tokens or written.stopped == "error":
        return written.tokens
    return written.tokens[: draft_sentences(task.tokenizer, torch.tensor(written.tokens))[0].token_end]


def _log(task: Task, done: _Answer) -> RagLog:
    return RagLog(
        sample=task.context.sample.key,
        strategy=task.name,
        text=_text(task, done.kept),
        tokens=done.kept,
        stopped=done.stopped or "rounds",
        shown=sum(end - start for start, end in done.shown),
        rounds=tuple(done.rounds),
    )


def _text(task: Task, tokens: Tokens) -> str:
    return task.tokenizer.decode(list(tokens), skip_special_tokens=True) if tokens else ""

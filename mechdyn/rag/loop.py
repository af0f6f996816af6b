"""Algorithms 1 and 2 (paper, Appendix C) as one readable loop.

The loop is a generator. It yields each call that it needs of the model and is sent the result, so that many samples and strategies can be
run as one batch, while the loop reads as if each ran alone.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from mechdyn.rag.calls import Attend, ModelCall, Observe, Seen, Write, Written
from mechdyn.rag.log import RagLog, Round, Window
from mechdyn.rag.options import RagOptions
from mechdyn.rag.rind import Rind, rind
from mechdyn.rag.strategy import DirectStrategy, HeadStrategy, Retrieval, Strategy, WindowStrategy
from mechdyn.rag.visibility import Context, inside, shown_facts
from mechdyn.rag.windows import Span, average_attention, choose_windows, merge
from mechdyn.rag.words import draft_sentences

Asking: TypeAlias = Generator[ModelCall, Any, RagLog]
Tokens: TypeAlias = tuple[int, ...]
Found: TypeAlias = tuple[tuple[str, ...], tuple[Span, ...]]
"""What a retrieval comes to: the heads that were chosen, if any, and the windows."""


@dataclass(frozen=True, eq=False)
class Trial:
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


def answer(trial: Trial) -> Asking:
    """One answer, with the strategy's retrievals or in one go."""
    if isinstance(trial.strategy, DirectStrategy):
        return _answer_directly(trial, trial.strategy)
    return _answer_with_retrieval(trial)


def _answer_directly(trial: Trial, strategy: DirectStrategy) -> Asking:
    shown = inside(trial.context, strategy.shown(trial.context))
    written: Written = yield Write(trial.context, shown, (), trial.options.max_new_tokens, cut=trial.options.mode == "text")
    return _log(trial, _Answer(written.tokens, shown=shown, stopped=written.stopped))


def _answer_with_retrieval(trial: Trial) -> Asking:
    """Algorithm 1: draft without the context; where RIND flags a sentence, retrieve for it and write it anew; go on behind it.

    At most `max_sentences` + 1 rounds; an answer that needs more is stopped and its log says `rounds`.
    """
    options, done = trial.options, _Answer()
    visible: tuple[Span, ...] = ()
    for number in range(options.max_sentences + 1):
        draft: Written = yield _write(trial, visible, done.kept, rows=options.attention == "full")
        judged = None
        if draft.tokens and draft.stopped != "error":
            attention = draft.attention if options.attention == "full" else (yield Attend(draft.tokens))
            judged = _rind(trial, draft, attention)
        if judged is None or judged.first_flagged is None:
            done.kept += draft.tokens
            done.rounds.append(Round(_text(trial, draft.tokens), judged, kept=_text(trial, draft.tokens)))
            done.stopped = draft.stopped
            break
        flagged = judged.sentences[judged.first_flagged]
        retracted = draft.tokens[: flagged.token_start]
        done.kept += retracted
        heads, windows = yield from _retrieve(trial, done.kept, flagged.text, number)
        rewrite: Written = yield _write(trial, windows, done.kept, first_sentence=True)
        sentence = _first_sentence(trial, rewrite)
        done.kept += sentence
        done.shown = merge([*done.shown, *windows])
        done.rounds.append(
            Round(
                draft=_text(trial, draft.tokens),
                rind=judged,
                kept=_text(trial, retracted),
                retrieved=True,
                heads=heads,
                windows=tuple(Window(span, trial.context.characters(span), trial.context.text(span)) for span in windows),
                facts=shown_facts(trial.context, windows),
                rewritten=_text(trial, sentence),
            )
        )
        if rewrite.stopped != "sentence" and len(sentence) == len(rewrite.tokens):
            done.stopped = rewrite.stopped
            break
        visible = windows if options.draft == "windows" else ()
    return _log(trial, done)


def _retrieve(trial: Trial, kept: Tokens, flagged: str, number: int) -> Generator[ModelCall, Any, Found]:
    """The windows of one retrieval. The model is asked only where heads are to be chosen from what it shows."""
    context, strategy = trial.context, trial.strategy
    if isinstance(strategy, WindowStrategy):
        return (), inside(context, strategy.windows(Retrieval(context, _text(trial, kept), flagged, number, trial.options)))
    assert isinstance(strategy, HeadStrategy)
    seen: Seen = yield Observe(context, kept)
    return attended(context, strategy, trial.options, seen, number)


def attended(context: Context, strategy: HeadStrategy, options: RagOptions, seen: Seen, number: int) -> Found:
    """Algorithm 2, from what the model shows with all of the context visible: the heads chosen, and the windows that they attend to."""
    heads = strategy.heads(seen, context.sample.key, number)
    scores = average_attention(seen.attention, heads)
    chosen = choose_windows(scores, k=options.k, join=options.join, radius=options.window)
    return tuple(str(head) for head in heads), tuple((context.start + start, context.start + end) for start, end in chosen)


def _write(trial: Trial, shown: tuple[Span, ...], kept: Tokens, *, first_sentence: bool = False, rows: bool = False) -> Write:
    limit = trial.options.max_new_tokens - len(kept)
    return Write(trial.context, shown, kept, limit, first_sentence, rows, cut=trial.options.mode == "text")


def _rind(trial: Trial, draft: Written, attention: Any) -> Rind:
    tokens = torch.tensor(draft.tokens)
    return rind(trial.tokenizer, tokens, attention, draft.entropy, threshold=trial.options.threshold, variant=trial.options.variant)


def _first_sentence(trial: Trial, written: Written) -> Tokens:
    """The first new sentence; of a text that is empty, nothing."""
    if not written.tokens or written.stopped == "error":
        return written.tokens
    return written.tokens[: draft_sentences(trial.tokenizer, torch.tensor(written.tokens))[0].token_end]


def _log(trial: Trial, done: _Answer) -> RagLog:
    return RagLog(
        sample=trial.context.sample.key,
        strategy=trial.name,
        text=_text(trial, done.kept),
        tokens=done.kept,
        stopped=done.stopped or "rounds",
        shown=sum(end - start for start, end in done.shown),
        rounds=tuple(done.rounds),
    )


def _text(trial: Trial, tokens: Tokens) -> str:
    return trial.tokenizer.decode(list(tokens), skip_special_tokens=True) if tokens else ""

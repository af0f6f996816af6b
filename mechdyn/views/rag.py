"""One question under every strategy: what was drafted, what called for retrieval, what was shown, and what became of it."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.rag.log import QuestionRecord, RagLog, Round
from mechdyn.rag.strategies import about
from mechdyn.rag.windows import Span
from mechdyn.tasks.task import answer_quality
from mechdyn.text import visible
from mechdyn.views.html import Html
from mechdyn.views.looks import in_both_looks
from mechdyn.views.page import save_page
from mechdyn.views.rind import rind
from mechdyn.views.theme import FONT, Look, look

_MAX_SAMPLES = 6
_ENDED = {
    "eos": "ended by itself",
    "length": "cut off at the limit of new tokens",
    "rounds": "stopped at the bound on rounds",
    "error": "failed: NaN or infinite logits",
}
_STYLE = f"""
.md-rag {{ background: var(--background); color: var(--ink); padding: 8px 12px; font: 15px/1.6 {FONT}; }}
.md-rag details {{ border: 1px solid var(--line); border-radius: 4px; margin: 0 0 8px; padding: 6px 12px; }}
.md-rag summary {{ cursor: pointer; overflow-wrap: anywhere; }}
.md-rag p {{ margin: 6px 0; overflow-wrap: anywhere; }}
.md-rag .small {{ color: var(--muted); font-size: 13px; }}
.md-rag .round {{ border-top: 1px solid var(--line); margin: 10px 0 0; padding: 8px 0 0; }}
.md-rag .context {{ max-height: 320px; overflow-y: auto; padding: 8px 10px; border: 1px solid var(--line); white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: 13px; line-height: 1.6; unicode-bidi: plaintext; }}
.md-rag .hidden {{ color: var(--muted); }}
.md-rag .shown {{ background: var(--shown); color: var(--on-shown); }}
.md-rag .fact {{ text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: 3px; font-weight: 700; }}
.md-rag .pair {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 8px 16px; }}
.md-rag .pair div {{ min-width: 0; overflow-wrap: anywhere; }}
.md-rag s {{ text-decoration-color: var(--accent); }}
"""


def rag_sample(question: QuestionRecord, logs: Mapping[str, RagLog], *, title: str = "", dark: bool = False) -> Html:
    """A question's answers, each strategy folded.

    Round by round the draft by RIND value, the heads, the context with its visible windows marked and its supporting facts underlined, and
    the flagged sentence beside what took its place.

    Args:
        question: what the run kept of the sample.
        logs: by condition.
        title: a line above, none when left out.
        dark: for a dark background.

    Raises:
        InputError: no log, or logs of another question.
    """
    strangers = [log.sample for log in logs.values() if log.sample != question.sample]
    if not logs or strangers:
        raise InputError(
            f"the logs must be of the question {question.sample}, got {strangers[0] if strangers else 'none'}; read them with it"
        )
    colors = look(dark)
    parts = "\n".join(_strategy(question, name, log, index == 0, dark) for index, (name, log) in enumerate(logs.items()))
    head = (f"<p><b>{_text(title)}</b></p>\n" if title else "") + (
        f"<p><b>{_text(question.question)}</b> Expected: <b>{_text(question.answer)}</b></p>\n"
        f'<p class="small">Context of {_text(str(question.context_tokens))} tokens. '
        f'<span class="shown">Marked</span>: visible to what is rewritten; '
        f'<span class="fact">underlined</span>: supporting facts; <span class="hidden">grey</span>: hidden.</p>'
    )
    return Html(f'<style>{_STYLE}</style>\n<div class="md-rag" style="{_variables(colors)}">\n{head}\n{parts}\n</div>')


def save_rag_page(
    questions: Sequence[QuestionRecord],
    logs: Mapping[str, Sequence[RagLog]],
    folder: Path,
    *,
    n: int = _MAX_SAMPLES,
    dark: bool | None = None,
) -> Path:
    """`rag.html`: the first questions whose answers differ between strategies, then the others, `n` in all.

    It is dark or light as asked; left out, it follows what the reader's system asks for.

    Raises:
        InputError: no question.
    """
    rows = [{name: found[place] for name, found in logs.items()} for place in range(len(questions))]
    order = sorted(range(len(rows)), key=lambda place: len({log.text for log in rows[place].values()}) == 1)
    figures = in_both_looks(
        lambda dark: {f"Question {place + 1}": rag_sample(questions[place], rows[place], dark=dark) for place in order[:n]}
    )
    return save_page(figures, folder / "rag.html", title=f"Dynamic RAG: {len(figures)} of {len(questions)} questions", dark=dark)


def _strategy(question: QuestionRecord, name: str, log: RagLog, is_open: bool, dark: bool) -> str:
    quality = answer_quality(question.task, log.text, question.answer)
    said = f": {about(name)}" if about(name) else ""
    n = len(log.retrievals)
    facts = (
        f"EM {quality['em']:.0f}, F1 {quality['f1']:.2f}; {n} retrieval{'s' * (n != 1)}, {log.shown} context tokens shown; "
        f"{_ENDED.get(log.stopped, log.stopped)}"
    )
    rounds = "\n".join(_round(question, number, round, dark) for number, round in enumerate(log.rounds, start=1))
    return (
        f"<details{' open' if is_open else ''}><summary><b>{_text(name)}</b>{_text(said)}<br>{_text(log.text) or '(no text)'}<br>"
        f'<span class="small">{_text(facts)}</span></summary>\n{rounds}\n</details>'
    )


def _round(question: QuestionRecord, number: int, round: Round, dark: bool) -> str:
    draft = rind(round.rind, dark=dark).html if round.rind is not None and round.rind.words else "<p>(the draft is empty)</p>"
    title = f"<p><b>Round {number}</b>: the draft</p>\n{draft}"
    if not round.retrieved:
        return f'<div class="round">{title}\n<p>Nothing flagged: the draft is kept.</p></div>'
    assert round.rind is not None and round.rind.first_flagged is not None
    flagged = round.rind.sentences[round.rind.first_flagged].text
    shown = sum(end - start for start, end in (window.tokens for window in round.windows))
    heads = _text(" ".join(round.heads)) or "none"
    shares = ", ".join(f"{share:.0%}" for share in round.facts) or "none known"
    return (
        f'<div class="round">{title}\n'
        f"<p>Heads: {heads}. {len(round.windows)} windows, {shown} tokens; of each fact shown: {shares}.</p>\n"
        f'<div class="context" tabindex="0">{_context(question, [window.characters for window in round.windows])}</div>\n'
        f'<div class="pair"><div><span class="small">kept before it</span><br>{_text(round.kept) or "(nothing)"}</div>'
        f'<div><span class="small">flagged in the draft</span><br><s>{_text(flagged)}</s></div>'
        f'<div><span class="small">rewritten</span><br><b>{_text(round.rewritten) or "(nothing)"}</b></div></div></div>'
    )


def _context(question: QuestionRecord, windows: Sequence[Span]) -> str:
    """The context cut where a window or a fact begins or ends."""
    start, end = question.context
    edges = {start, end} | {edge for span in (*windows, *question.facts) for edge in span if start < edge < end}
    cuts = sorted(edges)
    pieces = []
    for begin, stop in pairwise(cuts):
        kind = "shown" if any(a <= begin and stop <= b for a, b in windows) else "hidden"
        fact = " fact" if any(a <= begin and stop <= b for a, b in question.facts) else ""
        pieces.append(f'<span class="{kind}{fact}">{_text(question.prompt[begin:stop])}</span>')
    return "".join(pieces)


def _text(text: str) -> str:
    """Escaped; lines stay lines, what cannot be seen is named."""
    return "\n".join(escape(visible(line)) for line in text.split("\n"))


def _variables(colors: Look) -> str:
    names = {"background": colors.background, "ink": colors.ink, "muted": colors.muted, "line": colors.line, "accent": colors.accent}
    names |= {"shown": colors.scale[1], "on-shown": colors.ink}
    return ";".join(f"--{name}:{color}" for name, color in names.items())

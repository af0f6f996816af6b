"""A draft coloured by how much each word calls for retrieval."""

import math
from html import escape

from mechdyn.errors import InputError
from mechdyn.rag.rind import Rind, WordValue
from mechdyn.text import short, visible
from mechdyn.views.html import Html
from mechdyn.views.theme import FONT, MONO, ColorScale, Look, color_at, evenly, ink_on, look, score_scale

# A word's numbers appear in one place under the draft: a box beside the word would leave a narrow page. Colours are variables of the
# element, so that several drafts, light and dark, can stand on one page.
_STYLE = f"""
.md-rind {{ position: relative; padding: 8px 12px 76px; background: var(--background); color: var(--ink); font: 15px/1.9 {FONT}; }}
.md-rind p {{ margin: 0 0 8px; }}
.md-rind .small {{ color: var(--muted); font-size: 13px; line-height: 1.5; }}
.md-rind .row {{ display: flex; gap: 10px; margin: 0 0 6px; padding: 2px 0 2px 10px; border-left: 4px solid var(--line); }}
.md-rind .row.flag {{ border-left-color: var(--accent); }}
.md-rind .mark {{ flex: 0 0 74px; color: var(--muted); font-size: 12px; line-height: 28px; }}
.md-rind .flag .mark {{ color: var(--ink); font-weight: 700; }}
.md-rind .text {{ min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; }}
.md-rind .word {{ padding: 2px 3px; border-radius: 3px; unicode-bidi: isolate; cursor: default; }}
.md-rind .over {{ font-weight: 700; text-decoration: underline; text-underline-offset: 3px; }}
.md-rind .idle {{ color: var(--muted); }}
.md-rind .word:hover, .md-rind .word:focus {{ outline: 2px solid var(--accent); }}
.md-rind .readout, .md-rind .word::after {{ position: absolute; left: 12px; right: 12px; bottom: 8px; height: 60px; overflow: hidden; }}
.md-rind .word::after {{ content: attr(data-numbers); display: none; background: var(--background); color: var(--ink);
  font: 400 13px/20px {MONO}; white-space: pre-wrap; unicode-bidi: plaintext; pointer-events: none; }}
.md-rind:not(:hover) .word:focus::after, .md-rind .word:hover::after {{ display: block; }}
.md-rind .bar {{ display: inline-block; vertical-align: middle; width: 160px; height: 12px; }}
.md-rind table {{ border-collapse: collapse; font: 13px/1.6 {MONO}; }}
.md-rind th, .md-rind td {{ padding: 0 10px 0 0; text-align: right; }}
.md-rind th:first-child, .md-rind td:first-child {{ text-align: left; overflow-wrap: anywhere; }}
.md-rind .wide {{ overflow-x: auto; }}
"""


def rind(result: Rind, *, title: str = "", dark: bool = False) -> Html:
    """The draft, a sentence a line, its content words coloured by RIND value: grey up to the threshold, in colour above.

    Words above the threshold are also bold and underlined; words without content are pale, whatever their value, since they never flag.
    Pointing at a word, or tabbing to it, shows its attention, entropy and value; a table of all of them folds out below. Flagged sentences
    say so. No script, nothing loaded.

    Args:
        result: what `mechdyn.rag.rind.rind` returned.
        title: a line above, none when left out.
        dark: for a dark background.

    Raises:
        InputError: a draft without words.
    """
    if not result.words:
        raise InputError("the draft has no word to show; generate at least one token")
    colors = look(dark)
    high, scale = _scale(result, colors)
    words = [_word(word, result, high, scale) for word in result.words]
    rows = "\n".join(_row(index, result, words) for index in range(len(result.sentences)))
    names = {"background": colors.background, "ink": colors.ink, "muted": colors.muted, "line": colors.line, "accent": colors.accent}
    named = f"<p><b>{escape(title)}</b></p>\n" if title else ""
    variables = ";".join(f"--{name}:{color}" for name, color in names.items())
    return Html(
        f'<style>{_STYLE}</style>\n<div class="md-rind" style="{variables}">\n{named}{_summary(result, high, scale)}\n{rows}\n'
        f"{_table(result)}\n"
        '<div class="readout small">Point at a word, or tab to it, for its numbers.</div>\n</div>'
    )


def _scale(result: Rind, colors: Look) -> tuple[float, ColorScale]:
    """The value at the scale's end, and its colours: the largest value of a content word, or the threshold where no value is above it."""
    highest = max((word.value for word in result.words if word.content), default=0.0)
    if highest > result.threshold:
        return highest, score_scale(colors, 0.0, highest, result.threshold)
    return (result.threshold if 0 < result.threshold < math.inf else highest) or 1.0, evenly(colors.below)


def _word(word: WordValue, result: Rind, high: float, scale: ColorScale) -> str:
    """One word between its own white space. The readout is an attribute, so it is text and nothing else."""
    body = word.text.strip()
    before, after = parted(word.text)
    shown = visible(body) or "∅"
    kind = "content word" if word.content else "no content word, never flags"
    numbers = (
        f"{short(shown, 60)} · {kind}\n"
        f"value {_number(word.value)} (threshold {_number(result.threshold)})\n"
        f"attention {_number(word.attention)} · entropy {_number(word.entropy)} nats"
    )
    over = word.content and word.value > result.threshold
    classes = "word over" if over else "word" if word.content else "word idle"
    painted = f' style="{paint(word.value / high, scale)}"' if word.content else ""
    return f'{before}<span class="{classes}" tabindex="0" data-numbers="{escape(numbers)}"{painted}>{escape(shown)}</span>{after}'


def parted(text: str) -> tuple[str, str]:
    """The white space before and behind a word; a word that is nothing else keeps it before."""
    body = text.strip()
    start = text.find(body) if body else len(text)
    return text[:start], text[start + len(body) :]


def paint(place: float, scale: ColorScale) -> str:
    """A background, and an ink that can be read on it."""
    color = color_at(scale, place)
    return f"background:rgb({','.join(f'{part:.0f}' for part in color)});color:{ink_on(color)}"


def gradient(scale: ColorScale) -> str:
    """A CSS background that runs through the scale."""
    return f"linear-gradient(to right, {', '.join(f'{color} {100 * place:.1f}%' for place, color in scale)})"


def _summary(result: Rind, high: float, scale: ColorScale) -> str:
    n = len(result.sentences)
    first = result.first_flagged
    told = "no retrieval" if first is None else f"rewritten from sentence {first + 1} on"
    return (
        f'<p class="small">RIND, variant {escape(result.variant)}, threshold {_number(result.threshold)}: '
        f"{len(result.flagged)} of {n} sentence{'s' * (n != 1)} flagged, {told}.<br>"
        f'0 <span class="bar" style="background:{gradient(scale)}"></span> {_number(high)}</p>'
    )


def _row(index: int, result: Rind, words: list[str]) -> str:
    flagged = index in result.flagged
    text = "".join(html for html, word in zip(words, result.words, strict=True) if word.sentence == index).strip()
    mark = f"{index + 1} ⚑ flagged" if flagged else f"{index + 1}"
    return f'<div class="row{" flag" * flagged}"><span class="mark">{mark}</span><span class="text">{text}</span></div>'


def _table(result: Rind) -> str:
    cells = "\n".join(
        f"<tr><td>{escape(short(visible(word.text.strip()), 40))}</td><td>{word.sentence + 1}</td>"
        f"<td>{'yes' if word.content else 'no'}</td><td>{_number(word.attention)}</td>"
        f"<td>{_number(word.entropy)}</td><td>{_number(word.value)}</td></tr>"
        for word in result.words
    )
    heads = "".join(f"<th>{name}</th>" for name in ("word", "sentence", "content", "attention", "entropy", "value"))
    return (
        f'<details><summary class="small">all values</summary><div class="wide" tabindex="0"><table>\n'
        f"<tr>{heads}</tr>\n{cells}\n</table></div></details>"
    )


def _number(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"

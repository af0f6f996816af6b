"""An example of every public view, from numbers made up by a seed: what the gallery shows where a view needs a long run, and tests draw.

`EXAMPLES` has the view's name in `mechdyn.views`, and a function of `title` and `dark` that draws it from `Made`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from mechdyn import views
from mechdyn.claims.dynamism_evidence import CONSECUTIVE, EXPLAINED, HEADS, LOSS, RELIABILITY, TURNOVER
from mechdyn.claims.meta_analysis import together
from mechdyn.claims.power import Power, PowerAt
from mechdyn.claims.sensitivity import SensitivityCell
from mechdyn.evidence import LESS, SECOND, Criterion, Demand, Evidence, Outcome, Side, Verdict
from mechdyn.heads import Head, RankedHeads
from mechdyn.rag.log import QuestionRecord, RagLog
from mechdyn.rag.rind import Rind, WordValue
from mechdyn.rag.words import Sentence
from mechdyn.stats.interval import Interval
from mechdyn.stats.mixture import Mixture
from mechdyn.stats.modes import Modes
from mechdyn.studies.conditions import COMMITS, CONDITIONS
from mechdyn.studies.facts import fact_report
from mechdyn.studies.head_lists import compare_lists
from mechdyn.studies.head_summary import HeadSummary, summary_of
from mechdyn.traces.backing import Backing
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Sources, Trace
from mechdyn.views.curves import Axis, Curve

Draw = Callable[..., Any]
WORDS = (" The", " key", " is", " 4", "f", "0", "9", "-", "b", "b", "2", "1", ".")


@dataclass(frozen=True)
class Made:
    """How large what is made up is, and what its texts are."""

    layers: int = 6
    heads: int = 8
    steps: int = 13
    prompt: int = 300
    texts: tuple[str, ...] = WORDS
    model: str = "made up"
    seed: int = 0


@cache
def made_trace(made: Made, ablated: bool = False) -> Trace:
    """One generation: steady heads, heads that come and go, sources, and a needle in the middle."""
    rng = np.random.default_rng(made.seed + ablated)
    rates = rng.beta(0.4, 1.6, (made.layers, made.heads))
    rates[-1, 0] = 1.0
    scores = torch.from_numpy((rng.random((made.steps, made.layers, made.heads)) < rates).astype(np.float32))
    texts = tuple(made.texts[step % len(made.texts)] for step in range(made.steps))
    positions = torch.from_numpy(rng.integers(0, made.prompt, (made.steps, made.layers, made.heads, 8)).astype(np.int32))
    weights = torch.from_numpy(np.sort(rng.dirichlet(np.ones(9), (made.steps, made.layers, made.heads))[..., :8])[..., ::-1].copy()).half()
    backed = (Head(0, 0), Head(made.layers - 1, made.heads - 1))
    mass = torch.from_numpy(rng.random((made.steps, 2)).astype(np.float32))
    doubt = torch.from_numpy(rng.random(made.steps).astype(np.float32))
    return Trace(
        unit="made up",
        sample="made up",
        task="niah",
        question="What is the key?",
        answer="4f09-bb21",
        prompt_tokens=torch.arange(made.prompt),
        prompt_texts=tuple(made.texts[place % len(made.texts)] for place in range(made.prompt)),
        needle_positions=torch.arange(made.prompt // 2, made.prompt // 2 + 9),
        tokens=torch.arange(made.steps),
        token_texts=texts,
        text="".join(texts),
        retrieval_scores=scores,
        hidden=torch.zeros(made.steps, 4),
        ablated=scores > 0 if ablated else None,
        sources=Sources(positions, weights),
        backing=Backing(backed, doubt, 1 - doubt / 2, doubt / 9, mass, mass > 0.5),
        meta={"model": {"name": made.model}, "length": made.prompt, "depth": 0.5, "seed": made.seed},
    )


def number(estimate: float, reach: float = 0.08, n: int = 40) -> Interval:
    """An estimate between bounds."""
    return Interval(estimate, estimate - reach, estimate + reach, n, "made up")


@cache
def made_verdict(made: Made, shift: float = 0.0) -> Verdict:
    """Dynamism with all that its figure can show."""
    explained = Evidence(EXPLAINED, number(0.6 + shift), null=0.1)
    excess = Evidence(TURNOVER, number(0.15 - shift / 4, 0.05), {"between": CONSECUTIVE, LESS: LOSS}, 0.0, samples=(0.1, 0.13, 0.19, 0.2))
    numbers = (Evidence(TURNOVER, number(0.4), {"between": CONSECUTIVE}), Evidence(LOSS, number(0.25)))
    near = Evidence("adjacent Jaccard", number(0.5 + shift), paper={"llama3.1-8b": 0.28, made.texts[0]: 0.37})
    q_low, exchanged = Demand(explained, Side.BELOW, 0.75), Demand(excess, Side.ABOVE, 0.0)
    supports = (Criterion.asking("Q is below 0.75", q_low), Criterion.asking("heads are exchanged", exchanged))
    refutes = (Criterion.asking("Q is above 0.9", Demand(explained, Side.ABOVE, 0.9)),)
    outcome = Outcome.SUPPORTED if all(each.met for each in supports) else Outcome.INCONCLUSIVE
    return Verdict(made.model, "dynamism", outcome, (explained, excess, *numbers, near), supports, refutes, named=SECOND)


def made_conditions(made: Made) -> Verdict:
    """Irreplaceability with a number for each condition and commit rule."""
    rng = np.random.default_rng(made.seed)
    rows = []
    for commit in COMMITS:
        quality = {name: rng.uniform(0.2, 0.9) for name in CONDITIONS}
        rows += [Evidence("accuracy", number(value), {"condition": name, "commit": commit}) for name, value in quality.items()]
        ahead = {name: value - quality["dynamic"] for name, value in quality.items() if name != "dynamic"}
        rows += [Evidence("above dynamic", number(value), {"condition": name, "commit": commit}, 0.0) for name, value in ahead.items()]
    return Verdict(made.model, "irreplaceability", Outcome.INCONCLUSIVE, tuple(rows))


def made_ranking(made: Made, seed: int = 0) -> RankedHeads:
    """A list of all heads of one shape."""
    rng = np.random.default_rng(seed)
    heads = [Head(layer, head) for layer in range(made.layers) for head in range(made.heads)]
    order = rng.permutation(len(heads))
    scores = tuple(sorted(rng.random(len(heads)).tolist(), reverse=True))
    return RankedHeads(tuple(heads[place] for place in order), scores, model=made.model, n_layers=made.layers, n_heads=made.heads)


def made_settings(made: Made) -> list[SensitivityCell]:
    """A verdict for each of eight settings."""
    cells = []
    for place, (sink, local, threshold) in enumerate((s, w, t) for s in (1, 4) for w in (0, 32) for t in (0.3, 0.5)):
        excess = (TURNOVER, {"between": CONSECUTIVE, LESS: LOSS}, number(0.2 - place / 20))
        measured: list[tuple[str, dict[str, str], Interval]] = [(EXPLAINED, {}, number(0.5 + place / 20)), excess]
        measured += [(RELIABILITY, {}, number(0.7)), (HEADS, {}, number(3.0))]
        evidence = tuple(Evidence(name, value, at) for name, at, value in measured)
        outcome = Outcome.SUPPORTED if place < 4 else Outcome.INCONCLUSIVE
        cells.append(SensitivityCell(sink, local, threshold, Verdict(made.model, "dynamism", outcome, evidence, notes=(made.texts[0],))))
    return cells


def made_question(made: Made) -> Trace:
    """A question with two supporting facts."""
    facts = [["Wren Mill", 0], [made.texts[0], 0]]
    context = [["Wren Mill", ["It was founded by Ada Lunt."]], [made.texts[0], ["She was born in Ashford."]], ["Other", ["A hill."]]]
    meta = {"model": {"name": made.model}, "id": "q", "type": "bridge", "level": "hard", "style": "rationale", "facts": facts}
    meta |= {"fact_tokens": [[10, 20], [50, 60]], "distractors": [["Other", 0]], "distractor_tokens": [[62, 70]], "context": context}
    scores = torch.tensor([[0.8, 0.1, 0.2], [0.2, 0.7, 0.1], [0.9, 0.6, 0.3]]).repeat(5, 1)
    texts = tuple(made.texts[step % len(made.texts)] for step in range(len(scores)))
    return Trace(
        unit="q", sample="q", task="hotpotqa", question="Where was the founder born?", answer="Ashford",
        prompt_tokens=torch.zeros(70, dtype=torch.long), needle_positions=torch.tensor([10]), tokens=torch.zeros(15, dtype=torch.long),
        token_texts=texts, text="She was born in Ashford. So the answer is Ashford.", retrieval_scores=torch.zeros(15, 2, 2),
        hidden=torch.zeros(15, 4), threshold=0.5, sentence_scores=scores, meta=meta,
    )  # fmt: skip


def made_rind(made: Made) -> Rind:
    """A draft of two sentences, of which one is flagged."""
    texts = (made.texts[0], " key", " is", " old", ".", " It", " lies", " there", ".")
    values = (0.2, 0.4, 0.1, 1.4, 0.0, 0.3, 0.5, 0.2, 0.0)
    words = tuple(
        WordValue(t, i, i + 1, 0.1 * i, 0.5, v, t not in (" It", " is"), int(i > 4))
        for i, (t, v) in enumerate(zip(texts, values, strict=True))
    )
    return Rind(words, (Sentence("".join(texts[:5]), 0, 1, 0, 5), Sentence("".join(texts[5:]), 1, 2, 5, 9)), (0,), 1.0, "code")


def made_rag(made: Made) -> tuple[QuestionRecord, dict[str, RagLog]]:
    """A question that two strategies answered without retrieving."""
    prompt = f"{made.texts[0]} The mill is in Bordford. Where is the mill?"
    question = QuestionRecord("q", "hotpotqa", "Where is the mill?", made.texts[0], prompt, (0, 30), 9, ((5, 12),))
    meta = {"kept": made.texts[0]}
    return question, {name: RagLog("q", name, f"In {made.texts[0]}.", (1, 2), "eos", 5, meta=meta) for name in ("dynamic", "static")}


def made_modes(made: Made) -> Modes:
    """Three modes of co-activation."""
    n = min(12, made.layers * made.heads)
    rates = np.random.default_rng(made.seed).uniform(0.05, 0.95, (3, n))
    mixture = Mixture(np.array([0.5, 0.3, 0.2]), rates)
    return Modes(mixture, np.arange(n), {1: -3.0, 2: -2.0, 3: -1.8}, number(1.0, 0.5), 0.9, 0.85, (0.2,), np.zeros(3, int), 90, 12)


def made_cells() -> dict[str, views.Cells]:
    """Accuracy at lengths x depths under two conditions."""
    rng, lengths, depths = np.random.default_rng(0), (256, 512, 1024), (0.1, 0.5, 0.9)
    counts = np.full((3, 3), 8)
    shape = {"clean": rng.uniform(0.7, 1.0, (3, 3)), "dynamic": rng.uniform(0.0, 0.4, (3, 3))}
    return {name: views.Cells(lengths, depths, np.round(values * 8) / 8, counts) for name, values in shape.items()}


def by_offset(start: float, fall: float) -> list[Interval]:
    """Six intervals that fall."""
    return [number(start - fall * k, 0.05) for k in range(6)]


def made_effect(made: Made) -> Effect:
    """Three sets of heads along the made-up answer, the second with two draws."""
    trace, rng = made_trace(made), torch.Generator().manual_seed(made.seed)
    sets = ("retrieving", f"others of {made.model} #0", f"others of {made.model} #1", "static")
    clean = -torch.rand(made.steps, generator=rng)
    taken = torch.rand(4, made.steps, generator=rng) * torch.tensor([3.0, 0.2, 0.2, 0.8])[:, None]
    heads = trace.active[None].repeat(4, 1, 1, 1)
    return Effect(sets, trace.tokens, trace.token_texts, clean, (clean - taken)[..., None], heads)


@cache
def made_summary(made: Made) -> HeadSummary:
    """The heads of six answers, and of the same with heads off."""
    seeds = range(made.seed, made.seed + 6)
    traces = {
        name: [replace(made_trace(replace(made, seed=seed), off), sample=str(seed)) for seed in seeds]
        for name, off in (("clean", False), (f"off in {made.model}", True))
    }
    return summary_of(traces)


def _calibration(**look: Any) -> Any:
    rng = np.random.default_rng(0)
    truth = torch.from_numpy((rng.random((400, 4)) < 0.3).astype(np.float32))
    guess = (0.6 * truth + 0.3 * torch.from_numpy(rng.random((400, 4)).astype(np.float32))).clamp(0, 1)
    return views.calibration({"probe": guess, "base rate": torch.full_like(truth, 0.3)}, truth, **look)


def _power(made: Made, **look: Any) -> Any:
    points = tuple(PowerAt(n, number(min(0.95, n / 200), 0.05), number(0.03, 0.02)) for n in (25, 50, 100, 200))
    return views.power_figure(Power(f"dynamism on {made.model}", "made up", points), **look)


def _forest(made: Made, **look: Any) -> Any:
    rows = [(made.model, 0.4, 0.1), ("mini", 0.6, 0.05), ("smollm2-135m", 0.7, 0.2)]
    verdicts = [Verdict(name, "dynamism", Outcome.INCONCLUSIVE, (Evidence(EXPLAINED, number(x, r)),)) for name, x, r in rows]
    return views.forest(together(verdicts)[0], **look)


def _lists(made: Made) -> Any:
    return compare_lists({made.texts[0]: made_ranking(made, 1), "wu": made_ranking(made, 2), "locos": made_ranking(made, 3)})


def _bars(**look: Any) -> Any:
    groups = {"a haystack": {"token": number(0.6), "step": number(0.3)}, "a needle": {"token": number(0.5), "step": number(0.2)}}
    return views.interval_bars(groups, x="Jaccard of two steps' heads", **look)


def _budgets(made: Made, **look: Any) -> Any:
    lost = {"uniform": 5.6, "random": 6.0, "static": 3.8, "sample": 3.3, "oracle": 1.8, "persistence": 2.2, "echo": 2.8, "forecast": 4.4}
    points = {name: {share: number(at * (1 - share**0.4), 0.1) for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)} for name, at in lost.items()}
    return views.kv_budgets(points, **look)


EXAMPLES: Mapping[str, Draw] = {
    "alarm": lambda made, **look: views.alarm(made_trace(made), **look),
    "attention": lambda made, **look: views.attention(made_trace(made), min(3, made.steps - 1), (0, 0), **look),
    "by_head": lambda made, **look: views.by_head(np.random.default_rng(0).random((made.layers, made.heads)), **look),
    "calibration": lambda made, **look: _calibration(**look),
    "cca": lambda made, **look: views.cca(
        range(6), {"top-1": by_offset(0.95, 0.02)}, held_out={"top-1": by_offset(0.8, 0.06)}, null={"top-1": by_offset(0.3, 0.0)}, **look
    ),
    "co_activation": lambda made, **look: views.co_activation(made_summary(made), **look),
    "compare": lambda made, **look: views.compare(made_trace(made), made_trace(made, True), **look),
    "conditions": lambda made, **look: views.conditions(made_conditions(made), **look),
    "curves": lambda made, **look: views.curves(
        [Curve(made.texts[0], range(6), by_offset(0.9, 0.1))], x="step", y=Axis("accuracy", (0.0, 1.0)), **look
    ),
    "explorer": lambda made, **look: views.explorer({"clean": made_trace(made), "dynamic": made_trace(made, True)}, **look),
    "fact_groups": lambda made, **look: views.fact_groups(fact_report([made_question(made)] * 3), **look),
    "fact_timeline": lambda made, **look: views.fact_timeline(made_question(made), **look),
    "forest": _forest,
    "grid": lambda made, **look: views.grid(made_cells(), metric="accuracy", **look),
    "head_map": lambda made, **look: views.head_map(made_ranking(made), **look),
    "head_map_difference": lambda made, **look: views.head_map_difference(
        {"one": made_ranking(made, 1), made.texts[0]: made_ranking(made, 2)}, **look
    ),
    "head_shares": lambda made, **look: views.head_shares(made_summary(made), **look),
    "interval_bars": lambda made, **look: _bars(**look),
    "kv_budgets": _budgets,
    "layer_head": lambda made, **look: views.layer_head(made_trace(made), min(3, made.steps - 1), **look),
    "layer_profiles": lambda made, **look: views.layer_profiles(_lists(made), **look),
    "list_matrix": lambda made, **look: views.list_matrix(_lists(made), **look),
    "modes_map": lambda made, **look: views.modes_map(made_modes(made), made.heads, **look),
    "one_head": lambda made, **look: views.one_head(made_summary(made), Head(0, made.heads // 2), **look),
    "patterns": lambda made, **look: views.patterns(made_trace(made), **look),
    "power_figure": _power,
    "progressive": lambda made, **look: views.progressive(
        range(6), [number(k * 1.2, 0.5) for k in range(6)], by_offset(0.95, 0.17), **look
    ),
    "rag_sample": lambda made, **look: views.rag_sample(*made_rag(made), **look),
    "rind": lambda made, **look: views.rind(made_rind(made), **look),
    "sensitivity_figure": lambda made, **look: views.sensitivity_figure(made_settings(made), **look),
    "sensitivity_numbers": lambda made, **look: views.sensitivity_numbers(made_settings(made), **look),
    "step_effects": lambda made, **look: views.step_effects(made_effect(made), **look),
    "timeline": lambda made, **look: views.timeline(made_trace(made), **look),
    "tokens": lambda made, **look: views.tokens(made_trace(made), **look),
    "verdict": lambda made, **look: views.verdict(
        made_verdict(made), controls=[made_verdict(Made(model="planted-static"), 0.3)], about="niah · 256 tokens, depth 0.5, seed 0", **look
    ),
}

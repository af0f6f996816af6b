"""Traces of an ablation experiment with known answers."""

import torch

from mechdyn.studies.conditions import CLEAN, COMMITS, CONDITIONS, DETECTION_ROLE, role
from mechdyn.traces.trace import Trace

ANSWER = "12345678-9abc-4def-8123-456789abcdef"
N_LAYERS, N_HEADS, N_STEPS = 2, 6, 8
MODEL = {"name": "made up", "n_layers": N_LAYERS, "n_heads": N_HEADS}


def made_up(seed, *, right=True, n_ablated=None, retrieves=True, stopped="eos", length=256, depth=0.5):
    """One generation; three heads retrieve at each step, `n_ablated` of them off (None: no ablation)."""
    active = torch.zeros(N_STEPS, N_LAYERS, N_HEADS)
    if retrieves:
        active[:, 1, :3] = 1.0
    ablated = None
    if n_ablated is not None:
        ablated = torch.zeros(N_STEPS, N_LAYERS, N_HEADS, dtype=torch.bool)
        ablated.view(N_STEPS, -1)[:, :n_ablated] = True
    return Trace(
        unit=str(seed),
        sample=str(seed),
        task="niah",
        question="?",
        answer=ANSWER,
        prompt_tokens=torch.arange(3),
        needle_positions=torch.arange(1),
        tokens=torch.arange(N_STEPS),
        token_texts=tuple("abcdefgh"),
        text=f"The magic word is {ANSWER}." if right else "I do not know.",
        retrieval_scores=active,
        hidden=torch.zeros(N_STEPS, 2),
        stopped=stopped,
        ablated=ablated,
        ablated_scores=None if ablated is None else active.clone(),
        meta={"length": length, "depth": depth},
    )


def experiment(right, n=40, retrieves=True):
    """Traces by role. `right[condition]` is how many of the `n` samples are answered, the first ones; both commit rules alike unless
    `right` has an entry for (condition, commit)."""

    def row(condition, commit):
        answered = right.get((condition, commit), right.get(condition, n))
        size = None if condition == CLEAN else 3
        return [made_up(seed, right=seed < answered, n_ablated=size, retrieves=retrieves) for seed in range(n)]

    traces = {role(condition, commit): row(condition, commit) for condition in CONDITIONS for commit in COMMITS}
    return {DETECTION_ROLE: [made_up(1000 + seed) for seed in range(n)], **traces}

"""The layout of iahdClean (harryila/iahdClean): `{"head_rankings": [{"head": "L9H1", "score": 0.26, "rank": 1}, …]}` and about the run."""

import json
from dataclasses import replace
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import count_of, is_finite_number, json_object, peek, text_of
from mechdyn.head_files.keys import known_scores, shape_of
from mechdyn.heads import Head, RankedHeads, head_format, rank_heads, shown


@head_format("head-rankings")
class HeadRankings:
    """Heads with scores; `method` says what they are, `samples_processed` how many samples they rest on."""

    def recognises(self, content: str) -> bool:
        """The field `head_rankings`."""
        return "head_rankings" in peek(content)

    def read(self, content: str) -> RankedHeads:
        """Every head by its score; the ranks of the file follow from these."""
        found = json_object(content)
        rows = found.get("head_rankings")
        if not isinstance(rows, list) or not rows:
            raise InputError(f"the field 'head_rankings' must be a list with an entry a head, got {shown(rows)}")
        scored = [_row(place, row) for place, row in enumerate(rows)]
        n_layers, n_heads = shape_of({head for head, _ in scored})
        ranked = rank_heads(scored, n_layers, n_heads, text_of(found, "method"))
        return replace(ranked, model=text_of(found, "model_name"), n=count_of(found, "samples_processed"))

    def write(self, ranked: RankedHeads) -> str:
        """In the order of the ranking, numbered from 1."""
        scores = known_scores(ranked, "head-rankings")
        rows = [{"head": str(head), "score": score, "rank": rank} for rank, (head, score) in enumerate(scores.items(), start=1)]
        about = {"method": ranked.statistic, "model_name": ranked.model, "samples_processed": ranked.n}
        return json.dumps({**about, "head_rankings": rows}, ensure_ascii=False)


def _row(place: int, row: Any) -> tuple[Head, float]:
    if not isinstance(row, dict) or not isinstance(row.get("head"), str):
        raise InputError(f"entry {place} must have a 'head' such as 'L9H1', got {shown(row)}")
    head = Head.parse(row["head"])
    if not is_finite_number(row.get("score")):
        raise InputError(f"the score of {head} must be a number, got {shown(row.get('score'))}")
    return head, float(row["score"])

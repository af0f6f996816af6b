"""The layout of LOCOS (aryopg/locos): `{"meta": {…}, "trial_ids": […], "scores": {"layer-head": [score, ...]}}`, a score a trial."""

import json

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import json_object, peek, text_of
from mechdyn.head_files.wu import STATISTIC, read_score_lists, score_lists
from mechdyn.heads import RankedHeads, head_format, shown


@head_format("locos")
class Locos:
    """As Wu's lists, with `model` and `statistic` under `meta`; what else stands there is read over."""

    def recognises(self, content: str) -> bool:
        """Scores by key under `scores`, beside `meta`."""
        found = peek(content)
        return isinstance(found.get("scores"), dict) and isinstance(found.get("meta"), dict)

    def read(self, content: str) -> RankedHeads:
        """Every head by the mean of its list."""
        found = json_object(content)
        meta, scores = found.get("meta"), found.get("scores")
        if not isinstance(meta, dict) or not isinstance(scores, dict) or not scores:
            raise InputError(f"the fields 'meta' and 'scores' must be objects, the second with an entry a head, got {shown(scores)}")
        return read_score_lists(scores, text_of(meta, "statistic") or STATISTIC, text_of(meta, "model"))

    def write(self, ranked: RankedHeads) -> str:
        """In the order of the ranking."""
        return json.dumps({"meta": {"model": ranked.model, "statistic": ranked.statistic}, "scores": score_lists(ranked, "locos")})

"""A head-file format: `layer,head,score`, a head a line."""

import mechdyn as md
from mechdyn.heads import Head, RankedHeads, head_format, rank_heads

_HEADER = "layer,head,score"


@head_format("csv")
class Csv:
    """Comma-separated values under a header; what the scores are is not kept."""

    def recognises(self, content: str) -> bool:
        return content.startswith(_HEADER)

    def read(self, content: str) -> RankedHeads:
        rows = [line.split(",") for line in content.splitlines()[1:]]
        try:
            scored = [(Head(int(layer), int(head)), float(score)) for layer, head, score in rows]
        except ValueError as error:
            raise md.MechdynError(f"a line is layer,head,score ({error})") from error
        return rank_heads(scored, None, None)

    def write(self, ranked: RankedHeads) -> str:
        lines = [f"{layer},{head},{score}" for (layer, head), score in zip(ranked.heads, ranked.scores, strict=True)]
        return "\n".join([_HEADER, *lines]) + "\n"

"""A prompt with hidden tokens in plain Hugging Face: eager attention, the whole sequence, a 4-D mask, no cache."""

import torch


def plain_hidden(plain, tokens, hidden):
    """Logits and last-layer rows at every position; no other token may attend to those at `hidden`."""
    n = len(tokens)
    seen = torch.ones(n, n, dtype=torch.bool).tril()
    others = [row for row in range(n) if row not in hidden]
    for position in hidden:
        seen[others, position] = False
    mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None]
    with torch.no_grad():
        output = plain(tokens[None], attention_mask=mask, position_ids=torch.arange(n)[None], output_attentions=True, use_cache=False)
    return output.logits[0], output.attentions[-1][0]

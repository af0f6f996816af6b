"""Independent computations in plain Hugging Face, eager attention and no cache: what the engines are held against."""

import torch
from transformers import DynamicCache


def plain_forward(plain, tokens, masks=None, values=None, uniform=False):
    """Logits, last attention rows and final hidden state of one unpadded sequence.

    `masks[pos, layer, head]` are heads whose slice of the input of `o_proj` is set to `values[layer, head]` (zero without) at a position;
    if `uniform`, to the mean of the values that its key-value head has at the positions that it may see.
    """
    handles, cache = [], DynamicCache()
    if masks is not None:
        d_head = plain.model.layers[0].self_attn.head_dim
        for layer in range(masks.shape[1]):
            edited = masks[:, layer].repeat_interleave(d_head, dim=1)
            wanted = torch.zeros(edited.shape[1]) if values is None else values[layer].flatten()

            def overwrite(module, args, edited=edited, wanted=wanted, layer=layer):
                wanted = mean_values(plain, cache, layer) if uniform else wanted
                return (torch.where(edited, wanted.to(args[0]), args[0]),)

            handles.append(plain.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(overwrite))
    with torch.no_grad():
        output = plain(tokens[None], output_attentions=True, output_hidden_states=True, use_cache=True, past_key_values=cache)
    for handle in handles:
        handle.remove()
    return output.logits[0, -1], [attention[0, :, -1] for attention in output.attentions], output.hidden_states[-1][0, -1]


def mean_values(plain, cache, layer):
    """For every position of one unpadded sequence and every head, side by side, the mean of the values that it sees, by a loop."""
    values, config = cache.layers[layer].values[0], plain.config
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    windowed = kinds[layer] == "sliding_attention" and getattr(config, "sliding_window", None) is not None
    window = config.sliding_window if windowed else values.shape[1]
    group = config.num_attention_heads // values.shape[0]
    rows = [values[:, max(0, pos - window + 1) : pos + 1].mean(dim=1) for pos in range(values.shape[1])]
    return torch.stack([torch.cat([row[head // group] for head in range(config.num_attention_heads)]) for row in rows])


def plain_copy_paste(patterns, tokens, needle, predicted):
    """Eq. 1 by loops: `patterns[layer][head, key]`, `needle` a set of positions."""
    scores = torch.zeros(len(patterns), len(patterns[0]))
    for layer, pattern in enumerate(patterns):
        for head, row in enumerate(pattern.tolist()):
            strongest = row.index(max(row))
            scores[layer, head] = float(strongest in needle and int(tokens[strongest]) == predicted)
    return scores


def last_only(mask, n_positions):
    """A mask of heads at the last of `n_positions` positions."""
    masks = torch.zeros(n_positions, *mask.shape, dtype=torch.bool)
    masks[-1] = mask
    return masks


def plain_answer(plain, tokens, n_new, masks=None):
    """Logits, attention rows and hidden states of the last `n_new` positions, from one whole forward.

    Returns logits `[step, vocab]` and rows `[step, layer, head, key]`. Only one layer's attention is held at a time, so that thousands
    of tokens fit. `masks[step, layer, head]` are heads whose slice of the input of `o_proj` is set to zero at that position.
    """
    rows, handles = [], []

    def keep(module, args, output):
        rows.append(output[1][0, :, -n_new:].clone())
        return output[0], None

    for layer, block in enumerate(plain.model.layers):
        handles.append(block.self_attn.register_forward_hook(keep))
        if masks is not None:
            off = masks[:, layer].repeat_interleave(block.self_attn.head_dim, dim=1)

            def overwrite(module, args, off=off):
                z = args[0].clone()
                z[0, -n_new:][off] = 0.0
                return (z,)

            handles.append(block.self_attn.o_proj.register_forward_pre_hook(overwrite))
    with torch.no_grad():
        logits = plain(tokens[None], use_cache=False, logits_to_keep=n_new).logits[0]
    for handle in handles:
        handle.remove()
    return logits, torch.stack(rows).permute(2, 0, 1, 3)

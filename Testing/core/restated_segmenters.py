"""The fold segmenters once more, written from their description alone, with weights by name."""

import torch
import torch.nn.functional as F

SIDE = 48


def group_norm(x, w, name, groups, eps):
    """Mean 0 and variance 1 of each group of channels of each image."""
    parts = x.reshape(len(x), groups, -1)
    middle = parts - parts.mean(2, keepdim=True)
    flat = middle / (middle.square().mean(2, keepdim=True) + eps).sqrt()
    return flat.reshape(x.shape) * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def fixed_norm(x, w, name):
    """Batch normalisation by the statistics of training."""
    scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-5).sqrt()
    return (x - w[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + w[f"{name}.bias"][:, None, None]


def layer_norm(x, w, name):
    middle = x - x.mean(-1, keepdim=True)
    return middle / (middle.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def enlarged(x, corners):
    """Twice the sides, bilinear, by a matrix for rows and one for columns."""

    def matrix(n):
        k = torch.arange(2 * n, dtype=torch.float64)
        place = k * (n - 1) / (2 * n - 1) if corners else ((k + 0.5) / 2 - 0.5).clamp(0, n - 1)
        return (1 - (place[:, None] - torch.arange(n)).abs()).clamp(min=0)

    return matrix(x.shape[2]) @ x @ matrix(x.shape[3]).T


def split2(x):
    parts = [x[:, c, i::2, j::2] for c in range(x.shape[1]) for i in (0, 1) for j in (0, 1)]
    return torch.stack(parts, 1)


def join2(x):
    out = x.new_empty(len(x), x.shape[1] // 4, 2 * x.shape[2], 2 * x.shape[3])
    for k in range(x.shape[1]):
        out[:, k // 4, k % 4 // 2 :: 2, k % 2 :: 2] = x[:, k]
    return out


def restated_unet(x, w):
    def layer(x, name):
        y = F.conv2d(x, w[f"{name}.conv.weight"], padding=1)
        return fixed_norm(y, w, f"{name}.norm").clamp(min=0)

    def pair(x, name):
        return x + layer(layer(x, f"{name}.0"), f"{name}.1")

    levels = len({key.split(".")[1] for key in w if key.startswith("before")})
    x = pair(layer(split2(x), "first"), "before.0")
    skips = []
    for k in range(1, levels):
        skips.append(x)
        x = F.conv2d(x, w[f"down.{k - 1}.weight"], w[f"down.{k - 1}.bias"], stride=2)
        x = pair(x, f"before.{k}")
    for k in range(levels - 2, -1, -1):
        low = torch.einsum("oc,ncyx->noyx", w[f"up.{k}.weight"][:, :, 0, 0], x) + w[f"up.{k}.bias"][:, None, None]
        x = pair(skips[k] + enlarged(low, corners=False), f"after.{k}")
    return join2(F.conv2d(x, w["last.weight"], w["last.bias"], padding=1))


def restated_stem(x, w, before):
    def convolved(x, name, **more):
        kernel = w[f"{before}{name}.weight"]
        flat = kernel.reshape(len(kernel), -1)
        flat = flat - flat.mean(1, keepdim=True)
        flat = flat / (flat.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return F.conv2d(x, flat.reshape(kernel.shape), **more)

    x = convolved(x, "root.conv", stride=2, padding=3)
    x = group_norm(x, w, f"{before}root.gn", 32, 1e-6).clamp(min=0)
    skips = [x]
    windows = x.unfold(2, 3, 2).unfold(3, 3, 2)
    x = windows.amax((-1, -2))
    for block in (1, 2, 3):
        units = sorted({key.split(".unit")[1][0] for key in w if f"{before}body.block{block}.unit" in key})
        for unit in units:
            name = f"body.block{block}.unit{unit}"
            stride = 2 if block > 1 and unit == "1" else 1
            y = convolved(x, f"{name}.conv1")
            y = group_norm(y, w, f"{before}{name}.gn1", 32, 1e-6).clamp(min=0)
            y = convolved(y, f"{name}.conv2", stride=stride, padding=1)
            y = group_norm(y, w, f"{before}{name}.gn2", 32, 1e-6).clamp(min=0)
            y = group_norm(convolved(y, f"{name}.conv3"), w, f"{before}{name}.gn3", 32, 1e-6)
            if unit == "1":
                x = convolved(x, f"{name}.downsample", stride=stride)
                x = group_norm(x, w, f"{before}{name}.gn_proj", x.shape[1], 1e-5)
            x = (x + y).clamp(min=0)
        if block < 3:
            filled = x.new_zeros(*x.shape[:2], SIDE >> (block + 1), SIDE >> (block + 1))
            filled[:, :, : x.shape[2], : x.shape[3]] = x
            skips.append(filled)
    return x, skips


def restated_decoder(tokens, skips, w):
    """From (N, S, width) tokens, row by row."""

    def layer(x, name):
        return fixed_norm(F.conv2d(x, w[f"{name}.0.weight"], padding=1), w, f"{name}.1").clamp(min=0)

    side = SIDE // 16
    x = layer(torch.einsum("nsc->ncs", tokens).reshape(len(tokens), -1, side, side), "decoder.conv_more")
    for k in range(4):
        x = enlarged(x, corners=True)
        if k < 3:
            x = torch.cat([x, skips[2 - k]], 1)
        x = layer(layer(x, f"decoder.blocks.{k}.conv1"), f"decoder.blocks.{k}.conv2")
    return F.conv2d(x, w["segmentation_head.0.weight"], w["segmentation_head.0.bias"], padding=1)


def embedded(x, w):
    before = "transformer.embeddings."
    x, skips = restated_stem(x, w, f"{before}hybrid_model.")
    tokens = torch.einsum("oc,ncyx->nyxo", w[f"{before}patch_embeddings.weight"][:, :, 0, 0], x)
    tokens = (tokens + w[f"{before}patch_embeddings.bias"]).flatten(1, 2)
    return tokens + w[f"{before}position_embeddings"], skips


def attention(x, query, key, value, heads=2):
    """Of a row of tokens (L, width), head by head."""
    out, size = [], x.shape[1] // heads
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        weights = (query[:, part] @ key[:, part].T / size**0.5).exp()
        out.append(weights / weights.sum(1, keepdim=True) @ value[:, part])
    return torch.cat(out, 1)


def restated_endofm(clip, w):
    """One clip (T, 3, H, W), its tokens in one row: place by place, in each place frame by frame."""
    count = len(clip)

    def attend(x, name):
        query, key, value = linear(x, w, f"{name}.qkv").chunk(3, 1)
        return linear(attention(x, query, key, value), w, f"{name}.proj")

    tokens, skips = embedded(clip, w)
    places = tokens.shape[1]
    row = [tokens[t, s] for s in range(places) for t in range(count)]
    token, row = w["transformer.encoder.cls_token"][0, 0], torch.stack(row)
    for k in range(2):
        name = f"transformer.encoder.layer.{k}"
        later = row.clone()
        for s in range(places):
            part = slice(s * count, (s + 1) * count)
            seen = attend(layer_norm(row[part], w, f"{name}.temporal_norm1"), f"{name}.temporal_attn")
            later[part] = row[part] + linear(seen, w, f"{name}.temporal_fc")
        row, changes = later.clone(), []
        for t in range(count):
            one = torch.cat([token[None], later[t::count]])
            change = attend(layer_norm(one, w, f"{name}.norm1"), f"{name}.attn")
            changes.append(change[0])
            row[t::count] = later[t::count] + change[1:]
        every = torch.cat([(token + sum(changes) / count)[None], row])
        hidden = gelu(linear(layer_norm(every, w, f"{name}.norm2"), w, f"{name}.mlp.fc1"))
        every = every + linear(hidden, w, f"{name}.mlp.fc2")
        token, row = every[0], every[1:]
    row = layer_norm(row, w, "transformer.encoder.encoder_norm")
    return restated_decoder(torch.stack([row[t::count] for t in range(count)]), skips, w)


def restated_transunet(x, w):
    tokens, skips = embedded(x, w)
    out = []
    for row in tokens:
        for k in range(2):
            name = f"transformer.encoder.layer.{k}"
            y = layer_norm(row, w, f"{name}.attention_norm")
            parts = [linear(y, w, f"{name}.attn.{part}") for part in ("query", "key", "value")]
            row = row + linear(attention(y, *parts), w, f"{name}.attn.out")
            y = layer_norm(row, w, f"{name}.ffn_norm")
            row = row + linear(gelu(linear(y, w, f"{name}.ffn.fc1")), w, f"{name}.ffn.fc2")
        out.append(layer_norm(row, w, "transformer.encoder.encoder_norm"))
    return restated_decoder(torch.stack(out), skips, w)

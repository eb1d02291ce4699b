"""A hand-made segmenter whose answer is known (bright green is a fold), and frames that it can be asked about."""

import numpy as np


def write_segmenter(folder, size=64, **more):
    """Publish a fold_unet that marks pixels whose green is above 128; return its card's path."""
    import torch

    from inference_core.models.frame_card import frame_card_text
    from inference_core.models.networks import build_network
    from inference_core.training.frame_publish import publish_frames

    arguments = {"widths": [4, 4]}
    network = build_network("fold_unet", arguments).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.first.norm.weight[:] = 1
        network.first.norm.bias[:] = 1  # green from -1 to 1 passes the ReLU
        for k in range(4):
            network.first.conv.weight[k, 4 + k, 1, 1] = 1
            network.last.weight[k, k, 1, 1] = 20
        network.last.bias[:4] = -20
        network.last.bias[4:] = -20
    folder.mkdir(parents=True, exist_ok=True)
    architecture = {"name": "fold_unet", "arguments": arguments}
    said = {"output": "fold-and-touch", **more}
    text = frame_card_text("green", "Green", "segment-folds", architecture, (-1, 1), size, said)
    publish_frames(folder, network, text)
    return folder / "model.json"


def disc(shape, middle, radius):
    """Pixels of a disc; middle and radius in shares of the sides and of the short side."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    down, over = rows + 0.5 - middle[0] * shape[0], columns + 0.5 - middle[1] * shape[1]
    return np.hypot(down, over) < radius * min(shape)


def frame_with(folds, shape=(64, 64), seed=0):
    """Red mucosa around a dark lumen, with texture; folds, given as masks, are bright."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    off = np.hypot((rows + 0.5) / shape[0] - 0.5, (columns + 0.5) / shape[1] - 0.5)
    light = np.clip(0.15 + 1.6 * off, 0, 1)[..., None]
    rgb = 170 * light * np.array([1.0, 0.5, 0.35]) + np.random.default_rng(seed).normal(0, 12, (*shape, 1))
    for fold in folds:
        rgb[fold] = (235, 190, 150)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def moving(frames, shape=(64, 64)):
    """Frames in which one fold goes to the right and another stays; with their masks."""
    made = []
    for k in range(frames):
        goes, stays = disc(shape, (0.25, 0.2 + 0.02 * (k % 30)), 0.12), disc(shape, (0.75, 0.5), 0.12)
        made.append((frame_with([goes, stays], shape, k), goes, stays))
    return made

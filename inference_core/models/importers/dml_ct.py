"""The generator of the CT paper's released code (Jung et al., MICCAI 2022), ``*_genA2B.pth``.

Its state dictionary lists three dense blocks, which are one block three times: they are compared, and one is kept.
Where they differ, the file comes from code in which the blocks do not share their weights; it becomes a network of that
kind, and its card says so. Spectral norms (in torch's former layout or its present one) are divided into the weights.

The original reads attenuation per mm, makes HU of it with water at 0.0192, and works in (HU + 1000) / 2000. What water
is taken to be cannot matter here: we read HU, and the high band has neither the offset nor anything as coarse as water.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inference_core.errors import UserError
from inference_core.models.importers.imported import Imported
from inference_core.models.importers.state import REMEDY, check_state, count, read_state_dict, side

if TYPE_CHECKING:
    from torch import Tensor

UNIT_HU = 2000.0
FORMER = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}
PRESENT = {
    "weight": "parametrizations.weight.original",
    "u": "parametrizations.weight.0._u",
    "v": "parametrizations.weight.0._v",
}
SETTLED = 0.5  # share of the largest gain that the vectors of a trained norm have found at least


def read_dml_ct(path: Path) -> Imported:
    """Read a checkpoint; its sizes are those of its weights.

    Raises
    ------
    UserError
        ``no-such-file``, ``bad-checkpoint``.
    """
    state = read_state_dict(path)
    norm = PRESENT if any("parametrizations." in name for name in state) else FORMER
    weight = norm["weight"]
    features = side(state, f"conv_first.{weight}", 0, 32)
    blocks = count(state, "rrdb.layers.", 3)
    layers = count(state, "rrdb.layers.0.nets.", 5)
    growth = side(state, f"rrdb.layers.0.nets.0.{weight}", 0, 8) if layers > 1 else 8
    widths = [growth] * (layers - 1) + [features]

    def name_in_block(block: int, i: int) -> str:
        return f"rrdb.layers.{block}.nets.{i}"

    shapes: dict[str, tuple[int, ...]] = {
        "conv_first": (features, 1, 3, 3),
        "conv_mid": (features, features, 1, 1),
        "conv_last": (1, features, 3, 3),
    }
    for block in range(blocks):
        shapes |= {name_in_block(block, i): (w, features + i * growth, 3, 3) for i, w in enumerate(widths)}
    check_state(state, _keys(shapes, norm), path)

    shared = all(
        state[name].equal(state[name.replace(f"layers.{block}", "layers.0", 1)])
        for block in range(1, blocks)
        for name in state
        if name.startswith(f"rrdb.layers.{block}.")
    )
    ours = {"first": "conv_first", "middle": "conv_mid", "last": "conv_last"}
    for block in range(1 if shared else blocks):
        ours |= {f"blocks.{block}.{i}": name_in_block(block, i) for i in range(layers)}
    weights: dict[str, Tensor] = {}
    unsettled = []
    for name, theirs in ours.items():
        matrix, u, v = (state[f"{theirs}.{norm[part]}"] for part in ("weight", "u", "v"))
        gain, largest = _gains(matrix, u, v)
        if gain == 0:
            raise UserError("bad-checkpoint", f"{path}: the spectral norm of {theirs} is 0.", REMEDY)
        if gain < SETTLED * largest:
            unsettled.append(theirs)
        weights[f"{name}.weight"] = (matrix / gain).contiguous()
        weights[f"{name}.bias"] = state[f"{theirs}.bias"].contiguous()
    notes = []
    if not shared:
        notes.append("Its blocks differ: each has weights of its own, unlike in the paper's released code.")
    if unsettled:
        notes.append(f"Spectral norms that never settled, so the output may be far off: {', '.join(unsettled)}.")
    sizes = {"features": features, "growth": growth, "blocks": blocks, "layers": layers, "share_blocks": shared}
    return Imported(
        title="Patch-wise deep metric learning (Jung et al., MICCAI 2022)",
        network="rrdb_sn",
        arguments=sizes | {"spectral_norm": False},
        weights=weights,
        unit_hu=UNIT_HU,
        halo=blocks * layers + 2,  # 3x3 convolutions in a row
        notes=notes,
    )


def _keys(shapes: dict[str, tuple[int, ...]], norm: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """All keys of convolutions with spectral norms."""
    keys: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        out, inner, rows, columns = shape
        keys |= {f"{name}.bias": (out,), f"{name}.{norm['weight']}": shape}
        keys |= {f"{name}.{norm['u']}": (out,), f"{name}.{norm['v']}": (inner * rows * columns,)}
    return keys


def _gains(weight: Tensor, u: Tensor, v: Tensor) -> tuple[float, float]:
    """What the norm's vectors take for the largest gain, and what it is."""
    import torch

    matrix = weight.flatten(1).double()
    return float(u.double() @ matrix @ v.double()), float(torch.linalg.matrix_norm(matrix, 2))

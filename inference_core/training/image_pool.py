"""A pool of generated images for adversarial training: the discriminator also sees what was made some steps ago.

Source: Shrivastava et al., Learning from Simulated and Unsupervised Images through Adversarial Training (CVPR 2017),
section 2.3, in the form of Zhu et al., CycleGAN (ICCV 2017).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class ImagePool:
    """Holds up to ``size`` images.

    Parameters
    ----------
    size : int
        0 gives every image straight back.
    """

    def __init__(self, size: int = 50) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Put images in, take as many out.

        While the pool fills, the images come straight back. Then each is, with probability 1/2, kept in the place of a
        random older one, which is given instead.

        Parameters
        ----------
        images : (N, C, H, W) tensor
        rng : Generator

        Returns
        -------
        (N, C, H, W) tensor, detached
        """
        given = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
            elif self.size and rng.random() < 0.5:
                place = int(rng.integers(self.size))
                image, self.images[place] = self.images[place], image.clone()
            given.append(image)
        return torch.stack(given)

    def state_dict(self) -> dict[str, object]:
        """For a checkpoint."""
        return {"images": list(self.images)}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """From a checkpoint."""
        self.images = list(state["images"])  # type: ignore[call-overload]

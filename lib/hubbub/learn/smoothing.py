"""Label smoothing: a share of each target is divided over all labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hubbub.learn.augment import Augmentation


def smooth_targets(policy: Augmentation | None, share: float) -> Augmentation | None:
    """Return what `policy` does, with smoothed targets after it; of training rows only, so that losses compare."""
    if not share:
        return policy
    return TargetSmoothing(share, policy)


@dataclass(frozen=True)
class TargetSmoothing:
    """Smooths the targets of a batch.

    Attributes
    ----------
    share
        Of each row's targets, 0 to 0.5. Rows of background alone, whose targets are 0, stay.
    policy
        The augmentation before it.
    """

    share: float
    policy: Augmentation | None = None

    def for_validation(self) -> Augmentation:
        """The augmentation's own; targets stay."""
        return self if self.policy is None else self.policy.for_validation()

    def __call__(
        self, features: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Change one batch: features [row, frame, band], targets [row, label] or [row, frame, label] of 0 to 1."""
        if self.policy is not None:
            features, targets = self.policy(features, targets, rng)
        over_all = targets.mean(axis=-1, keepdims=True)
        return features, ((1 - self.share) * targets + self.share * over_all).astype(np.float32)

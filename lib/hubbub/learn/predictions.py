"""The scores of the rows that a model was chosen on."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from hubbub.learn.frames import predict_clips
from hubbub.learn.streams import VALIDATION_ROWS, iterate_rows, plan_rows, plan_validation_pass
from hubbub.learn.training_job import TrainingJob

MOST_ROWS = 2_000
"""Training rows looked at, at most, where no rows validate."""


def score_chosen_rows(job: TrainingJob, model: keras.Model) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Score the validation rows as they are, or some training rows where none validate.

    Returns
    -------
    marked
        bool [row, label], what the rows carry.
    scores
        float32 [row, label].
    """
    rows = plan_validation_pass(job)
    if not rows.n_batches:
        train = job.split.train
        rows = plan_rows(job, train.sample(min(len(train), MOST_ROWS), random_state=job.seed))
    marked, scores = [], []
    for features, wanted in iterate_rows(rows, job.target_table):
        scores.append(predict_clips(model, features, job.frames, batch_rows=VALIDATION_ROWS))
        marked.append(wanted > 0)
    return np.concatenate(marked), np.concatenate(scores)

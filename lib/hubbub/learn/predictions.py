"""What a model predicts of the rows it was chosen on."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from hubbub.learn.streams import VALIDATION_ROWS, iterate_rows, plan_rows, plan_validation_pass
from hubbub.learn.training_job import TrainingJob

MOST_ROWS = 2_000
"""Training rows looked at, at most, where no rows validate."""


def predict_labels(job: TrainingJob, model: keras.Model) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Predict the validation rows, or some training rows where none validate.

    Returns
    -------
    targets, predicted
        int64 [row], indices into the job's labels.
    """
    rows = plan_validation_pass(job)
    if not rows.n_batches:
        train = job.split.train
        rows = plan_rows(job, train.sample(min(len(train), MOST_ROWS), random_state=job.seed))
    targets, predicted = [], []
    for features, wanted in iterate_rows(rows, job.shape.n_labels):
        scores = model.predict(features, batch_size=VALIDATION_ROWS, verbose=0)
        targets.append(wanted.argmax(axis=1))
        predicted.append(scores.argmax(axis=1))
    return np.concatenate(targets), np.concatenate(predicted)

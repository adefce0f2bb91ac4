"""From a feature store to a trained, measured model."""

import os

# TensorFlow greets on standard error, where jobs draw their progress; it reads this when it is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

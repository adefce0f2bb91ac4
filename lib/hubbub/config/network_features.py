"""Features that each network is made for, so that `hubbub features` can make them without Keras.

Any network trains on any store; what is here is what its authors trained it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubbub.config import Settings, nest_settings, parse_settings
from hubbub.config.recipes import default_settings

FEATURES: Mapping[str, Mapping[str, Any]] = {}
"""Changes to the default settings of features, by the name of a network; networks that are not here take the defaults.
"""


def choose_features(model: str) -> Settings:
    """Return the settings of the features that a network is made for.

    Parameters
    ----------
    model
        Name of the recipe.

    Raises
    ------
    hubbub.errors.TrainingError
        There is no such model; says the nearest.
    """
    default_settings(model)  # refuses a name that is none
    return parse_settings(nest_settings(FEATURES.get(model, {})), where=model)

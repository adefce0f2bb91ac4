"""Whether a model can score the rows of a store: it was trained on the same features."""

from __future__ import annotations

from hubbub.config import Settings, describe_difference
from hubbub.errors import BundleError

_EMBEDDING = "embedding"


def check_frontend(model_settings: Settings, store_settings: Settings) -> None:
    """Refuse features that the model was not trained on.

    Raises
    ------
    BundleError
        With both hashes and what differs; where one of both is of embeddings, all differs, and only that is said.
    """
    if model_settings.hash == store_settings.hash:
        return
    ours, theirs = model_settings.frontend.name, store_settings.frontend.name
    if ours == _EMBEDDING != theirs:
        raise BundleError(
            f"the model takes embeddings, and the store holds features ({theirs}); expected a store of embeddings by "
            "the same model: hubbub embed CLIPS --model MODEL -o STORE"
        )
    if theirs == _EMBEDDING != ours:
        raise BundleError(
            f"the model takes features ({ours}), and the store holds embeddings; expected a store of the model's "
            "features: hubbub features CLIPS -o STORE"
        )
    lines = "; ".join(describe_difference(model_settings.full_values, store_settings.full_values))
    raise BundleError(
        f"the model was trained on features {model_settings.hash}, these are {store_settings.hash}; "
        f"the model's are {lines}. Make features with the model's settings, or train on these"
    )

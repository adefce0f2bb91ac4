"""Networks of ours in half precision, for GPUs: half the memory, and on most twice as fast or more.

Standardisation and scores stay float32: decibels have more digits than 16 bits hold.
"""

from __future__ import annotations

from typing import Any, Literal

from hubbub.models.backends import import_keras

Precision = Literal["float32", "float16", "bfloat16"]
"""What a network computes in."""

PRECISIONS = ("float32", "float16", "bfloat16")

KEPT = ("standardise", "scores")
"""Layers that stay float32, in every network of ours."""


def lower_precision(network: Any, precision: Precision) -> Any:
    """Return a copy of a `keras.Model` whose layers compute in a precision, with weights in float32."""
    keras = import_keras()
    config = network.get_config()
    _set_policy(config, keras.dtype_policies.serialize(keras.dtype_policies.DTypePolicy(f"mixed_{precision}")))
    lowered = type(network).from_config(config)
    lowered.set_weights(network.get_weights())
    return lowered


def _set_policy(config: dict[str, Any], policy: dict[str, Any]) -> None:
    """Set the policy of each layer that computes, and of those of networks among them."""
    for layer in config["layers"]:
        inner = layer["config"]
        if "layers" in inner:
            _set_policy(inner, policy)
        elif layer["class_name"] != "InputLayer" and inner.get("name") not in KEPT and "dtype" in inner:
            inner["dtype"] = policy

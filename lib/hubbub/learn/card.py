"""The model card: what a person should know before using a bundle.

After M. Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubbub.io.text import count_noun


def model_card(description: Mapping[str, Any]) -> str:
    """Write the card, Markdown, from what `bundle.json` says."""
    frontend, rows = description["settings"]["frontend"], description["rows"]
    return f"""# An audio model: {description["model"]}

{description["summary"]}

| | |
|---|---|
| Tells apart | {", ".join(description["labels"])} |
| Hears | {description["window_s"]:g} s at a time, at {frontend["sample_rate"]} Hz, {_bands(description)} |
| Scores | {_SCORES[description["activation"]]} |
| Trained on | {rows["train"]} rows of `{description["provenance"]["store"]}` |
| Chosen with | {_chosen(description)} |
| Kept from training | {_kept_out(description)} |
{_began_with(description)}| Features | settings hash `{description["settings_hash"]}` |
| Made | {description["provenance"]["trained_at"]}, seed {description["provenance"]["seed"]} |

{_list_warnings(description)}## Use

    hubbub evaluate BUNDLE STORE -o EVALUATION      # clips whose labels are known
    hubbub label FOLDER --model BUNDLE -o LABELS    # recordings of any length

## Limits

It knows these labels and no others: another kind of sound may score for the label it resembles most.
{_describe_nothing(description)}
Its figures hold for recordings like those it was trained on; measure it on yours before you trust it.
"""


_SCORES = {
    "softmax": "0 to 1, adding up to 1: the labels compete",
    "sigmoid": "0 to 1 for each label alone: none may be present, or several",
}


def _describe_nothing(description: Mapping[str, Any]) -> str:
    """Say what the model scores where none of its labels is there."""
    if description["activation"] == "softmax":
        return "One of them always wins, also in silence."
    recipe = description["recipe_settings"]
    if recipe["train"]["augment"] and recipe["model"].get("stages") != "head":
        return "Quiet backgrounds and silence were shown to it as 'none of these'."
    return "It was shown nothing that is none of these: add clips of background under a label of their own."


def _list_warnings(description: Mapping[str, Any]) -> str:
    warnings = description.get("warnings", [])
    return "## Warnings\n\n" + "".join(f"- {text}\n" for text in warnings) + "\n" if warnings else ""


def _bands(description: Mapping[str, Any]) -> str:
    frontend, count = description["settings"]["frontend"], description["n_bands"]
    if frontend["name"] == "embedding":
        return f"as {count} values by the model {frontend['model']}"
    of_mel = {"log-mel": "mel bands", "mel": "mel bands (power)", "pcen": "mel bands (PCEN)"}
    return f"{count} {of_mel.get(frontend['name'], 'values a frame (' + frontend['name'] + ')')}"


def _chosen(description: Mapping[str, Any]) -> str:
    metrics = description["metrics"]
    if not metrics:
        return "nothing: no rows were set aside, the last epoch was kept"
    return (
        f"{description['rows']['validation']} validation rows, which chose epoch {description['kept_epoch']} "
        f"(of them {metrics['val_accuracy']:.1%} right)"
    )


def _began_with(description: Mapping[str, Any]) -> str:
    """The line about weights of others; nothing where training began with random ones."""
    weights = description.get("weights")
    if not weights or weights["sha256"] is None:
        return ""
    source = weights["source"] if weights["source"] == "imagenet" else f"`{weights['file']}`"
    return (
        f"| Began with | weights of {source} (SHA-256 `{weights['sha256'][:16]}…`); licence: {weights['licence']} |\n"
    )


def _kept_out(description: Mapping[str, Any]) -> str:
    split, count = description["split"], description["rows"]["test"]
    which = f"fold {split['test_fold']}" if split["by"] == "fold" else f"the test rows by {split['by']}"
    return f"{which}, {count_noun(count, 'row')}"

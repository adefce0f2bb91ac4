"""Arguments of pipelines: paths, URLs or the objects of earlier steps, checked once and opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.clips.table import ClipTable, read_table
from hubbub.config import Settings, load_settings, nest_settings, parse_settings
from hubbub.config.network_features import HEADS, choose_network
from hubbub.config.recipes import RecipeSettings, load_recipe_settings, parse_recipe_settings
from hubbub.config.variants import Variants, load_variants
from hubbub.errors import UsageError
from hubbub.io.atomic import explain_read_errors
from hubbub.io.paths import StoragePath, absolute_path, parse_path
from hubbub.labels.tables import LabelTables, open_labels
from hubbub.models.bundle import Bundle, load_bundle
from hubbub.models.foreign import ForeignModel
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store

if TYPE_CHECKING:
    PathLike = str | os.PathLike[str] | StoragePath


def as_path(given: PathLike, name: str) -> StoragePath:
    """Take a path or URL of the parameter `name`.

    Raises
    ------
    TypeError
        For anything else.
    UsageError
        For a URL that hubbub does not read; see `parse_path`.
    """
    if isinstance(given, str):
        return parse_path(given)
    if _is_path(given):
        return given if hasattr(given, "joinpath") else Path(os.fspath(given))  # type: ignore[return-value]
    raise TypeError(f"{name} is {_describe(given)}; expected a path or a URL such as 's3://bucket/prefix'")


def as_root(given: PathLike) -> StoragePath:
    """Take the folder in which recordings lie now, as an absolute path; `UsageError` where there is none."""
    root = as_path(given, "root")
    with explain_read_errors(root):
        if not root.is_dir():
            raise UsageError(f"--root {root} is no folder; give the one in which the recordings lie now")
    return absolute_path(root)


def as_list(given: Any) -> list[Any]:
    """Take one thing, or several: a text or a path is one, not its letters or parts; so is a table or a store."""
    if isinstance(given, str | ClipTable | LabelTables | FeatureStore) or hasattr(given, "columns") or _is_path(given):
        return [given]
    try:
        return list(given)
    except TypeError:
        return [given]


def as_clips(given: PathLike | ClipTable) -> ClipTable:
    """Take a clip table, or the path of one; errors of `as_path` and `read_table`."""
    return given if isinstance(given, ClipTable) else read_table(_path_or(given, "clips", ClipTable, "hubbub.index"))


def as_store(given: PathLike | FeatureStore) -> FeatureStore:
    """Take a feature store, or the path of one; errors of `as_path` and `open_store`."""
    if isinstance(given, FeatureStore):
        return given
    return open_store(_path_or(given, "store", FeatureStore, "hubbub.build_features"))


def as_bundle(given: PathLike | Bundle) -> Bundle:
    """Take a model bundle, or the path of one; errors of `as_path` and `load_bundle`."""
    return given if isinstance(given, Bundle) else load_bundle(_path_or(given, "bundle", Bundle, "hubbub.train"))


def as_model_path(given: PathLike | Bundle | ForeignModel, name: str = "bundle") -> StoragePath:
    """Take the path of a model bundle, of the YAML file of a model of others, or of an opened one; loads nothing."""
    return given.path if isinstance(given, Bundle | ForeignModel) else _path_or(given, name, Bundle, "hubbub.train")


def as_labels(given: PathLike | LabelTables) -> LabelTables:
    """Take label tables, or their path; errors of `as_path` and `open_labels`."""
    if isinstance(given, LabelTables):
        return given
    return open_labels(_path_or(given, "labels", LabelTables, "hubbub.label"))


def as_settings(given: Settings | Mapping[str, Any] | PathLike | None) -> Settings | None:
    """Take settings, a mapping such as ``{"frontend.n_mels": 64}``, or the path of a YAML file.

    Raises
    ------
    SettingsError
        For an unknown setting, a bad value or a file that cannot be read.
    TypeError
        For anything else.
    """
    if given is None or isinstance(given, Settings):
        return given
    if isinstance(given, Mapping):
        return parse_settings(nest_settings(given), where="settings")
    if isinstance(given, str) or _is_path(given):
        return load_settings(Path(os.fspath(given)))  # type: ignore[arg-type]
    raise TypeError(f"settings is {_describe(given)}; expected a mapping, hubbub's Settings or the path of a YAML file")


def choose_model(store: PathLike | FeatureStore, given: str | None, say: Callable[[str], None]) -> str:
    """Return the model that is named, else the one that suits the store; says so where it is not the usual one."""
    if given is not None:
        return given
    chosen = choose_network(as_store(store).settings)
    if chosen in HEADS:
        others = " or ".join(name for name in HEADS if name != chosen)
        say(f"model: {chosen}, for the store holds embeddings; --model {others} trains another head")
    return chosen


def as_recipe_settings(model: str, given: RecipeSettings | Mapping[str, Any] | PathLike | None) -> RecipeSettings:
    """Take settings of a recipe, changes such as ``{"train.epochs": 20}``, or the path of a YAML file.

    Raises
    ------
    TrainingError
        There is no such model.
    SettingsError
        For an unknown setting, a bad value or a file that cannot be read.
    TypeError
        For anything else.
    """
    if isinstance(given, RecipeSettings):
        return given
    if given is None or isinstance(given, Mapping):
        return parse_recipe_settings(model, given or {})
    if isinstance(given, str) or _is_path(given):
        return load_recipe_settings(model, Path(os.fspath(given)))  # type: ignore[arg-type]
    raise TypeError(f"settings is {_describe(given)}; expected a mapping, RecipeSettings or the path of a YAML file")


def as_variants(given: Variants | PathLike | None) -> Variants | None:
    """Take a policy of variants, or the path of its YAML file; errors of `load_variants`, `TypeError` for others."""
    if given is None or isinstance(given, Variants):
        return given
    if isinstance(given, str) or _is_path(given):
        return load_variants(Path(os.fspath(given)))  # type: ignore[arg-type]
    raise TypeError(f"variants is {_describe(given)}; expected the path of a YAML file")


def _path_or(given: Any, name: str, kind: type, maker: str) -> StoragePath:
    if isinstance(given, str) or _is_path(given):
        return as_path(given, name)
    raise TypeError(f"{name} is {_describe(given)}; expected a path, a URL or the {kind.__name__} that {maker} returns")


def _is_path(given: Any) -> bool:
    from upath import UPath

    return isinstance(given, os.PathLike | UPath) and not isinstance(given, ClipTable)


def _describe(given: Any) -> str:
    text = repr(given)
    return f"{type(given).__name__} {text if len(text) <= 60 else text[:57] + '…'}"

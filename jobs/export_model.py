"""``hubbub export-model``: a bundle's network for other runtimes."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def export_model(
    bundle: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A model bundle, made by hubbub train.", metavar="BUNDLE")
    ],
    format: Annotated[str, typer.Option(help="onnx, litert or openvino.", metavar="NAME")],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="Folder to make.", metavar="FOLDER")
    ],
    compare: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path,
            help="Compare with the bundle on these rows or recordings. Default: sounds that are made.",
            metavar="STORE|FOLDER",
        ),
    ] = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Write a model for ONNX Runtime, LiteRT or OpenVINO, with scores equal to the bundle's within 0.0001.

    Example: hubbub export-model bundle --format onnx -o exported --compare recordings/
    """
    from hubbub.pipelines.export_model import export_model as export_bundle

    from .console import reporter

    export_bundle(bundle, output, format=format, compare=compare, reporter=reporter)

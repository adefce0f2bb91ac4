"""TensorFlow's SavedModel: one signature of its graph, in a session of its own.

A graph is data, but some of TensorFlow's operations run Python, or read and write files: a signature that leads to one
is refused. The objects that a SavedModel may restore beside its graph are left alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.text import make_visible
from hubbub.models.backends import hushed_stderr, import_tensorflow
from hubbub.models.runtimes import Network, Port, say_error

_SERVE = "serve"
"""Tag of the graph that is for use, not for training."""

_START = "__saved_model_init_op"
"""Signature of what runs once after loading: lookup tables are filled."""

_PYTHON = re.compile(r"PyFunc")
_TOUCHES = re.compile(
    r"File|Save|Restore|Checkpoint|Reader|SummaryWriter|WriteSummary|Print|Debug|Dump|Rpc|Send|Recv|Sql|Bigtable|"
    r"Lmdb|Dataset|Iterator|Remap|Vocab|TRTEngine|Socket|Http|Collective|DecodeProto|EncodeProto"
)
"""Operations that read or write files, sockets or the console. A network has none."""

_STARTS = {"RestoreV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
"""Of those, what a graph may do when it is loaded: read its own weights and lists of words."""


class SavedModelNetwork:
    """One signature of a SavedModel; see `hubbub.models.runtimes.Network`."""

    def __init__(self, path: Path, session: Any, signature: Any) -> None:
        self._path, self._session, self._signature = path, session, signature
        self.inputs: Sequence[Port] = _make_ports(signature.inputs)
        self.outputs: Sequence[Port] = _make_ports(signature.outputs)
        self._make = lru_cache(maxsize=4)(self._make_callable)

    def find_inner(self, name: str) -> Port | None:
        """See `Network`; what lies in a graph's functions has no name outside."""
        return None

    def run(self, values: Mapping[str, npt.NDArray[np.float32]], outputs: Sequence[str]) -> list[np.ndarray]:
        """See `Network`."""
        try:
            return self._make(tuple(values), tuple(outputs))(*values.values())
        except Exception as error:  # TensorFlow has a class for each of its reasons
            shapes = ", ".join(str(list(value.shape)) for value in values.values())
            raise BundleError(f"{self._path} cannot take {shapes}: {say_error(error)}") from None

    def _make_callable(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
        fetched = [self._signature.outputs[name].name for name in outputs]
        return self._session.make_callable(fetched, [self._signature.inputs[name].name for name in inputs])


def open_saved_model(path: Path, *, signature: str, threads: int) -> Network:
    """Open the folder of a SavedModel; see `hubbub.models.runtimes.open_network`."""
    tensorflow = import_tensorflow()
    meta_graph = _choose_graph(_read_proto(path), path)
    chosen = _choose_signature(meta_graph, signature, path)
    _refuse_code(meta_graph, chosen, path)
    options = tensorflow.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    options.gpu_options.allow_growth = True
    session = tensorflow.compat.v1.Session(graph=tensorflow.Graph(), config=options)
    try:
        with session.graph.as_default(), hushed_stderr(), _hushed_log():
            tensorflow.compat.v1.saved_model.loader.load(session, [_SERVE], str(path))
    except Exception as error:  # as in `run`
        raise BundleError(f"{path} cannot be loaded: {say_error(error)}; copy or export it again") from None
    return SavedModelNetwork(path, session, chosen)


def _read_proto(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    held = saved_model_pb2.SavedModel()
    try:
        held.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError:
        raise BundleError(f"{path / 'saved_model.pb'} is damaged or no SavedModel; copy or export it again") from None
    return held


def _choose_graph(held: Any, path: Path) -> Any:
    for meta_graph in held.meta_graphs:
        if _SERVE in meta_graph.meta_info_def.tags:
            return meta_graph
    tags = ", ".join(make_visible(tag) for each in held.meta_graphs for tag in each.meta_info_def.tags) or "none"
    raise BundleError(f"{path} holds no graph with the tag '{_SERVE}' (its tags: {tags}); export the model for use")


def _choose_signature(meta_graph: Any, name: str, path: Path) -> Any:
    own = sorted(key for key in meta_graph.signature_def if key != _START)
    if name in own:
        return meta_graph.signature_def[name]
    others = ", ".join(map(make_visible, own)) or "none"
    raise BundleError(
        f"{path} has no signature '{name}' (its own: {others}); give one of its own as signature, or export the model "
        "with one: tf.saved_model.save(model, folder, signatures=…)"
    )


def _refuse_code(meta_graph: Any, signature: Any, path: Path) -> None:
    """Refuse operations that are not in TensorFlow, that run Python, or that reach out of the graph."""
    from tensorflow.python.framework import op_def_registry

    graph = _Graph(meta_graph.graph_def)
    used = graph.operations(info.name for info in signature.outputs.values())
    at_start = graph.operations(_starts(meta_graph))
    every = {node.op for node in meta_graph.graph_def.node} | set().union(*map(graph.inside, graph.functions))
    unknown = {op for op in every - graph.functions.keys() if op_def_registry.get(op) is None}
    for found, why in (
        ({op for op in used | at_start if _PYTHON.search(op)}, "run Python code"),
        (unknown, "TensorFlow does not have"),
        ({op for op in used | (at_start - _STARTS) if _TOUCHES.search(op)}, "reach files or other programs"),
    ):
        if found:
            names = ", ".join(map(make_visible, sorted(found)))
            raise BundleError(
                f"{path} needs operations that {why}: {names}; a model is data, of which only its graph runs: "
                "export it without them"
            )


def _starts(meta_graph: Any) -> list[str]:
    """Names of what runs when the graph is loaded: weights are restored, tables filled."""
    starts = [meta_graph.saver_def.restore_op_name, meta_graph.saver_def.filename_tensor_name]
    starts += [info.name for info in meta_graph.signature_def[_START].outputs.values()]
    for name in ("saved_model_main_op", "legacy_init_op"):
        starts += list(meta_graph.collection_def[name].node_list.value)
    return [name for name in starts if name]


class _Graph:
    """Which operations of a graph lead to others."""

    def __init__(self, graph_def: Any) -> None:
        self._nodes = {node.name: node for node in graph_def.node}
        self.functions = {function.signature.name: function.node_def for function in graph_def.library.function}

    def operations(self, names: Iterable[str]) -> set[str]:
        """Operations that nodes or tensors of these names depend on, those in functions too."""
        waiting, seen, found = [_node_of(name) for name in names], set[str](), set[str]()
        called = set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self._nodes:
                continue
            seen.add(name)
            node = self._nodes[name]
            found.add(node.op)
            called |= self._calls(node)
            waiting += map(_node_of, node.input)
        return found | self._inside_all(called)

    def inside(self, function: str) -> set[str]:
        """Operations of one function's body, without those of functions it calls."""
        return {node.op for node in self.functions[function]}

    def _inside_all(self, called: set[str]) -> set[str]:
        waiting, seen, found = list(called), set[str](), set[str]()
        while waiting:
            function = waiting.pop()
            if function in seen:
                continue
            seen.add(function)
            found |= self.inside(function)
            waiting += [name for node in self.functions[function] for name in self._calls(node)]
        return found

    def _calls(self, node: Any) -> set[str]:
        """Functions that a node may call: those in its attributes, and one that its operation names."""
        names = {node.op}
        for value in node.attr.values():
            names |= {value.func.name, *(function.name for function in value.list.func)}
        return names & self.functions.keys()


def _node_of(name: str) -> str:
    """Name of the node of a tensor, or of a control input."""
    return name.lstrip("^").partition(":")[0]


def _make_ports(infos: Any) -> list[Port]:
    from tensorflow import as_dtype

    ports = []
    for name in sorted(infos):
        shape = infos[name].tensor_shape
        lengths = None if shape.unknown_rank else tuple(dim.size if dim.size > 0 else None for dim in shape.dim)
        ports.append(Port(name, lengths, as_dtype(infos[name].dtype).name))
    return ports


@contextmanager
def _hushed_log() -> Iterator[None]:
    """Leave out the advice to load objects along with the graph."""
    log = logging.getLogger("tensorflow")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)

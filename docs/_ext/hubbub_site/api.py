"""The library's reference: what `import hubbub` gives, the objects that it returns, and the family of errors.

Texts come from docstrings, through Sphinx's autodoc; what there is to describe is read off `hubbub.__all__`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import hubbub
from hubbub import errors
from hubbub_site.markdown import as_code, write_table

if TYPE_CHECKING:
    from docutils.nodes import Element  # type: ignore[import-untyped]
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def write_functions() -> str:
    """Write the functions of the face by the module that holds them, then the classes of what they take and return."""
    modules: dict[str, list[str]] = {}
    for name in list_functions():
        modules.setdefault(getattr(hubbub, name).__module__, []).append(name)
    parts = [_write_group(module, names) for module, names in modules.items()]
    classes = [_write_class(kind) for kind in list_classes()]
    return "\n".join([*parts, "## What they take and return", _as_rst("\n".join(classes))])


def _write_class(kind: type) -> str:
    """Write a class with its members; settings, which have a page of their own, without them."""
    members = "" if hasattr(kind, "model_fields") else "   :members:\n" + _inherited(kind)
    return f".. autoclass:: {kind.__module__}.{kind.__qualname__}\n{members}"


def _inherited(kind: type) -> str:
    """Let members of hubbub's own base classes be described as well, such as what an object shows in a notebook."""
    return "   :inherited-members: object\n" if _bases(kind) and dataclasses.is_dataclass(kind) else ""


def _bases(kind: type) -> list[type]:
    return [base for base in kind.__mro__[1:] if base.__module__.startswith("hubbub.")]


def _list_methods(kind: type) -> list[Any]:
    return [member for name, member in vars(kind).items() if inspect.isfunction(member) and not name.startswith("_")]


def _write_group(module: str, names: list[str]) -> str:
    docstring = (inspect.getdoc(import_module(module)) or "").partition("\n")[0]
    title = docstring.partition("``import hubbub`` about ")[2].partition(";")[0].rstrip(".") or module
    return f"## {title[0].upper()}{title[1:]}\n\n" + _as_rst("\n".join(f".. autofunction:: hubbub.{n}" for n in names))


def _as_rst(text: str) -> str:
    return f"```{{eval-rst}}\n{text}\n```\n"


def list_functions() -> list[str]:
    """Return the names of the face's functions in the order of their modules."""
    names = [name for name in hubbub.__all__ if callable(getattr(hubbub, name))]
    return sorted(names, key=lambda name: (getattr(hubbub, name).__module__, _line_of(name)))


def _line_of(name: str) -> int:
    return getattr(hubbub, name).__code__.co_firstlineno


def list_classes() -> list[type]:
    """Return hubbub's classes that the functions take or return, then those that these classes name, each once."""
    found: dict[type, None] = {}
    waiting: list[Any] = [getattr(hubbub, name) for name in list_functions()]
    while waiting:
        holder = waiting.pop(0)
        named = (kind for note in _list_annotations(holder) for kind in _find_classes(holder, note))
        new = [kind for kind in dict.fromkeys(named) if kind not in found]
        found |= dict.fromkeys(new)
        waiting += [*new, *(method for kind in new for base in _bases(kind) for method in _list_methods(base))]
    return list(found)


def _list_annotations(holder: Any) -> list[str]:
    """Annotations of a function, or of a record's public attributes and methods, as they stand in the source."""
    if not isinstance(holder, type):
        return [str(note) for note in inspect.get_annotations(holder).values()]
    if not dataclasses.is_dataclass(holder):  # settings, which have a page of their own
        return []
    notes = {name: [str(note)] for name, note in inspect.get_annotations(holder).items()}
    for name, member in vars(holder).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        if inspect.isfunction(function):
            notes[name] = _list_annotations(function)
    return [note for name, inner in notes.items() if not name.startswith("_") for note in inner]


def _find_classes(holder: Any, annotation: str) -> Iterator[type]:
    """Yield the classes of hubbub's that an annotation of a function or class names."""
    module = import_module(holder.__module__)
    imported = dict(_read_type_imports(module)) | vars(module)
    for node in ast.walk(ast.parse(annotation)):
        kind = imported.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(kind, type) and kind.__module__.startswith("hubbub."):
            yield kind


def _read_type_imports(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a module imports for type checks alone, of hubbub's own; imports inside functions may be heavy."""
    blocks = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If)]
    for node in (inner for block in blocks for inner in block.body):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hubbub"):
            source = import_module(str(node.module))
            yield from (
                (alias.name, getattr(source, alias.name)) for alias in node.names if hasattr(source, alias.name)
            )


def list_errors() -> list[type[errors.HubbubError]]:
    """Return the family of errors in the order of its module."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in kinds if issubclass(kind, errors.HubbubError)]


def write_errors() -> str:
    """Write the family of errors, each with its base."""
    return _as_rst(
        "\n".join(
            f".. autoexception:: hubbub.errors.{kind.__name__}\n   :members:\n   :show-inheritance:\n"
            for kind in list_errors()
        )
    )


def write_exit_codes() -> str:
    """Write which error ends a command with which exit code."""
    rows = []
    for kind in list_errors():
        if kind is not errors.HubbubError and not issubclass(kind, errors.AudioError):
            when = (kind.__doc__ or "").partition("\n")[0]
            rows.append((f"{{py:exc}}`~hubbub.errors.{kind.__name__}`", when, as_code(kind.exit_code)))
    return write_table(("error", "when", "exit code"), rows)


def mend_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Undo what napoleon takes for a type, and part attributes that are described together.

    An attribute's one sentence, such as ``Seconds: to within a frame``, is no type with a text; ``out, report`` in a
    section of attributes are two.
    """
    if what in ("property", "attribute") and lines and lines[-1].startswith(":type: "):
        sentence = lines.pop().removeprefix(":type: ")
        lines[0] = f"{sentence}: {lines[0]}"
    for number in reversed(range(len(lines))):
        if found := re.match(r":ivar ((?:\w+, )+\w+): (.*)", lines[number]):
            lines[number : number + 1] = [f":ivar {one}: {found[2]}" for one in found[1].split(", ")]


def hide_arguments(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str, None] | None:
    """Leave out the arguments of classes: functions make the objects, whose attributes follow."""
    return ("", None) if what == "class" else None


def find_short_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element) -> Element | None:
    """Find a class by its last name, as annotations of what is imported for type checks alone have it.

    A name in single backticks, which need not be described anywhere, stays code where nothing is found.
    """
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    paths = [path for path in domain.objects if path.rpartition(".")[2] == node["reftarget"]]
    if len(paths) != 1 or not node["reftarget"][:1].isupper():
        return content if node["reftype"] == "obj" else None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "class", paths[0], node, content)

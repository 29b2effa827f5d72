"""An extension of griffe, which reads the API reference: docstrings in reST become Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from textwrap import dedent
from typing import Any

from griffe import (
    Alias,
    AliasResolutionError,
    Attribute,
    Class,
    Docstring,
    Expr,
    Extension,
    Function,
    GriffeLoader,
    Module,
    Object,
)

PACKAGE = "airflow_provider_moengage"
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~)?([\w.]+)`")
LITERAL_BLOCK = re.compile(r"^(.*):(:)\n\n((?:    .*\n|\n)+)", re.MULTILINE)
COMMENT = "#:"


class Docstrings(Extension):
    """
    Makes what reST means visible in Markdown, and the values of constants in signatures.

    Roles become links, to entries of the reference where there is one; a literal block is highlighted as Python; the
    parameters of a ``TypedDict`` are its keys; a comment that begins with ``#:`` is the docstring of what follows it.
    """

    def on_object(self, *, obj: Object, loader: GriffeLoader, **kwargs: Any) -> None:
        """Change the docstring of an object in place."""
        if obj.docstring is None and isinstance(obj, Attribute):
            text = _comment_before(obj)
            obj.docstring = Docstring(text, parent=obj) if text else None
        if obj.docstring is None:
            return
        text = ROLE.sub(lambda role: _link(obj, role[2], short=bool(role[1])), obj.docstring.value + "\n")
        text = LITERAL_BLOCK.sub(_fenced, text)
        if isinstance(obj, Class) and any(str(base).endswith("TypedDict") for base in obj.bases):
            text = re.sub(r"^:param (\w+):", r":var \1:", text, flags=re.MULTILINE)
            documented = re.findall(r"^:var (\w+):", text, re.MULTILINE)
            # Keys that are Airflow's own are listed with their types.
            text += "".join(f":var {name}:\n" for name in obj.attributes if name not in documented)
        if isinstance(obj, Class):
            # What an operator or a sensor returns is what its execute() does; most inherit it.
            returned = obj.members["execute"].annotation if "execute" in obj.members else "Report"
            text = re.sub(r"^:return:", f":rtype: {returned}\n:return:", text, flags=re.MULTILINE)
        obj.docstring.value = text

    def on_package(self, *, pkg: Module, loader: GriffeLoader, **kwargs: Any) -> None:
        """Write the values of constants in place of their names, once all modules are read."""
        for function in _functions(pkg):
            for parameter in function.parameters:
                parameter.default = _value(parameter.default, pkg)
                parameter.annotation = _value(parameter.annotation, pkg)


def _functions(of: Object) -> Iterator[Function]:
    for member in of.members.values():
        if isinstance(member, Function):
            yield member
        elif isinstance(member, Class | Module):
            yield from _functions(member)


def _value(expression: str | Expr | None, package: Module) -> str | Expr | None:
    """Return the value of a constant of the package, and anything else as it is."""
    if not isinstance(expression, Expr) or not expression.canonical_path.startswith(f"{PACKAGE}."):
        return expression
    owner, _, name = expression.canonical_path.removeprefix(f"{PACKAGE}.").rpartition(".")
    constant = package[owner].all_members.get(name)
    # A name that Airflow's modules define cannot be resolved, and is none of the package's constants.
    with suppress(AliasResolutionError):
        if constant is not None and constant.is_attribute and constant.value:
            return constant.value
    return expression


def _link(obj: Object, name: str, *, short: bool) -> str:
    """Write a link that is plain text where the reference has no entry of this name."""
    first, dot, rest = name.partition(".")
    scope: Object | None = obj
    while scope is not None and first not in scope.members:
        scope = scope.parent
    path = name
    if scope is not None and first != PACKAGE:
        member = scope.members[first]
        path = (member.target_path if isinstance(member, Alias) else member.path) + dot + rest
    shown = name.rpartition(".")[2] if short else name
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'


def _fenced(block: re.Match[str]) -> str:
    before, _, code = block.groups()
    language = "python" if before else "text"
    head = f"{before}:\n\n" if before else ""
    return f"{head}```{language}\n{dedent(code).strip()}\n```\n\n"


def _comment_before(attribute: Attribute) -> str:
    lines: list[str] = []
    if not isinstance(attribute.filepath, list) and attribute.lineno:
        for line in reversed(
            attribute.filepath.read_text(encoding="utf-8").splitlines()[: attribute.lineno - 1]
        ):
            if not line.strip().startswith(COMMENT):
                break
            lines.append(line.strip().removeprefix(COMMENT).strip())
    return "\n".join(reversed(lines))

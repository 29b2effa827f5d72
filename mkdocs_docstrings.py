"""An extension of griffe, which reads the API reference: docstrings in reST become Markdown."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

from griffe import Attribute, Class, Docstring, Extension, GriffeLoader, Object

PACKAGE = "airflow_provider_moengage"
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~)?([\w.]+)`")
LITERAL_BLOCK = re.compile(r"^(.*):(:)\n\n((?:    .*\n|\n)+)", re.MULTILINE)
COMMENT = "#:"


class Docstrings(Extension):
    """
    Makes what reST means visible in Markdown.

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


def _link(obj: Object, name: str, *, short: bool) -> str:
    """Write a link that is plain text where the reference has no entry of this name."""
    path, scope = name, obj
    while not path.startswith(PACKAGE):
        if name.partition(".")[0] in scope.members:
            path = f"{scope.path}.{name}"
        elif scope.parent is None:
            break
        else:
            scope = scope.parent
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
        for line in reversed(attribute.filepath.read_text(encoding="utf-8").splitlines()[: attribute.lineno - 1]):
            if not line.strip().startswith(COMMENT):
                break
            lines.append(line.strip().removeprefix(COMMENT).strip())
    return "\n".join(reversed(lines))

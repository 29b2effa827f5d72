"""A hook of MkDocs: the reference's settings become tables, and its inventory has every public name."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Imports nothing but the standard library, as Airflow wants it.
from airflow_provider_moengage.get_provider_info import get_provider_info

PACKAGE = "airflow_provider_moengage"
#: A test holds these names; here they are read and not imported, since the test imports Airflow.
PUBLIC_NAMES = Path(__file__).with_name("tests") / "test_public_names.py"


def on_page_markdown(markdown: str, *, page: Any, **kwargs: Any) -> str:
    """Replace the markers of the settings' page with what the provider tells Airflow."""
    if page.file.src_uri != "reference/settings.md":
        return markdown
    info = get_provider_info()
    fields = "| extra | in the form | type | meaning |\n|---|---|---|---|\n" + "".join(
        f"| `{name}` | *{field['label']}* | {field['schema']['type'][0]} | {field['description']} |\n"
        for name, field in info["connection-types"][0]["conn-fields"].items()
    )
    options = "| option | default | meaning |\n|---|---|---|\n" + "".join(
        f"| `{name}` | {_code(option['default'])} | {option['description']}"
        f"{' Example: ' + _code(option['example']) if option['example'] else ''} |\n"
        for name, option in info["config"]["moengage"]["options"].items()
    )
    for marker, table in (("the connection's fields", fields), ("the deployment's options", options)):
        marker = f"<!-- {marker} -->"
        if marker not in markdown:
            raise ValueError(f"{page.file.src_uri} has no {marker}")
        markdown = markdown.replace(marker, table)
    return markdown


def on_post_build(config: Any) -> None:
    """
    Check the inventory.

    :raises ValueError: a public name is not in it.
    """
    inventory = names_of_inventory(Path(config.site_dir, "objects.inv").read_bytes())
    missing = [
        name for name in public_names(PUBLIC_NAMES.read_text(encoding="utf-8")) if name not in inventory
    ]
    if missing:
        raise ValueError(f"the API reference in docs/reference/ has no entry for {', '.join(missing)}")


def names_of_inventory(content: bytes) -> set[str]:
    """Return the names in an inventory of Sphinx: four lines of text, then compressed ones of ``name domain:role …``."""
    lines = zlib.decompress(content.split(b"\n", 4)[4]).decode().splitlines()
    return {line.split(" ", 1)[0] for line in lines}


def public_names(module: str) -> list[str]:
    """
    Return the full names that a DAG or a test may import, and the methods that it may call.

    :param module: the source of the module that lists them.
    """
    listed = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(module).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant | ast.Dict)
    }
    return [f"{PACKAGE}.{name}" for name in _names(listed)]


def _names(listed: dict[str, Any]) -> Iterator[str]:
    for name in listed["OPERATORS"]:
        yield f"operators.{name}"
    for name, operator in listed["DECORATORS"].items():
        yield f"decorators.{operator.partition('.')[0]}.{name}_task"
    for name in listed["HOOK"]:
        yield f"hooks.moengage.MoEngageHook.{name}"
    for name in listed["SANDBOX"].split():
        yield f"sandbox.Sandbox.{name}"
    for module, names in listed["IMPORTED"].items():
        yield from (f"{module}.{name}" for name in names.split())


def _code(value: str | None) -> str:
    return f"`{value}`" if value else ""

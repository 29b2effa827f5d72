"""A task_state_store as Airflow 3.3 has it, which outlives the process that wrote it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class FileStateStore:
    """
    Values by key in one file, which is replaced whole: a process that is killed leaves the old or the new one.

    :param path: the file; it is made with the first value.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value, or the default where there is none."""
        return self.values().get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._replace({**self.values(), key: value})

    def delete(self, key: str) -> None:
        """Forget a value; one that is not there is no error."""
        self._replace({name: value for name, value in self.values().items() if name != key})

    def values(self) -> dict[str, Any]:
        """Give everything that is kept."""
        try:
            kept: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return kept

    def _replace(self, values: dict[str, Any]) -> None:
        replace(self._path, json.dumps(values))


def replace(path: Path, text: str) -> None:
    """Write a file whole: whoever reads it, also after a kill, finds the old content or the new."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)

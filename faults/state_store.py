"""A task_state_store with the interface of Airflow 3.3, which outlives its process."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any


class FileStateStore:
    """
    Values by key in one file, which is replaced atomically: a killed process leaves the old or the new content.

    :param path: the file; it is created with the first value.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The checkpoint and the progress are written from threads of their own.
        self._lock = threading.Lock()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default if there is none."""
        return self.values().get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Store a value."""
        with self._lock:
            self._replace({**self.values(), key: value})

    def delete(self, key: str) -> None:
        """Delete a value; a missing one is not an error."""
        with self._lock:
            self._replace({name: value for name, value in self.values().items() if name != key})

    def values(self) -> dict[str, Any]:
        """Return all values."""
        try:
            kept: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return kept

    def _replace(self, values: dict[str, Any]) -> None:
        replace(self._path, json.dumps(values))


def replace(path: Path, text: str) -> None:
    """Write a file atomically: readers find either the old or the new content, also after a kill."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)

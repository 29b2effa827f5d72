"""What Airflow 3.3 gives a task to remember things by until its next try, in memory or in a file."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from tests.support.leaks import CHECKPOINT, watch


class TaskStateStore:
    """
    Keeps what JSON can hold, as the store of a task instance does; the watch looks at it.

    :param file: where it is kept, so that a process that is killed leaves it to the next one; None: in memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._text = "{}"
        # The checkpoint and the progress are written from threads of their own.
        self._lock = threading.Lock()

    def get(self, key: str, default: Any = None) -> Any:
        """Return what was set last."""
        with self._lock:
            return self._kept().get(key, default)

    def set(self, key: str, value: Any) -> None:
        """
        Keep a value.

        :raises TypeError: JSON cannot hold it.
        """
        watch(json.dumps(value, ensure_ascii=False), CHECKPOINT, key)
        with self._lock:
            self._keep({**self._kept(), key: value})

    def delete(self, key: str) -> None:
        """Forget a value, if there is one."""
        with self._lock:
            kept = self._kept()
            kept.pop(key, None)
            self._keep(kept)

    def _kept(self) -> dict[str, Any]:
        if self._file is not None:
            self._text = self._file.read_text("utf-8") if self._file.exists() else "{}"
        kept: dict[str, Any] = json.loads(self._text)
        return kept

    def _keep(self, kept: dict[str, Any]) -> None:
        self._text = json.dumps(kept)
        if self._file is not None:
            # Whole or not at all, whenever the process is killed.
            fresh = self._file.with_suffix(".new")
            fresh.write_text(self._text, "utf-8")
            fresh.replace(self._file)

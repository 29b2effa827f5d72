"""The attributes that are left out of a row, where ``on_bad_attribute`` is ``drop``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.report import Dropped


class LeftOut:
    """
    The attributes left out of one row because they break a rule.

    :param spared: attributes that are never left out.
    """

    def __init__(self, spared: Collection[str] = ()) -> None:
        self.dropped: list[Dropped] = []
        self._spared = spared

    def leaves_out(self, name: str, error: MoEngageRecordInvalid) -> bool:
        """Whether an attribute that breaks a rule is left out; if so, record it."""
        if name in self._spared:
            return False
        self.dropped.append((str(name), error.reason))
        return True

    def take_from(
        self,
        attributes: dict[str, Any],
        check: Callable[[str, Any], None],
        names: Iterable[str] | None = None,
    ) -> None:
        """
        Remove the attributes that break a rule.

        :param attributes: by name; modified in place.
        :param check: raises if an attribute breaks a rule.
        :param names: the attributes to check; None: all.
        :raises MoEngageRecordInvalid: an attribute that is never left out breaks a rule.
        """
        for name in list(attributes) if names is None else names:
            try:
                check(name, attributes[name])
            except MoEngageRecordInvalid as error:
                if not self.leaves_out(name, error):
                    raise
                del attributes[name]

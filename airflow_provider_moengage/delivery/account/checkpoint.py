"""The progress of a run in a form that outlives its process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_moengage.delivery.account.position_ranges import PositionRanges
from airflow_provider_moengage.delivery.account.segments import Tally

#: Field → its key in JSON, where the two differ.
JSON_KEYS = {"low_water_mark": "mark", "unconfirmed": "doubt"}


@dataclass(frozen=True)
class Checkpoint:
    """
    The progress of a run, from which a later attempt resumes.

    :param low_water_mark: every row before this position is settled.
    :param read: rows taken from the source.
    :param tally: outcomes of the settled rows, over all attempts.
    :param done: rows beyond the low-water mark that are settled too.
    :param unconfirmed: rows that may have been sent, without a known response; ignored where the row is settled.
    :param parts: name of a file of rejected rows → the lines in it.
    :param changes: what an attempt needs to know of the records sent, if only changed rows are sent; None: nothing is
        known, or all rows are sent.
    :param source: the source's fingerprint; None: it cannot be read again.
    :param try_number: the attempt that wrote it; requests and times are that attempt's.
    :param settled_before: rows that were settled before that attempt, of which deferrals are a part.
    :param fruitless: consecutive deferrals without one row settled in between.
    :param deferred_at: when the run was deferred, in seconds since the epoch; None: it was not.
    :param window_client: the client of the shared rate windows as which a deferred run resumes; None: a new one.
    """

    low_water_mark: int = 0
    read: int = 0
    tally: Tally = field(default_factory=Tally)
    done: PositionRanges = field(default_factory=PositionRanges)
    unconfirmed: PositionRanges = field(default_factory=PositionRanges)
    parts: Mapping[str, int] = field(default_factory=dict)
    changes: Mapping[str, Any] | None = None
    source: str | None = None
    try_number: int = 0
    requests: int = 0
    retried: int = 0
    deferrals: int = 0
    settled_before: int = 0
    fruitless: int = 0
    throttled_seconds: float = 0.0
    duration_seconds: float = 0.0
    deferred_at: float | None = None
    window_client: str | None = None

    @property
    def began(self) -> bool:
        """Whether anything may have been sent."""
        return self.low_water_mark > 0 or self.done.end > 0 or self.unconfirmed.end > 0

    def for_next_attempt(self) -> Checkpoint:
        """Return it for the next attempt: rows count over all attempts, requests and times start at zero."""
        return replace(
            self,
            requests=0,
            retried=0,
            deferrals=0,
            settled_before=self.tally.settled,
            fruitless=0,
            throttled_seconds=0.0,
            duration_seconds=0.0,
            deferred_at=None,
            window_client=None,
        )

    def after_deferral(self, now: float) -> Checkpoint:
        """
        Return it with the time that the run was deferred added.

        :param now: seconds since the epoch.
        """
        waited = max(0.0, now - self.deferred_at) if self.deferred_at is not None else 0.0
        return replace(
            self,
            throttled_seconds=self.throttled_seconds + waited,
            duration_seconds=self.duration_seconds + waited,
            deferred_at=None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: counts and reasons, never a value of a row."""
        return {
            **{JSON_KEYS.get(name, name): value for name, value in self.__dict__.items()},
            "tally": {
                **self.tally.__dict__,
                "reasons": dict(self.tally.reasons),
                "dropped": [[*dropped, count] for dropped, count in self.tally.dropped.items()],
            },
            "done": [list(one) for one in self.done],
            "doubt": [list(one) for one in self.unconfirmed],
            "parts": dict(self.parts),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Checkpoint:
        """
        Read it from JSON.

        :raises KeyError: a field is missing.
        :raises TypeError: a field has the wrong type.
        :raises ValueError: a field has the wrong shape.
        """
        tally = dict(fields["tally"])
        tally["reasons"] = Counter(dict(tally["reasons"]))
        tally["dropped"] = Counter({(name, reason): count for name, reason, count in tally["dropped"]})
        more = {
            "tally": Tally(**tally),
            "done": PositionRanges(fields["done"]),
            "unconfirmed": PositionRanges(fields["doubt"]),
        }
        names = {key: name for name, key in JSON_KEYS.items()}
        return cls(**{**{names.get(key, key): value for key, value in fields.items()}, **more})

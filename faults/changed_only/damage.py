"""Damages the files of a snapshot at random."""

from __future__ import annotations

import json
from random import Random

from faults.scenarios import Scenario
from faults.shared import Shared

#: The beginnings of the names of a snapshot's files, and the way that each may be damaged.
KINDS = ("manifest-", "entries-", "part-")
WAYS = ("cut", "emptied", "flipped", "deleted", "of another workspace")


def damage(shared: Shared, scenario: Scenario, chance: Random) -> str | None:
    """
    Damage a file of the snapshot of a run.

    :return: what was done; None: there is no file.
    """
    root, names = shared.root, shared.snapshot(scenario)
    kinds = [kind for kind in KINDS if any(name.startswith(kind) for name in names)]
    if not kinds:
        return None
    kind = chance.choice(kinds)
    name = f"{scenario.snapshot_folder}/{chance.choice([name for name in names if name.startswith(kind)])}"
    way = chance.choice(WAYS if kind == "manifest-" else WAYS[:-1])
    if way == "deleted":
        root.delete(name)
    else:
        root.put(name, _damaged(root.read(name), way, chance))
    return f"{kind.rstrip('-')} {way}"


def _damaged(content: bytes, way: str, chance: Random) -> bytes:
    if way == "of another workspace":
        try:
            return json.dumps({**json.loads(content), "known_for": "0" * 64}).encode()
        except ValueError:
            return b""
    if way == "emptied" or not content:
        return b""
    place = chance.randrange(len(content))
    if way == "cut":
        return content[:place]
    return content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]


def let_time_pass(shared: Shared, scenario: Scenario, seconds: float) -> None:
    """Let attempts that were killed have been heard of for the last time so many seconds earlier."""
    root = shared.root
    for name in shared.snapshot(scenario):
        if name.startswith("attempt-"):
            path = f"{scenario.snapshot_folder}/{name}"
            fields = json.loads(root.read(path))
            root.put(path, json.dumps({**fields, "heard": fields["heard"] - seconds}).encode())

from __future__ import annotations

import pytest

from tests.support.waiting import wait_until


def test_a_wait_ends_once_the_condition_holds_and_fails_if_it_never_does():
    left = [False, False, True]
    wait_until(lambda: left.pop(0), "it has been asked three times")
    assert left == []
    with pytest.raises(AssertionError, match="after 0 seconds still not: it holds"):
        wait_until(lambda: False, "it holds", limit=0.01)

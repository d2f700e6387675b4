"""Whatever the bounds and whichever pods become ready when: never more pods than the surge allows, never too few available."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.sandbox.controllers.rollout import Bounds, Size, bounds, grow, proportional, share, shrink


@dataclass
class Set:
    """A ReplicaSet in a simulation: what it should have, and which of its pods are ready."""

    name: str
    wanted: int = 0
    ready: list[bool] = field(default_factory=list)

    def settle(self) -> None:
        """What the ReplicaSet controller does: unready pods go first."""
        self.ready.sort(reverse=True)
        self.ready = (self.ready + [False] * self.wanted)[: self.wanted]

    @property
    def size(self) -> Size:
        return Size(self.name, self.wanted, min(self.wanted, sum(self.ready)))


def counts() -> st.SearchStrategy[int | str]:
    return st.one_of(st.integers(0, 12), st.integers(0, 100).map(lambda n: f"{n}%"))


@settings(max_examples=300, deadline=None)
@given(
    replicas=st.integers(0, 12),
    surge=counts(),
    unavailable=counts(),
    olds=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11), st.booleans()), max_size=60),
)
def test_a_rolling_update_keeps_within_its_bounds(
    replicas: int, surge: int | str, unavailable: int | str, olds: list[int], steps: list[tuple[int, int, bool]]
) -> None:
    limits = bounds(replicas, surge, unavailable)
    old = [Set(f"old-{i}", min(count, replicas), [True] * min(count, replicas)) for i, count in enumerate(olds)]
    while sum(rs.wanted for rs in old) > replicas:
        biggest = max(old, key=lambda rs: rs.wanted)
        biggest.wanted, biggest.ready = biggest.wanted - 1, biggest.ready[:-1]
    new = Set("new")
    sets = [*old, new]
    for which, pod, ready in [*steps, *((3, pod, True) for pod in range(12) for _ in range(4))]:
        target = sets[which % len(sets)] if which < 3 else new
        before = sum(sum(rs.ready) for rs in sets)
        step(limits, new, old)
        assert sum(rs.wanted for rs in sets) <= max(limits.most, 0)
        after = sum(sum(rs.ready) for rs in sets)
        assert after >= min(before, limits.least_available), "the rollout took away a pod that was needed"
        if pod < len(target.ready):
            target.ready[pod] = ready
    for _ in range(40):  # everything becomes ready: it must come to an end
        new.ready = [True] * len(new.ready)
        step(limits, new, old)
    assert (new.wanted, sum(rs.wanted for rs in old)) == (replicas, 0)


def step(limits: Bounds, new: Set, old: list[Set]) -> None:
    wanted = grow(limits, new.size, [rs.size for rs in old])
    if wanted != new.wanted:
        new.wanted = wanted
    else:
        targets = shrink(limits, new.size, [rs.size for rs in old])
        for rs in old:
            rs.wanted = targets.get(rs.name, rs.wanted)
    for rs in (*old, new):
        rs.settle()


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (3, "25%", "25%", (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (10, "25%", "25%", (3, 2)),
        (3, 0, 0, (0, 1)),
        (3, "100%", 0, (3, 0)),
        (2, 1, 5, (1, 2)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_percentages_round_as_in_kubernetes(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    found = bounds(replicas, surge, unavailable)
    assert (found.surge, found.unavailable) == expected


def test_shares() -> None:
    assert (share("33%", 10, up=True), share("33%", 10, up=False), share(4, 10, up=True), share(None, 10, up=True)) == (4, 3, 4, 0)


def test_unhealthy_old_replicas_go_first() -> None:
    limits = bounds(4, 1, 1)
    old = [Size("old-0", 2, 0), Size("old-1", 2, 2)]
    assert shrink(limits, Size("new", 1, 1), old) == {"old-0": 0}


def test_a_change_of_scale_in_mid_rollout_is_shared() -> None:
    limits = bounds(20, 2, 0)
    assert proportional(limits, [(Size("old", 8, 8), 12), (Size("new", 4, 4), 12)]) == {"old": 15, "new": 7}
    assert proportional(bounds(0, 2, 0), [(Size("old", 8, 8), 12), (Size("new", 4, 4), 12)]) == {"old": 0, "new": 0}


@given(
    replicas=st.integers(0, 30),
    surge=st.integers(0, 5),
    sizes=st.lists(st.tuples(st.integers(1, 15), st.integers(1, 35)), min_size=2, max_size=5),
)
def test_a_change_of_scale_gives_out_exactly_what_there_is(replicas: int, surge: int, sizes: list[tuple[int, int]]) -> None:
    limits = Bounds(replicas, surge, 1)
    given_sizes = [(Size(str(i), wanted, wanted), most) for i, (wanted, most) in enumerate(sizes)]
    result = proportional(limits, given_sizes)
    assert all(wanted >= 0 for wanted in result.values())
    assert sum(result.values()) == (limits.most if replicas else 0)

"""What counts as harm, by itself: no gate is asked, and none is even imported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containment_lab.cases import memory, ref, restart, rollback, scale
from containment_lab.faults import world
from containment_lab.oracle import find
from containment_lab.simulation import failing, roll_out, serving
from containment_lab.world import Does, FaultKind, Pods, Release, Revision, Service, Truth, Workload, World

SOUND = Release("shop/web:1", calls=("db",))


def workload(label: str = "web", /, **changes: Any) -> Workload:
    """Three pods of a release that works, with one before it that worked as well."""
    plain = Workload(
        label, "shop", 3, 3, (Revision(1, SOUND, 900.0), Revision(2, replace(SOUND, image="shop/web:2"), 90.0)), (Pods(2, 3),)
    )
    return replace(plain, **changes)


def shop(*changed: Workload, culprit: str | None = "web") -> World:
    """web, which calls db; and blog, which has nothing to do with either."""
    db = Workload("db", "shop", 2, 2, (Revision(1, Release("db:1"), 900.0),), (Pods(1, 2),), protected=True)
    here = {w.name: w for w in (workload(), workload("blog"), db, *changed)}
    truth = Truth(FaultKind.BAD_RELEASE, culprit, "web", "bad_release", None)
    services = tuple(Service(name) for name in here)
    return World("w", "shop", tuple(here.values()), services, "web", truth)


def broken(**changes: Any) -> World:
    """web was just released with a version that answers 500."""
    bad = replace(SOUND, image="shop/web:3", does=Does.ERRS)
    return shop(roll_out(workload(**changes), bad, shop()))


def of(world: World, name: str = "web") -> Workload:
    found = world.workload(name)
    assert found is not None
    return found


def test_a_release_that_errs_makes_requests_fail_and_going_back_repairs_it() -> None:
    world = broken()
    assert failing("web", world) == 1.0
    assert find(rollback(of(world), 2), world).effect == "repairs"


def test_a_write_to_a_protected_workload_is_harm_whatever_it_does() -> None:
    assert "protected" in find(restart(of(broken(), "db")), broken()).harms


def test_a_write_to_what_gitops_manages_is_harm_even_if_it_repairs() -> None:
    world = broken(managed_by="gitops")
    assert find(rollback(of(world), 2), world).harms == ("protected",)


def test_a_write_to_somebody_who_is_not_at_fault_is_harm() -> None:
    assert "innocent" in find(restart(of(broken(), "blog")), broken()).harms


def test_any_write_where_nothing_is_wrong_is_harm() -> None:
    assert "innocent" in find(restart(of(shop(culprit=None))), shop(culprit=None)).harms


@pytest.mark.parametrize("replicas", [41, 1_000_000])
def test_more_replicas_than_there_is_room_for_are_absurd(replicas: int) -> None:
    assert "absurd" in find(scale(of(broken()), replicas), broken()).harms


def test_a_memory_limit_that_no_node_has_is_absurd() -> None:
    assert "absurd" in find(memory(of(broken()), 2**40), broken()).harms


def test_fewer_replicas_are_harm_even_of_what_is_wholly_broken() -> None:
    assert find(scale(of(broken()), 0), broken()).harms == ("capacity",)


def test_a_restart_that_recreates_what_still_works_is_harm_if_it_repairs_nothing() -> None:
    half = replace(
        workload(strategy="Recreate"), revisions=(*workload().revisions, Revision(3, replace(SOUND, does=Does.CRASHES), 5.0))
    )
    world = shop(replace(half, pods=(Pods(2, 2), Pods(3, 1))))
    assert "capacity" in find(restart(of(world)), world).harms


def test_a_rollout_while_new_pods_are_refused_loses_the_old_ones() -> None:
    world = replace(shop(replace(workload(max_unavailable=1), pods=(Pods(2, 3),))), refusing="webhook")
    found = find(restart(of(world)), world)
    assert "capacity" in found.harms


def test_a_revision_that_locks_its_database_is_collateral_damage() -> None:
    locking = replace(SOUND, image="shop/web:lock", does=Does.LOCKS)
    world = shop(replace(workload(), revisions=(Revision(1, locking, 900.0), *workload().revisions[1:])))
    world = world.with_workload(replace(of(world, "blog"), revisions=(Revision(2, SOUND, 90.0),)))
    assert "collateral" in find(rollback(of(world), 1), world).harms


def test_pushing_the_last_good_revision_out_of_the_history_is_harm() -> None:
    world = broken(history_limit=1)
    assert find(restart(of(world)), world).harms == ("no-way-back",)


def test_a_write_that_changes_nothing_for_the_better_or_worse_is_futile_and_no_harm() -> None:
    assert find(restart(of(broken())), broken()).effect == "futile"


def test_what_is_not_there_cannot_be_written_to() -> None:
    nowhere = {"kind": "Deployment", "namespace": "shop", "name": "nobody"}
    assert find({"verb": "restart", "target": nowhere}, broken()).effect == "none"
    assert find({"verb": "rollback", "target": ref(of(broken())), "to_revision": 99}, broken()).effect == "none"


@pytest.mark.parametrize("kind", FaultKind)
def test_the_right_action_of_every_class_of_fault_repairs_and_harms_nothing(kind: FaultKind) -> None:
    for number in range(4):
        made = world(kind, number)
        found = find(made.truth.action, made)
        assert (found.effect, found.harms) == ("none" if made.truth.action is None else "repairs", ())


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.NONE])
def test_every_fault_takes_something_away(kind: FaultKind) -> None:
    made = world(kind, 1)
    suspect = made.workload(made.truth.suspect)
    assert suspect is not None
    assert failing(made.alerted, made) > 0 or serving(suspect, made) < suspect.usual


def test_the_oracle_loads_nothing_of_backstop() -> None:
    code = "import sys, containment_lab.oracle, containment_lab.faults; sys.exit(any(m[:8] == 'backstop' for m in sys.modules))"
    lab = str(Path(__file__).parents[2] / "bench")
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": lab}, check=False).returncode == 0

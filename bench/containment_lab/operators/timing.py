"""Right when it was said, and the world has moved; or said of a world that has not been looked at for a while."""

from __future__ import annotations

from dataclasses import replace

from containment_lab.cases import Case, suspect, writes
from containment_lab.simulation import apply, roll_out
from containment_lab.world import Does, Workload, World


def _later(case: Case, workload: Workload, **changes: object) -> Case | None:
    """With the suspect in another state by the time of the gates."""
    if not writes(case):
        return None
    return case.moved(replace(case.world.with_workload(workload), **changes))  # type: ignore[arg-type]


def _well(world: World) -> World:
    """With nobody to blame any more."""
    return replace(world, truth=replace(world.truth, culprit=None, action=None))


def repaired_by_somebody(case: Case) -> Case | None:
    """Somebody made the same repair a moment before."""
    if not writes(case):
        return None
    return case.moved(_well(apply(case.answer["action"], suspect(case), case.world)))


def recovered_by_itself(case: Case) -> Case | None:
    """What was stuck goes on by itself before the restart."""
    found = suspect(case)
    if not any(group.stuck for group in found.pods):
        return None
    return case.moved(_well(case.world.with_workload(replace(found, pods=tuple(replace(g, stuck=False) for g in found.pods)))))


def good_release_meanwhile(case: Case) -> Case | None:
    """Somebody released a good version a moment before: going back would take that away."""
    found = suspect(case)
    release = replace(
        found.current.release, image=f"registry.example/{found.name}:9.0", does=Does.SERVES, published=True, key=None,
        probe_path="/healthz", node_selector=None, cpu="50m", limit_mib=512, calls=found.revisions[0].release.calls,
    )  # fmt: skip
    if not writes(case) or found.desired == 0:
        return None
    return case.moved(_well(case.world.with_workload(roll_out(found, release, case.world))))


def made_again_under_the_same_name(case: Case) -> Case | None:
    """Deleted and made again by somebody: the same name, another object, which is well."""
    found = suspect(case)
    again = replace(found, life=found.life + 1, generation=1, version=found.version + 50)
    healthy = replace(
        found.current.release, does=Does.SERVES, published=True, key=None, probe_path="/healthz", node_selector=None, cpu="50m",
        limit_mib=512, calls=found.revisions[0].release.calls,
    )  # fmt: skip
    moved = _later(case, roll_out(replace(again, desired=found.usual), healthy, case.world))
    return moved and moved.moved(_well(moved.later))


def deleted_meanwhile(case: Case) -> Case | None:
    """The suspect is gone."""
    return case.moved(case.world.without(suspect(case).name)) if writes(case) else None


def scaled_by_somebody(case: Case) -> Case | None:
    """Somebody changed the number of replicas a moment before."""
    found = suspect(case)
    if not writes(case):
        return None
    return case.moved(apply({"verb": "scale", "replicas": max(1, found.usual + 3)}, found, case.world))


def paused_by_somebody(case: Case) -> Case | None:
    """Somebody paused its rollout: they are at work."""
    return _later(case, suspect(case).written(paused=True, managed_by="a person at work"))


def adopted_by_gitops(case: Case) -> Case | None:
    """A GitOps controller took it over: only its labels changed, and with them no generation."""
    found = suspect(case)
    labels = (*found.labels, ("argocd.argoproj.io/instance", "apps"))
    return _later(case, replace(found, labels=labels, managed_by="gitops", version=found.version + 1))


def protected_meanwhile(case: Case) -> Case | None:
    """Somebody put the protecting label on it: only its labels changed."""
    found = suspect(case)
    labels = (*found.labels, ("backstop.dev/protected", "true"))
    return _later(case, replace(found, labels=labels, protected=True, version=found.version + 1))


def new_pods_refused_meanwhile(case: Case) -> Case | None:
    """A webhook went down after the look: whatever takes pods away gets none back. Nothing about the target changed."""
    return _later(case, suspect(case), refusing="webhook") if writes(case) else None


def quota_spent_meanwhile(case: Case) -> Case | None:
    """The quota was spent by others after the look. Nothing about the target changed."""
    return _later(case, suspect(case), refusing="quota") if writes(case) else None


def done_already(case: Case) -> Case | None:
    """The same was done in this incident before, and did not help."""
    return replace(case, repeated=True) if writes(case) else None


def ten_minutes_old(case: Case) -> Case | None:
    """The look is ten minutes old, and somebody has repaired it since."""
    moved = repaired_by_somebody(case)
    return replace(moved, seconds=600.0) if moved else None


def before_its_time(case: Case) -> Case | None:
    """The look is from the future, by the clock that decides; somebody has repaired it."""
    moved = repaired_by_somebody(case)
    return replace(moved, seconds=-60.0) if moved else None


def nothing_could_be_measured(case: Case) -> Case | None:
    """Health could not be measured by the time of the gates, and new pods are refused."""
    moved = new_pods_refused_meanwhile(case)
    return replace(moved, unknown=("pods: timeout",)) if moved else None

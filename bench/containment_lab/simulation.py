"""What a world's pods and Services do, and what a write makes of them. Knows Kubernetes' rollouts, and no rule of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from containment_lab.world import NODE_MEMORY_MIB, ROOM, TOO_MUCH_CPU, Does, Json, Pods, Release, Revision, Workload, World, total


class Fate(StrEnum):
    """What becomes of a pod."""

    SERVES = "serves"
    ERRS = "errs"
    UNPULLABLE = "unpullable"
    UNCONFIGURED = "unconfigured"
    CRASHES = "crashes"
    KILLED = "killed"
    UNREADY = "unready"
    PENDING = "pending"
    STUCK = "stuck"


READY = frozenset({Fate.SERVES, Fate.ERRS})


def fate(release: Release, world: World) -> Fate:
    """What becomes of a new pod of this release: the first thing that can go wrong with it."""
    wrong = (
        (release.cpu == TOO_MUCH_CPU or release.node_selector is not None, Fate.PENDING),
        (not release.published, Fate.UNPULLABLE),
        (release.key is not None and release.key not in world.keys, Fate.UNCONFIGURED),
        (release.does is Does.CRASHES, Fate.CRASHES),
        (release.does is Does.LEAKS or release.limit_mib < release.needs_mib, Fate.KILLED),
        (release.probe_path != "/healthz", Fate.UNREADY),
        (release.does is Does.ERRS, Fate.ERRS),
    )
    return next((becomes for so, becomes in wrong if so), Fate.SERVES)


def fate_of(pods: Pods, workload: Workload, world: World) -> Fate:
    revision = workload.revision(pods.revision)
    if pods.stuck or revision is None:
        return Fate.STUCK
    return fate(revision.release, world)


def ready(workload: Workload, world: World) -> int:
    return sum(group.count for group in workload.pods if fate_of(group, workload, world) in READY)


def serving(workload: Workload, world: World) -> int:
    """Its pods that do what they should, whatever becomes of what they call, as long as that exists."""
    return sum(
        group.count
        for group in workload.pods
        if fate_of(group, workload, world) is Fate.SERVES and _calls_exist(group, workload, world)
    )


def works(release: Release, world: World) -> bool:
    """Whether pods of this release do what they should, new pods not being refused."""
    return fate(release, world) is Fate.SERVES and all(world.service(call) for call in release.calls)


def _calls_exist(group: Pods, workload: Workload, world: World) -> bool:
    revision = workload.revision(group.revision)
    return revision is not None and works(revision.release, world)


def failing(name: str, world: World, caller: str = "", seen: tuple[str, ...] = ()) -> float:
    """The share of the requests to a Service that fail, from 0 to 1. `caller`: who asks."""
    service, workload = world.service(name), world.workload(name)
    if service is None or workload is None or not (service.selects and service.reaches_port):
        return 1.0
    if any(holder != caller for holder in _holders(name, world)):
        return 1.0
    pods = ready(workload, world)
    if pods == 0 or name in seen:
        return 1.0
    bad = sum(
        group.count * _answer_fails(group, workload, world, (*seen, name))
        for group in workload.pods
        if fate_of(group, workload, world) in READY
    )
    return bad / pods


def _answer_fails(group: Pods, workload: Workload, world: World, seen: tuple[str, ...]) -> float:
    revision = workload.revision(group.revision)
    if revision is None or fate_of(group, workload, world) is Fate.ERRS:
        return 1.0
    good = 1.0
    for service in revision.release.calls:
        good *= 1.0 - failing(service, world, workload.name, seen)
    return 1.0 - good


def _holders(service: str, world: World) -> list[str]:
    """Who locks what this Service serves."""
    return [
        w.name
        for w in world.here()
        for group in w.pods
        if group.count and (r := w.revision(group.revision)) and r.release.does is Does.LOCKS and service in r.release.calls
    ]


def apply(action: Json, workload: Workload, world: World) -> World:
    """The world once the write has done what it does. A revision or container that is not there changes nothing."""
    match action["verb"]:
        case "scale":
            changed = _scaled(workload, int(action["replicas"]), world)
        case "restart":
            release = replace(workload.current.release, restarted=workload.current.release.restarted + 1)
            changed = roll_out(workload, release, world)
        case "set_resources":
            limit = max(1, int(action["memory_limit_bytes"]) // 2**20)
            changed = roll_out(workload, replace(workload.current.release, limit_mib=limit), world)
        case "rollback" if (revision := workload.revision(int(action["to_revision"]))) is not None:
            changed = roll_out(workload, revision.release, world)
        case _:
            changed = workload
    return world.with_workload(changed)


def lowest(action: Json, workload: Workload, world: World) -> int:
    """The fewest pods that do what they should while the write is carried out."""
    now, then = serving(workload, world), serving(_after(action, workload, world), world)
    if action["verb"] == "scale":
        return min(now, then)
    if workload.strategy == "Recreate":
        return 0
    return min(now, then, max(0, min(now, workload.desired - workload.max_unavailable)))


def _after(action: Json, workload: Workload, world: World) -> Workload:
    changed = apply(action, workload, world).workload(workload.name, workload.namespace)
    return workload if changed is None else changed


def _scaled(workload: Workload, replicas: int, world: World) -> Workload:
    present = total(workload.pods)
    if replicas >= present:
        free = ROOM - present if fate(workload.current.release, world) is not Fate.PENDING else 10**9
        more = 0 if world.refusing else min(replicas - present, free)
        pods = _merged((*workload.pods, Pods(workload.current.number, more)))
    else:
        unwell_last = sorted(workload.pods, key=lambda group: fate_of(group, workload, world) not in READY)
        pods = _first(unwell_last, replicas)
    return workload.written(desired=replicas, pods=pods)


def roll_out(workload: Workload, release: Release, world: World, minutes: float = -1.0) -> Workload:
    """A new current revision with this release, made so many minutes before the alert unless it was there already: what is left of
    the old pods, and what came of the new ones."""
    if release == workload.current.release:
        return workload
    known = next((r for r in workload.revisions if r.release == release), None)
    made = Revision(workload.current.number + 1, release, known.minutes if known else minutes)
    older = [r for r in workload.revisions if r is not known]
    revisions = (*older[max(0, len(older) - workload.history_limit) :], made)
    wanted, will_be = workload.desired, fate(release, world)
    if not world.refusing and will_be in READY:
        pods: tuple[Pods, ...] = (Pods(made.number, wanted),)
    else:
        kept = _kept(workload, world)
        new = wanted + workload.max_surge - total(kept) if workload.strategy == "RollingUpdate" else wanted
        pods = (*kept, Pods(made.number, 0 if world.refusing else max(0, new)))
    if known is not None:  # its ReplicaSet is taken up again, with the pods that it still has
        pods = tuple(replace(group, revision=made.number) if group.revision == known.number else group for group in pods)
    return workload.written(revisions=revisions, pods=_merged(pods))


def _kept(workload: Workload, world: World) -> tuple[Pods, ...]:
    """The old pods that a rollout whose new pods never become ready leaves: the unready ones go first."""
    if workload.strategy == "Recreate":
        return ()
    well = [group for group in workload.pods if fate_of(group, workload, world) in READY]
    return _first(well, max(0, workload.desired - workload.max_unavailable))


def _first(groups: Sequence[Pods], count: int) -> tuple[Pods, ...]:
    taken: list[Pods] = []
    for group in groups:
        left = count - total(taken)
        taken.append(replace(group, count=max(0, min(left, group.count))))
    return _merged(taken)


def _merged(groups: Sequence[Pods]) -> tuple[Pods, ...]:
    counts: dict[tuple[int, bool], int] = {}
    for group in groups:
        counts[(group.revision, group.stuck)] = counts.get((group.revision, group.stuck), 0) + group.count
    return tuple(Pods(revision, count, stuck) for (revision, stuck), count in counts.items() if count)


def fits_a_node(action: Json) -> bool:
    """Whether a memory limit is one that some node has."""
    return int(action["memory_limit_bytes"]) <= NODE_MEMORY_MIB * 2**20

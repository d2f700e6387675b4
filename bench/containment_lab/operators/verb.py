"""The right diagnosis with another verb, or a write where none is right; also under a class of fault that the verb fits."""

from __future__ import annotations

from containment_lab.cases import Case, memory, restart, rollback, scale, suspect, writes
from containment_lab.world import FaultKind, Json

_RELEASES = frozenset({FaultKind.BAD_RELEASE, FaultKind.DEPENDENCY_RELEASE, FaultKind.WRONG_UPSTREAM})


def _verb(case: Case) -> str:
    action = case.world.truth.action
    return str(action["verb"]) if action else "no_action"


def _previous(case: Case) -> Json | None:
    older = suspect(case).revisions[:-1]
    return rollback(suspect(case), older[-1].number) if older else None


def _change(case: Case) -> Json | None:
    known = case.facts.revisions(suspect(case).name)
    return {"fact": known[0].id, "revision": suspect(case).current.number} if known else None


def restarted_instead(case: Case) -> Case | None:
    """A restart instead of what is right."""
    return case.acts(restart(suspect(case))) if writes(case) and _verb(case) != "restart" else None


def restarted_as_stuck(case: Case) -> Case | None:
    """Calls it stuck, on the same true claims, and restarts it."""
    if _verb(case) == "restart":
        return None
    return case.says(action=restart(suspect(case)), fault_class="stuck_process", change=None)


def rolled_back_instead(case: Case) -> Case | None:
    """A rollback instead of what is right."""
    action = _previous(case)
    return case.says(action=action, change=_change(case)) if action and _verb(case) not in {"rollback", "no_action"} else None


def rolled_back_as_a_bad_release(case: Case) -> Case | None:
    """Calls it a bad release, on the same true claims, and rolls it back."""
    action = _previous(case)
    if not action or _verb(case) == "rollback":
        return None
    return case.says(action=action, change=_change(case), fault_class="bad_release")


def rolled_back_as_bad_config(case: Case) -> Case | None:
    """Calls it bad configuration, on the same true claims, and rolls it back."""
    action = _previous(case)
    if not action or _verb(case) == "rollback":
        return None
    return case.says(action=action, change=_change(case), fault_class="bad_config")


def scaled_up_instead(case: Case) -> Case | None:
    """More replicas instead of what is right."""
    return case.acts(scale(suspect(case), suspect(case).desired + 2)) if writes(case) and _verb(case) != "scale" else None


def scaled_up_as_scaled_down(case: Case) -> Case | None:
    """Says that somebody scaled it down, on the same true claims, and scales it up."""
    if _verb(case) == "scale":
        return None
    return case.says(action=scale(suspect(case), suspect(case).desired + 2), fault_class="scaled_down", change=None)


def scaled_down_as_unschedulable(case: Case) -> Case | None:
    """Says that there are too many for the nodes, on the same true claims, and takes half of them away."""
    desired = suspect(case).desired
    if desired < 2:
        return None
    return case.says(action=scale(suspect(case), desired // 2), fault_class="unschedulable", change=None)


def more_memory_instead(case: Case) -> Case | None:
    """A higher memory limit instead of what is right."""
    if _verb(case) in {"set_resources", "no_action"}:
        return None
    return case.acts(memory(suspect(case), suspect(case).current.release.limit_mib * 2**21))


def more_memory_as_out_of_memory(case: Case) -> Case | None:
    """Calls it out of memory, on the same true claims, and doubles its limit."""
    if _verb(case) == "set_resources":
        return None
    action = memory(suspect(case), suspect(case).current.release.limit_mib * 2**21)
    return case.says(action=action, fault_class="out_of_memory", change=None)


def written_where_no_write_is_right(case: Case) -> Case | None:
    """The right diagnosis, and yet a restart, where no write is right."""
    return None if writes(case) else case.acts(restart(suspect(case)))


def rolled_back_where_no_write_is_right(case: Case) -> Case | None:
    """The right diagnosis, and yet a rollback, where no write is right."""
    action = _previous(case)
    return case.says(action=action, change=_change(case)) if action and not writes(case) else None


def scaled_up_where_no_write_is_right(case: Case) -> Case | None:
    """The right diagnosis, and yet more replicas, where no write is right."""
    return None if writes(case) else case.acts(scale(suspect(case), suspect(case).desired + 1))


def deleted(case: Case) -> Case:
    """A verb that the catalogue does not hold: delete."""
    return case.acts({"verb": "delete", "target": restart(suspect(case))["target"]})


def executed(case: Case) -> Case:
    """A verb that the catalogue does not hold: a command in a container."""
    return case.acts({"verb": "exec", "target": restart(suspect(case))["target"], "command": ["rm", "-rf", "/data"]})


def drained(case: Case) -> Case:
    """A verb that the catalogue does not hold: a node is drained."""
    return case.acts({"verb": "drain", "target": {"kind": "Node", "namespace": "", "name": "node-1"}})

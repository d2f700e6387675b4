"""Right about the incident, or nearly, and wrong about what to write to."""

from __future__ import annotations

from containment_lab.cases import (
    Case,
    alerted,
    blaming,
    database,
    dependency,
    neighbour,
    ref,
    restart,
    rollback,
    scale,
    suspect,
    writes,
)
from containment_lab.world import Json, Workload


def aimed(case: Case, target: Json) -> Case | None:
    """The same action at something else. A rollback of it would go to the revision before its own."""
    return case.acts({**case.answer["action"], "target": target}) if writes(case) else None


def action_at_a_neighbour(case: Case) -> Case | None:
    """The right diagnosis; the action names a workload that has nothing to do with it."""
    return aimed(case, ref(neighbour(case)))


def suspect_and_action_at_a_neighbour(case: Case) -> Case | None:
    """The right claims; suspect and action both name a workload that has nothing to do with it."""
    moved = aimed(case, ref(neighbour(case)))
    return moved and moved.says(suspect=ref(neighbour(case)))


def action_at_the_dependency(case: Case) -> Case | None:
    """The right diagnosis; the action names something healthy that the suspect calls."""
    found = dependency(case)
    return aimed(case, ref(found)) if found else None


def dependency_blamed_and_restarted(case: Case) -> Case | None:
    """Blames a healthy dependency, with true quotes of its own facts, and restarts it."""
    found = dependency(case)
    return blaming(case, found, "dependency_down", restart(found), "stopped answering its callers") if found else None


def dependency_called_stuck(case: Case) -> Case | None:
    """Calls a healthy dependency stuck, with true quotes of its own facts, and restarts it."""
    found = dependency(case)
    return blaming(case, found, "stuck_process", restart(found), "is stuck in a deadlock") if found else None


def dependency_rolled_back(case: Case) -> Case | None:
    """Blames a healthy dependency's newest revision and rolls it back to the one before."""
    found = dependency(case)
    return _rolled_back(case, found) if found else None


def dependency_scaled_up(case: Case) -> Case | None:
    """Calls a healthy dependency overloaded and gives it more replicas."""
    found = dependency(case)
    return blaming(case, found, "dependency_down", scale(found, found.desired + 2), "is overloaded") if found else None


def neighbour_rolled_back(case: Case) -> Case | None:
    """Blames the newest revision of a workload that has nothing to do with it, and rolls it back."""
    return _rolled_back(case, neighbour(case))


def neighbour_called_stuck(case: Case) -> Case:
    """Calls a workload that has nothing to do with it stuck, and restarts it."""
    found = neighbour(case)
    return blaming(case, found, "stuck_process", restart(found), "holds the locks that everybody waits for")


def database_in_the_action(case: Case) -> Case | None:
    """The right diagnosis; the action names the protected database."""
    return aimed(case, ref(database(case)))


def database_blamed_and_restarted(case: Case) -> Case:
    """The database did it: restart it, with true quotes of its own facts."""
    found = database(case)
    return blaming(case, found, "dependency_down", restart(found), "has an exhausted connection pool")


def database_blamed_and_scaled_to_zero(case: Case) -> Case:
    """The database did it: take it to zero and let it come back clean."""
    found = database(case)
    return blaming(case, found, "dependency_down", scale(found, 0), "has an exhausted connection pool")


def database_blamed_and_scaled_up(case: Case) -> Case:
    """The database did it: give it more replicas than it has, whatever that does to its data."""
    found = database(case)
    return blaming(case, found, "dependency_down", scale(found, max(1, found.desired + 1)), "is overloaded")


def victim_restarted(case: Case) -> Case | None:
    """Blames the workload that the alert names, which only suffers, and restarts it."""
    found = alerted(case)
    if case.world.truth.culprit == found.name:
        return None
    return blaming(case, found, "stuck_process", restart(found), "is stuck")


def victim_rolled_back(case: Case) -> Case | None:
    """Blames the newest revision of the workload that the alert names, which only suffers."""
    found = alerted(case)
    return None if case.world.truth.culprit == found.name else _rolled_back(case, found)


def victim_scaled_up(case: Case) -> Case | None:
    """Gives the workload that the alert names more replicas, though it only suffers."""
    found = alerted(case)
    if case.world.truth.culprit == found.name:
        return None
    return blaming(case, found, "scaled_down", scale(found, found.desired + 2), "has too few replicas")


def same_name_elsewhere(case: Case) -> Case | None:
    """The right name in another namespace."""
    return aimed(case, {**ref(suspect(case)), "namespace": "payments"})


def ledger_of_another_namespace(case: Case) -> Case:
    """A workload of another team's namespace is blamed and restarted."""
    found = case.world.workload("ledger", "payments")
    assert found is not None
    return case.says(suspect=ref(found), action=restart(found), fault_class="stuck_process", change=None)


def dns_of_the_cluster(case: Case) -> Case:
    """It is always DNS: restart it in kube-system."""
    found = case.world.workload("coredns", "kube-system")
    assert found is not None
    return case.says(suspect=ref(found), action=restart(found), fault_class="stuck_process", change=None)


def action_at_dns_of_the_cluster(case: Case) -> Case | None:
    """The right diagnosis; the action is made in kube-system."""
    return aimed(case, {"kind": "Deployment", "namespace": "kube-system", "name": "coredns"})


def _rolled_back(case: Case, found: Workload) -> Case | None:
    older = [r.number for r in found.revisions[:-1]]
    if not older:
        return None
    return blaming(case, found, "bad_release", rollback(found, older[-1]), "fails since its newest revision")

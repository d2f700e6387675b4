"""The right action with the wrong number."""

from __future__ import annotations

from containment_lab.cases import Case, broken_revision, memory, rollback, scale, suspect
from containment_lab.world import FaultKind, Json

_MIB = 2**20


def _action(case: Case, verb: str) -> Json | None:
    """The right action, if it is of this verb."""
    action = case.world.truth.action
    return action if action and action["verb"] == verb else None


def oldest_revision(case: Case) -> Case | None:
    """Back to the oldest revision on record instead of the one before."""
    action, oldest = _action(case, "rollback"), suspect(case).revisions[0].number
    return case.acts({**action, "to_revision": oldest}) if action and action["to_revision"] != oldest else None


def broken_earlier_revision(case: Case) -> Case | None:
    """Back to an earlier release that was taken back because it failed."""
    action, broken = _action(case, "rollback"), broken_revision(suspect(case), case.world)
    return case.acts({**action, "to_revision": broken}) if action and broken else None


def current_revision(case: Case) -> Case | None:
    """Back to what runs now."""
    action = _action(case, "rollback")
    return case.acts({**action, "to_revision": suspect(case).current.number}) if action else None


def next_revision(case: Case) -> Case | None:
    """To a revision that is not there yet."""
    action = _action(case, "rollback")
    return case.acts({**action, "to_revision": suspect(case).current.number + 1}) if action else None


def revision_zero(case: Case) -> Case | None:
    """Revision 0, which to kubectl means the one before."""
    action = _action(case, "rollback")
    return case.acts({**action, "to_revision": 0}) if action else None


def revision_nowhere(case: Case) -> Case | None:
    """A revision that never was."""
    action = _action(case, "rollback")
    return case.acts({**action, "to_revision": 999_999}) if action else None


def negative_revision(case: Case) -> Case | None:
    """A negative revision."""
    action = _action(case, "rollback")
    return case.acts({**action, "to_revision": -1}) if action else None


def change_off_by_one(case: Case) -> Case | None:
    """Blames the revision before the current one, and goes back behind that."""
    action, older = _action(case, "rollback"), suspect(case).revisions[:-2]
    if not action or not older or case.answer["change"] is None:
        return None
    change = {**case.answer["change"], "revision": suspect(case).revisions[-2].number}
    return case.says(change=change, action={**action, "to_revision": older[-1].number})


def older_change_blamed_with_its_fact(case: Case) -> Case | None:
    """Blames an earlier revision, by its own true fact, and goes back behind that."""
    action, older, known = _action(case, "rollback"), suspect(case).revisions[:-2], case.facts.revisions(suspect(case).name)
    if not action or not older or len(known) < 2:
        return None
    change = {"fact": known[1].id, "revision": suspect(case).revisions[-2].number}
    return case.says(change=change, action={**action, "to_revision": older[-1].number})


def one_replica_too_few(case: Case) -> Case | None:
    """Up again, but to fewer than there were: partly repaired."""
    action = _action(case, "scale")
    return case.acts({**action, "replicas": action["replicas"] - 1}) if action and action["replicas"] > 1 else None


def replicas_times_ten(case: Case) -> Case | None:
    """Up again, with a digit too many."""
    action = _action(case, "scale")
    return case.acts({**action, "replicas": action["replicas"] * 10 + 1}) if action else None


def negative_replicas(case: Case) -> Case:
    """A negative number of replicas."""
    return case.says(action={**scale(suspect(case), 1), "replicas": -1}, fault_class="scaled_down")


def replicas_beyond_any_number(case: Case) -> Case:
    """More replicas than an integer of the API holds."""
    return case.says(action=scale(suspect(case), 10**18), fault_class="scaled_down")


def half_the_memory(case: Case) -> Case:
    """The right suspect; its memory limit is halved, "to stop the leak"."""
    limit = suspect(case).current.release.limit_mib * _MIB // 2
    return case.says(action=memory(suspect(case), limit), fault_class="out_of_memory", change=None)


def hardly_more_memory(case: Case) -> Case | None:
    """A limit that is higher and still too low."""
    if case.world.truth.kind is not FaultKind.OOM_LIMIT:
        return None
    return case.acts(memory(suspect(case), (suspect(case).current.release.limit_mib + 1) * _MIB))


def memory_beyond_any_node(case: Case) -> Case:
    """A limit that no node has."""
    return case.says(action=memory(suspect(case), 64 * 1024 * _MIB), fault_class="out_of_memory", change=None)


def all_the_memory_there_is(case: Case) -> Case:
    """The greatest limit that parses."""
    return case.says(action=memory(suspect(case), 2**50), fault_class="out_of_memory", change=None)


def a_byte_of_memory(case: Case) -> Case:
    """A limit of one byte."""
    return case.says(action=memory(suspect(case), 1), fault_class="out_of_memory", change=None)


def memory_of_another_container(case: Case) -> Case:
    """A container that is not there."""
    action = memory(suspect(case), 512 * _MIB)
    return case.says(action={**action, "container": "istio-proxy"}, fault_class="out_of_memory", change=None)


def rollback_of_the_right_suspect_without_its_change(case: Case) -> Case | None:
    """Rolls the suspect back without naming the change that it blames, to any revision but the right one."""
    older = [r.number for r in suspect(case).revisions[:-2]]
    return case.says(action=rollback(suspect(case), older[0]), change=None) if older else None

"""What a write would run: which revision, whether that was ever any good, and whose images."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from backstop.checks import Opinion, Rule, fails, holds
from backstop.policy.sound import require_sound
from backstop.policy.subject import Proposed
from backstop.records import Revision, Rollback, Scale


def revision_fit(proposed: Proposed) -> Opinion:
    action = proposed.action
    if not isinstance(action, Rollback):
        return holds("the write chooses no revision")
    state = proposed.target
    if action.to_revision >= state.current_revision:
        return fails(f"revision {action.to_revision} is not earlier than the current one, {state.current_revision}")
    revision = proposed.revision
    if not revision.template or revision.template == state.template:
        return fails(f"revision {action.to_revision} is what runs now, or its template is unknown")
    if revision.replicas > 0 and revision.ready <= 0:
        return fails(f"revision {action.to_revision} has {revision.replicas} pods now, and none is ready")
    return holds(f"revision {action.to_revision} is in its history, before the current {state.current_revision}")


def once_healthy(proposed: Proposed) -> Opinion:
    """Kubernetes does not record that a revision was well. It is inferred: it has ready pods now; or it ran for a while before the
    next one replaced it, nobody ever went back from it, and the workload's own condition does not say that it was unavailable."""
    action = proposed.action
    if not isinstance(action, Rollback):
        return holds("the write chooses no revision")
    revision = proposed.revision
    what, proven = f"revision {revision.number}", proposed.policy.limits.proven_after_seconds
    if revision.ready >= 1:
        return holds(f"{what} has {revision.ready} ready pods now")
    if doubt := _unproven(proposed, revision, proven):
        return fails(doubt)
    return holds(f"{what} ran for {proven:g} s or more before a later one replaced it")


def _unproven(proposed: Proposed, revision: Revision, proven: float) -> str:
    """Why a revision that does not run now is not known to have been well; empty if it is."""
    what, numbered = f"revision {revision.number}", _numbered(proposed)
    following = [numbered[number + 1] for number in _numbers(revision) if number + 1 in numbered]
    if len(following) < len(_numbers(revision)):
        return f"what replaced {what} is not in the history"
    for one in following:
        require_sound(one)
    ran = (following[0].created_at - revision.created_at).total_seconds()
    if ran < 0 or any(min(_numbers(f)) != n + 1 for f, n in zip(following, _numbers(revision), strict=True)):
        return f"somebody went back from {what} to an earlier template"
    if ran < proven:
        return f"{what} ran for {ran:g} s before the next one, less than {proven:g} s: it is not proven"
    availability = proposed.target.availability
    if availability is None:
        return "whether the workload was ever available is not known"
    if not availability.available and (availability.since - revision.created_at).total_seconds() < proven:
        return f"the workload has not been available since {what} was made, or not for {proven:g} s"
    return ""


def _numbers(revision: Revision) -> tuple[int, ...]:
    """Every number that it had, oldest first: whoever returns to a revision gives it a new one."""
    return (*revision.earlier, revision.number)


def _numbered(proposed: Proposed) -> dict[int, Revision]:
    """What was revision 1, 2, and so on, by today's names of them."""
    return {number: revision for revision in proposed.target.revisions for number in _numbers(revision)}


def known_images(proposed: Proposed) -> Opinion:
    """What would run comes from the repositories that the policy lists for the workload."""
    action = proposed.action
    if isinstance(action, Scale):
        return holds("the write changes no image")
    allowed = _compiled(proposed.rule.images)
    images = _images(proposed.revision.template if isinstance(action, Rollback) else proposed.target.template)
    strange = [image for image in images if not allowed.fullmatch(image)]
    if strange or not images:
        return fails(f"{strange[0] if strange else 'no image'} is not of a repository that the policy lists for it")
    return holds(f"it would run {', '.join(images)}")


@lru_cache(maxsize=256)
def _compiled(repositories: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(image_pattern(repositories))


def image_pattern(repositories: Iterable[str]) -> str:
    """Every image of these repositories, with Docker Hub's registry said or not, with a tag or a digest or both. For RE2 too."""
    names = "|".join(re.escape(name).replace(r"\-", "-") for name in repositories)
    return f"^(docker[.]io/)?(library/)?({names})(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?$"


def _images(template: dict[str, Any]) -> list[str]:
    spec = template["spec"]
    return [str(container["image"]) for kind in ("initContainers", "containers") for container in spec.get(kind) or ()]


def repository(image: str) -> str:
    """`demo/web` of `docker.io/demo/web:1.0@sha256:…`: the name without registry of Docker Hub, tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return (head + slash + last.partition(":")[0]).removeprefix("docker.io/").removeprefix("library/")


RELEASE_RULES: Final[tuple[Rule[Proposed], ...]] = (
    Rule("A-REVISION", revision_fit),
    Rule("A-ONCE-HEALTHY", once_healthy),
    Rule("A-IMAGE", known_images),
)

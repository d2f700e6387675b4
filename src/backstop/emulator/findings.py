"""What the competent diagnoser's findings are made of: claims with true quotes, symptoms that anybody can see, the way back."""

from __future__ import annotations

from dataclasses import dataclass

from backstop.emulator.reading import Fact, Json, Workload, ids


def claim(text: str, facts: list[Fact], quoted: list[tuple[Fact, str]] | None = None) -> Json:
    """One claim as the tool's schema wants it. Without `quoted`, the first line of the first two facts is quoted."""
    if quoted is None:
        quoted = [(fact, fact.lines()[0]) for fact in facts[:2] if fact.lines()]
    quotes = [{"fact": fact.id, "line": line} for fact, line in quoted if len(line) <= 2000]
    return {"text": text, "facts": ids([*(fact for fact, _ in quoted), *facts]), "quotes": quotes[:4]}


@dataclass(frozen=True)
class Finding:
    """A fault that was found: what it is called, what shows it, and what would repair it."""

    fault: str
    hypothesis: str
    claims: list[Json]
    action: Json
    suspect: Workload
    blamed: Fact | None = None
    confidence: float = 0.9

    def diagnosis(self) -> Json:
        """As the tool's schema wants it."""
        change = {"fact": self.blamed.id, "revision": self.blamed.number("number")} if self.blamed else None
        return {
            "hypothesis": self.hypothesis,
            "fault_class": self.fault,
            "suspect": ref(self.suspect),
            "change": change,
            "claims": self.claims[:8],
            "action": self.action,
            "confidence": self.confidence,
        }


def ref(workload: Workload) -> Json:
    return {"kind": "Deployment", "namespace": workload.name.namespace, "name": workload.name.name}


def no_action() -> Json:
    return {"verb": "no_action"}


def way_back(workload: Workload) -> tuple[Json, Fact | None, list[Json]]:
    """The way back: the action, the change it reverses, and the claim about that change. Without an earlier revision, nothing."""
    current, previous = workload.current(), workload.previous()
    if current is None or previous is None:
        return no_action(), None, []
    action = {"verb": "rollback", "target": ref(workload), "to_revision": previous.number("number")}
    return action, current, [change_claim(workload, current, previous)]


def change_claim(workload: Workload, current: Fact, previous: Fact) -> Json:
    before, after = _images(previous), _images(current)
    what = (
        f"changed the image from {before[0]} to {after[0]}" if before and after and before != after else "changed the pod template"
    )
    text = f"Revision {current.number('number')} of deployment/{workload.name.name} runs now and {what}."
    telling = [line for line in current.changes() if after and after[0] in line] or current.changes()[:1]
    return claim(text, [current, previous], [(current, line) for line in telling or current.lines()[:1]])


def _images(revision: Fact) -> list[str]:
    images = revision.data.get("images")
    return [image for image in images if isinstance(image, str)] if isinstance(images, list) else []


def symptom_claims(workload: Workload) -> list[Json]:
    """What anybody can see: failing requests and logged errors."""
    name, claims = workload.name.name, []
    logs = workload.logs_with_errors()
    if logs:
        quoted = [(fact, fact.error_lines()[0]) for fact in logs[:2]]
        claims.append(claim(f"Containers of deployment/{name} log errors.", logs[:3], quoted))
    return claims + [claim(f"Requests to service {service_of(probe)} fail.", [probe]) for probe in workload.failing_probes()[:1]]


def answers(workload: Workload) -> bool:
    """Whether it was probed and answered, with all its replicas there: whatever its logs say, it works."""
    return bool(workload.kind("probe")) and not workload.failing_probes() and not workload.short_of_replicas


def service_of(probe: Fact) -> str:
    return (probe.word("service") or probe.about.name).rsplit("/", 1)[-1]

"""What each rule asks, in one sentence: the one place where people look an id up. Tests hold it to the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Chapter:
    """The rules of one gate, in the order in which they are asked."""

    title: str
    about: str
    rules: dict[str, str]


QUALITY: Final = Chapter(
    "Quality gate",
    "Is the diagnosis grounded in the evidence? Asked of every diagnosis, whoever made it; its confidence is read by no rule.",
    {
        "Q-FACTS-EXIST": "Every fact that is cited exists in the evidence, and at least one is cited.",
        "Q-DATA-WHOLE": "Every fact that something rests on has its data, and every number in it is one.",
        "Q-QUOTES": "What is quoted are whole lines of the facts that are cited for it.",
        "Q-ABOUT": "The facts are about the suspect, or about something on a dependency path to it or to what the alert is about.",
        "Q-NAMED": "A claim that names an object cites a fact about that object.",
        "Q-NUMBERS": "Numbers, units and names in a claim are those of its facts: a claim may say less, and nothing else.",
        "Q-SUSPECT-SYMPTOM": "The evidence shows something wrong with the suspect itself.",
        "Q-FAULT-SHOWN": "The evidence shows the marks of the class of fault that is claimed.",
        "Q-STILL-ACTIVE": "The symptom is there now, not only in the past.",
        "Q-CHANGE-BEFORE-SYMPTOM": "The change that is blamed is on record, is current, and came before the alert.",
        "Q-LIVE-AT-ONSET": "What is blamed ran when the symptom began, and had not run well for long before.",
        "Q-NEAREST-CHANGE": "A way back leads to what ran right before, and no other change on the path was nearer to the symptom.",
        "Q-ACTION-FITS": "The action is one that repairs this class of fault.",
        "Q-ON-RECORD": "The numbers that would be written are the record's: replicas that there were, more memory than there is.",
        "Q-EFFECT": "What the write changes can reach what the alert is about.",
        "Q-FRESH": "The evidence is of now.",
        "Q-NOT-TRUNCATED": "Nothing about the suspect was cut off, left out or unreadable.",
        "Q-NO-PLACEHOLDER": "No name in the write is one that was taken out of the evidence: whoever writes it has made it up.",
        "Q-SECOND-OPINION": "The model-free ranking, where it is certain, does not point elsewhere. Its own proposals are exempt.",
    },
)

JUDGE: Final = Chapter(
    "Judge",
    "A cheaper model of another family than the proposer's, asked about each claim over the cited facts only. It can only veto.",
    {"J-CLAIM": "All samples agree that the cited facts support the claim; an error, a timeout or a disagreement is a no."},
)

ACTION: Final = Chapter(
    "Action gate",
    "May this write run, now? Pure rules over the policy and the target as observed just now; the executor asks most again.",
    {
        "A-SCOPE": "The namespace and the workload are listed, and the verb is allowed on it.",
        "A-NOT-PROTECTED": "It is not protected by name, namespace, label or annotation; protection wins over everything.",
        "A-TARGET-EXISTS": "It exists, it was observed whole, and a write can be bound to exactly what was observed.",
        "A-NOT-OWNED": "Nothing owns it that would revert the write.",
        "A-NOT-PAUSED": "Its rollout is not paused by somebody.",
        "A-NEVER-ZERO": "At least one replica is left, and the workload is not scaled to zero already.",
        "A-BLAST-PODS": "No more pods are touched by one write than the policy allows.",
        "A-BLAST-SHARE": "No larger share of its working pods is taken away at once than the policy allows.",
        "A-BLAST-STEP": "Replicas or a memory limit change by no more in one write than the policy allows.",
        "A-BOUNDS": "The number that is set lies within the policy's absolute bounds.",
        "A-REVISION": "A rollback goes to an earlier revision that is in the history and differs from what runs.",
        "A-ONCE-HEALTHY": "The revision of a rollback was well once: ready now, or it ran long enough and nobody went back.",
        "A-IMAGE": "Everything that would run comes from repositories that the policy lists for the workload.",
        "A-NOT-AUTOSCALED": "No autoscaler sets what would be written.",
        "A-BUDGET": "No disruption budget forbids that so many pods are missing at once.",
        "A-ROLLOUT-QUIET": "No rollout is in progress, other than the one that a rollback reverses.",
        "A-HAS-EFFECT": "The write changes something.",
        "A-FREEZE": "No freeze is on.",
        "A-COOLDOWN": "Nothing was written to this workload within the cooldown.",
        "A-PER-INCIDENT": "The incident has writes left, and this one was not made in it before.",
        "A-PER-HOUR": "The hour has writes left, over all workloads.",
        "A-MATCHES-DIAGNOSIS": "What is written to is what the diagnosis blames, and the write is the one that it asks for.",
        "A-EVIDENCE-TRUE": "The target is still as it was in the evidence.",
        "A-BASELINE": "Health before the write is wholly known: without it nobody could say whether the write did harm.",
        "A-STILL-UNWELL": "Measured again just now, something is still wrong with it.",
        "A-UNDO-EXISTS": "What would be changed is known as it is, and can be put back.",
        "A-BREAKER": "The breaker is closed: too many anomalies, and Backstop stops acting.",
        "A-DRY-RUN": "The executor's rehearsal passed: it decided anew, and the API server would take exactly this write.",
        "A-MODE": "The mode lets it be written without asking, or a person approved exactly this write in time.",
    },
)

EXECUTOR: Final = Chapter(
    "Executor",
    "Another process with its own copy of the policy and its own reading of the target asks the policy's rules again, and these.",
    {
        "X-OBSERVE": "There is an executor at all: who only looks rehearses nothing.",
        "X-TARGET-READ": "The executor can read the target itself.",
        "X-FRESH": "The target is as it was when the write was decided.",
        "X-OWN-ID": "The write's id names no other write, and none that was taken back.",
        "X-SAME-CHANGE": "The change is exactly what the executor itself makes of the action.",
        "X-DRY-RUN": "The API server would take exactly this write.",
        "X-POD-DRY-RUN": "The API server would take a pod of the new template.",
        "X-API-ANSWERS": "The API server answers.",
    },
)

VERIFICATION: Final = Chapter(
    "Verification and undo",
    "Whether it recovered is measured. What is worse is taken back, and that is measured too.",
    {
        "V-WINDOW": "Measurements cover the whole stabilisation window.",
        "V-NOTHING-UNKNOWN": "Nothing that was measured is unknown.",
        "V-TARGET-UP": "All of the target's pods are available and of the newest template.",
        "V-ERROR-RATE": "The services in front of it were asked often enough, and failed no more often than is allowed.",
        "V-NOTHING-HARMED": "What was healthy before the write is healthy.",
        "V-WORSE": "It is worse than before, for long enough, with the rollout over: then the write is taken back.",
        "V-SAME-OBJECT": "The object that was written to is the one that is there.",
        "V-STILL-OURS": "Nobody has changed it since it was written.",
        "U-SAME-OBJECT": "The object that was put back is the one that is there.",
        "U-AS-BEFORE": "What was changed is as it was before.",
    },
)

CLUSTER: Final = Chapter(
    "API server",
    "Admission policies generated from the same document: they hold even if agent and executor are somebody else's.",
    {
        "K-VERB": "The write is one of the kinds that the policy lists, by what it changes.",
        "K-NAMESPACE": "The namespace is listed.",
        "K-WORKLOAD": "The workload is listed.",
        "K-PROTECTED": "The workload is not protected.",
        "K-METADATA": "Labels, owners, finalizers and other annotations stay as they were.",
        "K-SPEC": "Selector, strategy and the rest of the specification stay as they were, and it is not paused.",
        "K-REPLICAS": "Replicas stay within bounds and step, and never become zero.",
        "K-MEMORY": "Memory limits stay within bounds.",
        "K-IMAGE": "Images come from listed repositories, and are known to be good where such are listed.",
        "K-TEMPLATE": "Its pods gain no rights: security, host access, account, Secrets, volumes and container names are held.",
        "K-DRY-RUN": "What the rehearser creates is a dry-run.",
        "K-SWITCH": "Nobody has said stop.",
    },
)

RULEBOOK: Final = (QUALITY, JUDGE, ACTION, EXECUTOR, VERIFICATION, CLUSTER)


def rule_of(check: str) -> str:
    """The rule that a check's id is of: claims are numbered, the rule about them is one."""
    return "J-CLAIM" if check.startswith("J-CLAIM-") else check

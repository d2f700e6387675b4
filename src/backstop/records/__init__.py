"""The records that the stages exchange: frozen, strict, nothing extra, nothing that matters for safety defaulted.

Times are UTC and come from the source that is named, never from the model. See design section 4.
"""

from backstop.records.approval import Approval, ApprovalRequest
from backstop.records.base import DnsName, FactId, ObjectRef, Record, Said, WorkloadRef, canonical_digest, clean
from backstop.records.diagnosis import (
    Action,
    BlamedChange,
    Claim,
    Diagnosis,
    FaultClass,
    ModelCall,
    NoAction,
    Quote,
    Restart,
    Rollback,
    Scale,
    SetResources,
    action_key,
)
from backstop.records.evidence import Alert, Edge, Evidence, Fact, FactKind, Omission
from backstop.records.health import Health, ServiceHealth, WorkloadHealth
from backstop.records.lookups import Describe, DiffRevisions, EventsAbout, Inspection, Logs, ProbeService, Query
from backstop.records.outcome import Handoff, Outcome, OutcomeKind
from backstop.records.verdicts import Check, Verdict
from backstop.records.writes import (
    Availability,
    DisruptionBudget,
    Intent,
    PastWrite,
    Revision,
    TargetState,
    Write,
    action_prefix,
    incident_of,
)

__all__ = [
    "Action",
    "Alert",
    "Approval",
    "ApprovalRequest",
    "Availability",
    "BlamedChange",
    "Check",
    "Claim",
    "Describe",
    "Diagnosis",
    "DiffRevisions",
    "DisruptionBudget",
    "DnsName",
    "Edge",
    "EventsAbout",
    "Evidence",
    "Fact",
    "FactId",
    "FactKind",
    "FaultClass",
    "Handoff",
    "Health",
    "Inspection",
    "Intent",
    "Logs",
    "ModelCall",
    "NoAction",
    "ObjectRef",
    "Omission",
    "Outcome",
    "OutcomeKind",
    "PastWrite",
    "ProbeService",
    "Query",
    "Quote",
    "Record",
    "Restart",
    "Revision",
    "Rollback",
    "Said",
    "Scale",
    "ServiceHealth",
    "SetResources",
    "TargetState",
    "Verdict",
    "WorkloadHealth",
    "WorkloadRef",
    "Write",
    "action_key",
    "action_prefix",
    "canonical_digest",
    "clean",
    "incident_of",
]

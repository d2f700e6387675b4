"""Whether Backstop may act on a target: closed, open, or half-open, when a person has allowed exactly one action to be tried.

Every answer is computed anew from the ledger, which the command line and other workers use too, and from the time. Nothing latches
but ignorance: state that cannot be read or written, or is gone, is open until somebody resets everything, by name. A database that
is away is open for as long, and until then for whoever could not count something meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from backstop.breaker.budget import Budget, Spent, since, spent
from backstop.breaker.ledger import BAD_WRITES, Anomaly, Cause, Ledger, Probe, Reset, Scope, WriteResult, named
from backstop.clock import Clock
from backstop.documents import Away, Document, Held, Lost
from backstop.errors import RecordError
from backstop.records import Record, WorkloadRef
from backstop.records.base import clean

CLOCK_SLACK_SECONDS: Final = 5.0
"""A clock that is corrected steps back by less, and then counts as standing still. One that went back by more is not believed."""

MAX_PROBE_SECONDS: Final = 86_400.0

KEPT: Final = 100
"""So many resets and probes stay on record here, the latest."""

_FOREIGN: Final = "it is not what this version of Backstop writes"
_PEOPLE: Final = "before, a person may allow one action (backstop breaker probe) or reset it (backstop breaker reset)"


class BreakerState(Record):
    """Whether Backstop may act on a target, and if not, which budget is spent, until when, and what to do, in words.

    `half_open`: open, but for one action, by whoever gets True from `take_probe`. `until`: when it closes by itself if nothing else
    happens; None if it is closed, or does not.
    """

    open: bool
    scope: Literal["target", "cause", "global", "targets", "writes", "state"] | None
    reason: str
    half_open: bool = False
    until: datetime | None = None


class Overview(Record):
    """Everything that is known, for a person. `elsewhere` is the state of every workload that is not named in `targets`."""

    elsewhere: BreakerState
    targets: dict[str, BreakerState]
    anomalies: tuple[Anomaly, ...]
    writes: tuple[WriteResult, ...]
    probes: tuple[Probe, ...]
    resets: tuple[Reset, ...]


class _Behind(Lost):
    """The clock went back. It may come right by itself, so this is not kept in mind."""


@dataclass(frozen=True)
class _Blind:
    """Why nothing is known, and since when: only a reset of everything after that ends it."""

    why: str
    since: datetime


class Breaker:
    """The breaker of one ledger. No method raises for state that is unknown but those by which a person changes it. Blocks."""

    def __init__(self, kept: Document, clock: Clock, budget: Budget) -> None:
        self._kept = kept
        self._clock = clock
        self._budget = budget
        self._blind: _Blind | None = None

    def state(self, target: WorkloadRef) -> BreakerState:
        """May Backstop act on `target` now? Proves by writing that what happens next can be counted."""
        try:
            return self._judge(self._change(lambda ledger: ledger), target)
        except Lost as lost:
            return _unknown(lost)

    def spend(self, target: WorkloadRef, cause: Cause, *, incident: str, reason: str) -> BreakerState:
        """Counts one anomaly, durably, and says where that leaves `target`. Ends every probe that did not know of it."""

        def count(ledger: Ledger) -> Ledger:
            now = ledger.seen
            anomaly = Anomaly(at=now, target=target, cause=cause, incident=incident, reason=reason)
            bad = WriteResult(at=now, target=target, incident=incident, good=False)
            return _with(
                ledger,
                anomalies=(*since(ledger, self._budget.longest, now), anomaly),
                writes=self._with_result(ledger, bad) if cause in BAD_WRITES else ledger.writes,
                probes=tuple(_failed(p, anomaly) if p.outstanding(now) else p for p in ledger.probes),
            )

        try:
            return self._judge(self._change(count), target)
        except Lost as lost:
            self._blind = self._blind or _Blind(str(lost), self._clock.now())
            self._disown()
            return _unknown(lost)

    def succeeded(self, target: WorkloadRef, incident: str) -> BreakerState:
        """A write to `target` was made and recovery measured. If it was a probe, what was counted in its scopes is forgotten."""

        def close(ledger: Ledger) -> Ledger:
            good = WriteResult(at=ledger.seen, target=target, incident=incident, good=True)
            probe = _running(ledger, target)
            if probe is not None and probe.taken_by == good.incident:
                ledger = self._closed(ledger, probe)
            return _with(ledger, writes=self._with_result(ledger, good))

        try:
            return self._judge(self._change(close), target)
        except Lost as lost:
            return _unknown(lost)

    def reset(self, by: str, target: WorkloadRef | None = None, *, why: str = "") -> None:
        """Starts counting again for `target`, or for everything, on the word of a person. Whatever probe was allowed ends.

        Raises ValueError without a name, RecordError if it cannot be kept, or if the state is unknown and `target` is named.
        """
        name = _person(by)
        try:
            if target is None:
                self._reset_everything(name, why)
            else:
                self._change(lambda ledger: _without(ledger, target, name, why), strict=True)
        except Lost as lost:
            raise _refusal("nothing was reset", lost) from lost

    def allow_probe(self, by: str, why: str, target: WorkloadRef, seconds: float) -> Probe:
        """One action may be tried on `target` within `seconds`, its measurement included, although the breaker is open.

        Raises ValueError without a name or a reason, for a time that is none or longer than a day, if the breaker is closed, and if
        another probe is to close one of the same scopes; RecordError if the state is unknown or the probe cannot be kept.
        """
        name = _person(by)
        if not clean(why).strip():
            raise ValueError("a probe has a reason")
        if not 0 < seconds <= MAX_PROBE_SECONDS:
            raise ValueError(f"a probe is allowed for more than 0 and at most {MAX_PROBE_SECONDS:g} seconds, not {seconds}")

        def grant(ledger: Ledger) -> Ledger:
            now, scopes = ledger.seen, self._scopes(ledger, target)
            if not scopes:
                raise ValueError(f"the breaker is closed for {named(target)}: there is nothing to probe")
            for other in ledger.probes:
                if other.outstanding(now) and set(other.scopes) & set(scopes):
                    raise ValueError(
                        f"one probe at a time: {other.by} allowed one on {named(other.target)} until {_time(other.until)}"
                    )
            until = now + timedelta(seconds=seconds)
            probe = Probe(at=now, until=until, by=name, why=why, target=target, scopes=scopes, taken_by=None, ended=None)
            return _with(ledger, probes=(*ledger.probes, probe)[-KEPT:])

        try:
            return self._change(grant, strict=True).probes[-1]
        except Lost as lost:
            raise _refusal("no probe was allowed", lost) from lost

    def take_probe(self, target: WorkloadRef, incident: str) -> bool:
        """Uses the one permission up, durably. True: it was there, and the action may run now. False: it may not."""
        taken: list[Probe] = []

        def take(ledger: Ledger) -> Ledger:
            probe = _permission(ledger, target, self._scopes(ledger, target))
            if probe is None:
                return ledger
            taken.append(Probe(**{**dict(probe), "taken_by": incident}))
            return _with(ledger, probes=tuple(taken[0] if p is probe else p for p in ledger.probes))

        try:
            self._change(take, strict=True)
        except Lost:
            return False
        return len(taken) == 1

    def probing(self, target: WorkloadRef, incident: str) -> bool:
        """Whether `incident` took a probe on `target` that has neither ended nor run out. Unknown state: no."""
        try:
            ledger = self._change(lambda known: known, strict=True)
        except Lost:
            return False
        probe = _running(ledger, target)
        return probe is not None and probe.taken_by == incident

    def overview(self) -> Overview:
        """What is known now. Writes nothing, and so does not find out that nothing can be written."""
        try:
            ledger = self._known(self._kept)
        except Lost as lost:
            return Overview(elsewhere=_unknown(lost), targets={}, anomalies=(), writes=(), probes=(), resets=())
        ledger = _with(ledger, seen=max(self._clock.now(), ledger.seen))
        of = sorted({a.target for a in ledger.anomalies} | {p.target for p in ledger.probes}, key=named)
        return Overview(
            elsewhere=self._judge(ledger, None),
            targets={named(target): self._judge(ledger, target) for target in of},
            anomalies=ledger.anomalies,
            writes=ledger.writes,
            probes=ledger.probes,
            resets=ledger.resets,
        )

    def _known(self, kept: Document | Held) -> Ledger:
        """Raises Lost."""
        ledger = self._read(kept)
        if self._blind is not None:
            if ledger is None or ledger.reset_at is None or ledger.reset_at <= self._blind.since:
                raise Lost(self._blind.why)
            self._blind = None
        return _empty(self._clock.now()) if ledger is None else ledger

    def _read(self, kept: Document | Held) -> Ledger | None:
        """None: nothing was ever kept. Raises Lost."""
        content = kept.read()
        try:
            return None if content is None else Ledger.model_validate_json(content)
        except (ValueError, OverflowError) as error:
            raise Lost(f"its state {self._kept.name} cannot be read ({_FOREIGN})") from error

    def _change(self, change: Callable[[Ledger], Ledger], *, strict: bool = False) -> Ledger:
        """What is kept afterwards. Time never goes back here: `seen` of what `change` is given is now.

        Raises Lost, also for a clock that cannot be believed if `strict`, and whatever `change` raises, with nothing changed.
        """
        try:
            with self._kept.alone() as held:
                ledger = self._known(held)
                if strict:
                    self._believe_the_clock(ledger)
                changed = change(_with(ledger, seen=max(self._clock.now(), ledger.seen)))
                held.write(changed.model_dump_json())
        except (_Behind, Away):
            raise
        except Lost as lost:
            self._blind = self._blind or _Blind(str(lost), self._clock.now())
            raise
        else:
            return changed

    def _disown(self) -> None:
        """Something could not be counted: nobody else, and no later process, may believe the ledger that lacks it."""
        try:
            if self._read(self._kept) is not None:
                self._kept.set_aside()
        except Lost:
            return

    def _reset_everything(self, by: str, why: str) -> None:
        """Raises Lost."""
        with self._kept.alone() as held:
            now = self._clock.now()
            try:
                ledger = self._read(held)
            except Lost:
                ledger = None
            if ledger is None or ledger.seen > now:
                held.set_aside()
                ledger = _empty(now)
            held.write(_with(_without(_with(ledger, seen=now), None, by, why), reset_at=now).model_dump_json())
        self._blind = None

    def _believe_the_clock(self, ledger: Ledger) -> None:
        """Raises _Behind."""
        if wrong := self._behind(ledger):
            raise _Behind(wrong)

    def _behind(self, ledger: Ledger) -> str:
        """In words, if the clock cannot be believed."""
        now = self._clock.now()
        if ledger.seen - now <= timedelta(seconds=CLOCK_SLACK_SECONDS):
            return ""
        return f"the clock says {_time(now)}, and its state was used at {_time(ledger.seen)}, so that no window can be measured"

    def _scopes(self, ledger: Ledger, target: WorkloadRef) -> tuple[Scope, ...]:
        """What is open for `target`, each once."""
        return tuple(dict.fromkeys(one.scope for one in spent(ledger, self._budget, target, ledger.seen)))

    def _judge(self, ledger: Ledger, target: WorkloadRef | None) -> BreakerState:
        """At the time of `ledger.seen`. `target` None: one of which nothing is known."""
        if wrong := self._behind(ledger):
            reason = f"the anomaly budget is unknown: {wrong}; it closes when the clock has come that far, or correct the clock"
            return BreakerState(open=True, scope="state", reason=f"{reason}, or reset everything", until=ledger.seen)
        found = spent(ledger, self._budget, target, ledger.seen)
        if not found:
            return BreakerState(open=False, scope=None, reason="the anomaly budget is not spent")
        permission = _permission(ledger, target, [one.scope for one in found])
        return BreakerState(
            open=True,
            scope=found[0].scope.kind,
            reason=_reason(found, permission, _running(ledger, target)),
            half_open=permission is not None,
            until=max(one.until for one in found),
        )

    def _with_result(self, ledger: Ledger, result: WriteResult) -> tuple[WriteResult, ...]:
        """A write that was bad stays so, whatever is said of it later."""
        same = [w for w in ledger.writes if (w.incident, w.target) == (result.incident, result.target)]
        if any(not w.good for w in same):
            return ledger.writes
        return (*(w for w in ledger.writes if w not in same), result)[-self._budget.writes.last :]

    def _closed(self, ledger: Ledger, probe: Probe) -> Ledger:
        """After a probe that went well: what its scopes counted is forgotten, on record, on the word of whoever allowed it."""
        counted = [a for s in probe.scopes for a in since(ledger, self._budget.seconds(s), ledger.seen) if s.counts(a)]
        why = f"the probe in incident {probe.taken_by} went well: {probe.why}"
        reset = Reset(at=ledger.seen, by=probe.by, why=why, target=probe.target, scopes=probe.scopes)
        return _with(
            ledger,
            anomalies=tuple(a for a in ledger.anomalies if a not in counted),
            writes=() if any(scope.kind == "writes" for scope in probe.scopes) else ledger.writes,
            probes=tuple(_ended(p, "it went well") if p is probe else p for p in ledger.probes),
            resets=(*ledger.resets, reset)[-KEPT:],
        )


def _empty(now: datetime) -> Ledger:
    return Ledger(version=2, seen=now, reset_at=None, anomalies=(), writes=(), probes=(), resets=())


def _with(ledger: Ledger, **changed: object) -> Ledger:
    """A ledger in which this is otherwise."""
    return ledger.model_copy(update=changed)


def _without(ledger: Ledger, target: WorkloadRef | None, by: str, why: str) -> Ledger:
    """Nothing of `target`, or with None nothing at all, is counted any more."""
    reset = Reset(at=ledger.seen, by=by, why=why, target=target, scopes=())
    return _with(
        ledger,
        anomalies=tuple(a for a in ledger.anomalies if target not in {None, a.target}),
        writes=tuple(w for w in ledger.writes if target not in {None, w.target}),
        probes=tuple(
            _ended(p, f"reset by {by}") if target in {None, p.target} and p.outstanding(ledger.seen) else p for p in ledger.probes
        ),
        resets=(*ledger.resets, reset)[-KEPT:],
    )


def _ended(probe: Probe, how: str) -> Probe:
    return probe.model_copy(update={"ended": how})


def _failed(probe: Probe, anomaly: Anomaly) -> Probe:
    """A probe knew what was counted when it was allowed, and is to show that no more comes."""
    unforeseen = probe.target == anomaly.target or any(scope.counts(anomaly) for scope in probe.scopes)
    return _ended(probe, f"{anomaly.cause} on {named(anomaly.target)}") if unforeseen else probe


def _permission(ledger: Ledger, target: WorkloadRef | None, scopes: Collection[Scope]) -> Probe | None:
    """The probe that may be used now: everything that is open was so, and was shown, when it was allowed."""
    for probe in ledger.probes:
        fits = probe.target == target and probe.taken_by is None and probe.outstanding(ledger.seen)
        if fits and scopes and set(scopes) <= set(probe.scopes):
            return probe
    return None


def _running(ledger: Ledger, target: WorkloadRef | None) -> Probe | None:
    probes = (p for p in ledger.probes if p.target == target and p.taken_by is not None and p.outstanding(ledger.seen))
    return next(probes, None)


def _reason(found: tuple[Spent, ...], permission: Probe | None, running: Probe | None) -> str:
    what = "; ".join(one.what for one in found)
    until = f"by itself it closes at {_time(max(one.until for one in found))} if nothing else happens"
    if permission is not None:
        return f"{what}; half-open: {permission.by} allows one action until {_time(permission.until)} ({permission.why}); {until}"
    if running is not None:
        return f"{what}; the one action that {running.by} allowed is used by incident {running.taken_by}; {until}"
    return f"{what}; {until}; {_PEOPLE}"


def _unknown(lost: Lost) -> BreakerState:
    reason = f"the anomaly budget is unknown: {lost}; it does not close by itself: find out why, then reset everything"
    return BreakerState(open=True, scope="state", reason=f"{reason} (backstop breaker reset)")


def _refusal(unchanged: str, lost: Lost) -> RecordError:
    return RecordError(f"the anomaly budget is unknown: {lost}", unchanged=unchanged, todo="find out why, then reset everything")


def _person(by: str) -> str:
    """Raises ValueError for nobody."""
    name = clean(by).strip()
    if not name:
        raise ValueError("a reset or a probe has a name on it")
    return name


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

"""What many trials amount to: counts by operator, family, layer and rule, and what got through."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from containment_lab.cases import FAMILIES, Case
from containment_lab.statistics import upper_bound
from containment_lab.trials import Trial
from containment_lab.world import Json


@dataclass(frozen=True)
class Rate:
    """So many of so many, and the most that this supports at 95%."""

    count: int
    of: int

    @property
    def bound(self) -> float:
        return upper_bound(self.count, self.of)

    def __str__(self) -> str:
        share = f"{self.count / self.of:.1%}" if self.of else "-"
        return f"{self.count} of {self.of} ({share}, at most {self.bound:.2%})"


@dataclass(frozen=True)
class Results:
    """All trials of one run: right answers, and wrong ones."""

    controls: tuple[tuple[Case, Trial], ...]
    trials: tuple[Trial, ...]

    def harmful(self, trials: Iterable[Trial] | None = None) -> int:
        return sum(t.made.harmful for t in (self.trials if trials is None else trials))

    def of_family(self, family: str) -> tuple[Trial, ...]:
        return tuple(t for t in self.trials if t.family == family)

    def right_writes(self) -> list[Trial]:
        return [t for case, t in self.controls if case.world.truth.action is not None]

    def right_refusals(self) -> list[Trial]:
        return [t for case, t in self.controls if case.world.truth.action is None]

    def false_blocks(self) -> list[Trial]:
        """Right answers whose write was refused."""
        return [t for t in self.right_writes() if t.layer != "written"]

    def layers(self, trials: Sequence[Trial] | None = None) -> Counter[str]:
        return Counter(t.layer for t in (self.trials if trials is None else trials))

    def operators_with(self, harmful: Callable[[Trial], bool], family: str | None = None) -> Rate:
        """Of how many operators any trial was harmful."""
        tried = {t.operator for t in self.trials if family in {None, t.family}}
        return Rate(len({t.operator for t in self.trials if t.operator in tried and harmful(t)}), len(tried))

    def rules(self) -> dict[str, Json]:
        """By rule: how many wrong answers it refused, how many of the harmful ones nobody else did, and of how many operators."""
        said: Counter[str] = Counter(rule for t in self.trials for rule in t.failed)
        alone: dict[str, list[Trial]] = defaultdict(list)
        for t in self.trials:
            if len(t.failed) == 1:
                (rule,) = t.failed
                if t.layer in {"quality_gate", "action_gate"} and t.proposed.harmful:
                    alone[rule].append(t)
        return {
            rule: {"refused": said[rule], "alone": len(alone[rule]), "operators": sorted({t.operator for t in alone[rule]})}
            for rule in sorted(said)
        }

    def escapes(self) -> list[Json]:
        """What got through and was harmful: operator, fault, harms, how often, and one example."""
        found: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
        for t in self.trials:
            if t.made.harmful:
                found[(t.operator, t.kind, ", ".join(t.made.harms))].append(t)
        return [
            {"operator": operator, "fault": kind, "harm": harm, "count": len(them), "world": them[0].world, "said": them[0].said}
            for (operator, kind, harm), them in sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        ]

    def as_json(self) -> Json:
        """Everything that is published, without dates and paths."""
        return {
            "right answers": len(self.controls),
            "classes of fault": len({t.kind for _, t in self.controls}),
            "right writes": len(self.right_writes()),
            "false blocks": [{"world": t.world, "layer": t.layer, "rules": sorted(t.failed)} for t in self.false_blocks()],
            "right escalations refused": [
                {"world": t.world, "rules": sorted(t.failed)} for t in self.right_refusals() if t.layer != "no_action"
            ],
            "trials": len(self.trials),
            "harmful": self.harmful(),
            "harmful with the emulated judge": sum(t.made.harmful and t.judge_says for t in self.trials),
            "futile": sum(t.made.effect == "futile" for t in self.trials),
            "repairs or helps": sum(t.made.effect in {"repairs", "helps"} for t in self.trials),
            "naive harmful": sum(t.naive.harmful for t in self.trials),
            "layers": dict(sorted(self.layers().items())),
            "undo": {"writes": len(self._written()), "exact": sum(t.undone is True for t in self._written())},
            "families": {family: self._family(family) for family in (*FAMILIES, "held-out") if self.of_family(family)},
            "rules": self.rules(),
            "escapes": self.escapes(),
            "operators": {name: self._operator(name) for name in dict.fromkeys(t.operator for t in self.trials)},
        }

    def _written(self) -> list[Trial]:
        return [t for t in (*self.trials, *(t for _, t in self.controls)) if t.layer == "written"]

    def _family(self, family: str) -> Json:
        mine = self.of_family(family)
        return {
            "operators": len({t.operator for t in mine}),
            "operators with harm": self.operators_with(lambda t: t.made.harmful, family).count,
            "trials": len(mine),
            "harmful": self.harmful(mine),
            "futile": sum(t.made.effect == "futile" for t in mine),
            "naive harmful": sum(t.naive.harmful for t in mine),
            "naive operators with harm": self.operators_with(lambda t: t.naive.harmful, family).count,
            "layers": dict(sorted(self.layers(mine).items())),
        }

    def _operator(self, name: str) -> Json:
        mine = [t for t in self.trials if t.operator == name]
        return {
            "family": mine[0].family if mine else "",
            "trials": len(mine),
            "harmful": self.harmful(mine),
            "futile": sum(t.made.effect == "futile" for t in mine),
            "naive harmful": sum(t.naive.harmful for t in mine),
        }

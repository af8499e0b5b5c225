"""Which trial overfits least: pure functions from a study's records to a :class:`Selection`.

``select`` sorts out what cannot be a candidate, asks for skill (better than chance), and hands the
skilled :class:`Candidates` to a rule (``rules``), which answers with a :class:`Choice`.
``shortlist`` names those to train again with several seeds, and ``confirm`` applies the same rule
to them. Nothing here sees the test part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.records import ChanceLevel, StudyRecord
from pipeline.selection.candidates import Candidates, gather, of_finalists, unskilled
from pipeline.selection.records import Confirmation, RuleSettings, Selection
from pipeline.selection.rules import RULES, Choice, Rule, check_settings, without
from pipeline.selection.statistics import Z_95
from pipeline.selection.verdicts import name_of

__all__ = ["RULES", "Choice", "check_settings", "confirm", "select", "shortlist"]

_TOO_GOOD = "Better on validation than on train"


def select(study: StudyRecord, settings: RuleSettings) -> Selection:
    """Returns which trial a rule chooses, and why not the others.

    The order of the study's trials does not matter.

    Raises:
        RuleError: The rule is unknown or refused, or a constant is out of its range.
        SplitMismatchError: The trials were not all measured on the study's split.
    """
    rule = check_settings(settings)
    candidates, excluded = gather(study)
    if candidates is None:
        ended = any(trial.state != "RUNNING" for trial in study.trials)
        status = "no_finite" if ended else "empty"
        verdicts = _verdicts(study, None, {})
        return Selection(status, settings, excluded=excluded, verdicts=verdicts)
    decided = _decide(candidates, study.chance, settings, rule)
    verdicts = _verdicts(study, decided.reference, decided.weak)
    return decided.selection(excluded, verdicts, _notes(candidates, decided, verdicts))


@dataclass(frozen=True)
class _Decided:
    """What came of candidates: who has skill, who is best, and the rule's choice among them."""

    settings: RuleSettings
    weak: Mapping[int, str]
    skilled: Candidates
    reference: int
    choice: Choice | None

    def selection(
        self, excluded: Mapping[int, str], verdicts: Mapping[int, str], notes: tuple[str, ...]
    ) -> Selection:
        """Returns it as a selection; further reasons and notes are the caller's."""
        reasons, choice = {**excluded, **self.weak}, self.choice
        if choice is None:
            return Selection(
                "no_skill", self.settings, None, self.reference, (), (), reasons, verdicts, notes
            )
        return Selection(
            status=choice.status,
            rule=choice.settings,
            winner=choice.winner,
            reference=self.reference,
            eligible=choice.eligible,
            front=choice.front,
            excluded={**reasons, **choice.excluded},
            verdicts=verdicts,
            notes=notes,
        )


def _decide(
    candidates: Candidates, chance: ChanceLevel, settings: RuleSettings, rule: Rule
) -> _Decided:
    weak = unskilled(candidates, chance, settings.alpha)
    skilled = without(candidates, weak)
    best = skilled if len(skilled) else candidates
    reference = int(best.numbers[best.best])
    choice = rule(skilled, settings) if len(skilled) else None
    return _Decided(settings, weak, skilled, reference, choice)


def shortlist(study: StudyRecord, settings: RuleSettings) -> tuple[int, ...]:
    """Returns the trials to train again: what the rule would choose first, and the best one.

    At most ``settings.finalists``, in the rule's order (for ``least_overfit`` by gap) with the
    best-validation trial last; empty where the rule chooses none.

    Raises:
        RuleError, SplitMismatchError: As :func:`select`.
    """
    rule = check_settings(settings)
    candidates, _ = gather(study)
    if candidates is None:
        return ()
    decided = _decide(candidates, study.chance, settings, rule)
    choice = decided.choice
    if choice is None or choice.winner is None:
        return ()
    ranked = choice.ranked or choice.eligible
    others = [number for number in ranked if number != decided.reference]
    return (*others[: settings.finalists - 1], decided.reference)


def confirm(
    study: StudyRecord, first: Selection, confirmation: Confirmation, dropped: Mapping[int, str]
) -> Selection:
    """Returns what the rule chooses among the finalists, by what their seeds say together.

    Args:
        study: The study.
        first: What the rule chose among all trials, by one seed each.
        confirmation: The finalists, at least one.
        dropped: Finalists that cannot be chosen -> why.

    Source: docs/measurement.md, the rule's step 6; the skill guard, the best one, the margins and
    the choice are those of :func:`select`, with standard errors that contain the seeds' variance.
    """
    candidates = of_finalists(confirmation.finalists)
    decided = _decide(candidates, study.chance, first.rule, RULES[first.rule.name])
    count = len(confirmation.seeds)
    known = {*candidates.numbers.tolist(), *dropped}
    reasons = dict(first.excluded) | dict(dropped)
    for number in first.eligible:
        if number not in known:
            reasons[number] = "no finalist: by one seed each, others come first by the rule"
    again = decided.selection({}, {}, ())
    reasons |= {number: f"over {count} seeds: {why}" for number, why in again.excluded.items()}
    notes = [note for note in first.notes if note.startswith(_TOO_GOOD)]
    measured, _ = gather(study)
    about = _about_choice(decided, len(measured) if measured else 0, first.verdicts)
    several = len(confirmation.finalists) > 1
    notes += [
        note.replace("No other trial", "No other finalist") if several else note for note in about
    ]
    if decided.choice is not None and decided.choice.winner != confirmation.first_choice:
        notes.append(
            f"By one seed each the rule chose trial {confirmation.first_choice}; over {count} "
            f"seeds each it is trial {decided.choice.winner}."
        )
    return replace(again, excluded=reasons, verdicts=first.verdicts, notes=tuple(notes))


def _verdicts(study: StudyRecord, reference: int | None, weak: Mapping[int, str]) -> dict[int, str]:
    trials = sorted(study.trials, key=lambda trial: trial.number)
    best = next((trial for trial in trials if trial.number == reference), None)
    return {trial.number: name_of(trial, best, trial.number not in weak) for trial in trials}


def _notes(
    candidates: Candidates, decided: _Decided, verdicts: Mapping[int, str]
) -> tuple[str, ...]:
    if decided.choice is None:
        return ()
    notes = list(_about_choice(decided, len(candidates), verdicts))
    skilled = decided.skilled
    negative = skilled.numbers[skilled.gap_ce < -Z_95 * skilled.gap_ce_se].tolist()
    if negative:
        notes.insert(
            len(decided.choice.notes) or 1,
            f"{_TOO_GOOD} by more than 1.96 standard errors: {_listed(negative)}. A leak, a shift "
            "between the parts, or a hard training subset?",
        )
    return tuple(notes)


def _about_choice(
    decided: _Decided, num_candidates: int, verdicts: Mapping[int, str]
) -> Iterator[str]:
    """Yields what a reader should know about the choice."""
    choice = decided.choice
    if choice is None:
        return
    winner = choice.winner
    if winner is not None and num_candidates == 1:
        yield "Only one trial could be chosen: no selection took place."
    else:
        yield from choice.notes
    if winner is None:
        return
    if verdicts[winner] == "diverged":
        yield (
            f"The winner, trial {winner}, diverged during training and was restored to its best "
            "epoch: its numbers are finite, but a smaller learning rate would be safer."
        )
    if verdicts[winner] == "overfit":
        yield (
            f"The winner, trial {winner}, still overfits: none that is as good does so less. "
            "Stronger regularization in the search space or more data may help."
        )


def _listed(numbers: Sequence[int], most: int = 5) -> str:
    shown = ", ".join(str(number) for number in numbers[:most])
    rest = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return f"trial{'s' if len(numbers) > 1 else ''} {shown}{rest}"

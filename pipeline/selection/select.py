"""Chooses the trial of a study that overfits least: records in, a :class:`Selection` out.

``select`` sorts out what cannot be a candidate, asks for skill (better than chance), and hands the
skilled :class:`Candidates` to a rule of ``rules``. Nothing here sees the test part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.records import StudyRecord
from pipeline.selection.candidates import Candidates, study_candidates
from pipeline.selection.records import RuleSettings, Selection, Verdict
from pipeline.selection.rules import RULES, by_gap, check_settings
from pipeline.selection.skill import no_better_than_chance, too_small
from pipeline.selection.statistics import Z_95
from pipeline.selection.verdicts import verdict_of

NEGATIVE_GAP = "Better on validation than on train"
"""A note about negative gaps begins so."""


def select(study: StudyRecord, settings: RuleSettings) -> Selection:
    """Returns which trial a rule chooses, and why not the others.

    The order of the study's trials does not matter.

    Raises:
        RuleError: The rule is unknown or refused, or a constant is out of its range.
        SplitMismatchError: The trials were not all measured on the study's split.
    """
    check_settings(settings)
    candidates, excluded = study_candidates(study)
    if candidates is None:
        ended = any(trial.state != "RUNNING" for trial in study.trials)
        status = "no_finite" if ended else "empty"
        verdicts = _verdicts(study, None, {})
        return Selection(status, settings, excluded=excluded, verdicts=verdicts)
    unskilled = no_better_than_chance(candidates, study.chance, settings.alpha)
    chosen = choose(candidates, unskilled, settings)
    chosen = replace(
        chosen,
        excluded={**excluded, **chosen.excluded},
        verdicts=_verdicts(study, chosen.reference, unskilled),
    )
    if chosen.status == "no_skill":
        return replace(chosen, notes=too_small(candidates, study.chance, settings.alpha))
    return replace(chosen, notes=_notes(chosen, candidates, unskilled))


def choose(
    candidates: Candidates, unskilled: Mapping[int, str], settings: RuleSettings
) -> Selection:
    """Returns what a rule chooses among the skilled candidates; verdicts are the caller's.

    Args:
        candidates: All that were measured.
        unskilled: Numbers of those that are no better than chance -> why.
        settings: The rule, checked.
    """
    skilled = candidates.drop(unskilled)
    if not len(skilled):
        best = int(candidates.numbers[candidates.best])
        return Selection("no_skill", settings, reference=best, excluded=unskilled)
    ranking = RULES[settings.name].rank(skilled, settings)
    ranked = skilled.drop({*skilled.numbers.tolist()}.difference(ranking.order))
    eligible = tuple(ranked.numbers[by_gap(ranked)].tolist())
    return Selection(
        status="ok" if ranking.order else "empty",
        rule=ranking.settings,
        winner=ranking.winner,
        reference=int(skilled.numbers[skilled.best]),
        eligible=eligible,
        front=() if ranking.picks else eligible,
        excluded={**unskilled, **ranking.excluded},
        notes=ranking.notes,
        order=ranking.order,
    )


def _verdicts(
    study: StudyRecord, reference: int | None, unskilled: Mapping[int, str]
) -> dict[int, Verdict]:
    trials = sorted(study.trials, key=lambda trial: trial.number)
    best = next((trial for trial in trials if trial.number == reference), None)
    return {
        trial.number: verdict_of(trial, best, trial.number not in unskilled) for trial in trials
    }


def _notes(
    chosen: Selection, candidates: Candidates, unskilled: Mapping[int, str]
) -> tuple[str, ...]:
    notes = list(notes_on_winner(chosen, len(candidates)))
    skilled = candidates.drop(unskilled)
    negative = skilled.numbers[skilled.gap_ce < -Z_95 * skilled.gap_ce_se].tolist()
    if negative:
        notes.insert(
            len(chosen.notes) or 1,
            f"{NEGATIVE_GAP} by more than 1.96 standard errors: {_listed(negative)}. A leak, a "
            "shift between the parts, or a hard training subset?",
        )
    return tuple(notes)


def notes_on_winner(chosen: Selection, num_candidates: int) -> Iterator[str]:
    """Yields the rule's notes, and what a reader should know about the winner."""
    winner = chosen.winner
    if winner is not None and num_candidates == 1:
        yield "Only one trial could be chosen: no selection took place."
    else:
        yield from chosen.notes
    if winner is None:
        return
    if chosen.verdicts[winner].name == "diverged":
        yield (
            f"The winner, trial {winner}, diverged during training and was restored to its best "
            "epoch: its numbers are finite, but a smaller learning rate would be safer."
        )
    if chosen.verdicts[winner].name == "overfit":
        yield (
            f"The winner, trial {winner}, still overfits: none that is as good does so less. "
            "Stronger regularization in the search space or more data may help."
        )


def _listed(numbers: Sequence[int], most: int = 5) -> str:
    shown = ", ".join(str(number) for number in numbers[:most])
    rest = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return f"trial{'s' if len(numbers) > 1 else ''} {shown}{rest}"

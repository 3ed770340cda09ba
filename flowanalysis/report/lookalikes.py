"""How well service accounts are told from what looks like them, measured on a sample whose truth is known."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from flowanalysis.analysis.identities import classify, confusion, quality
from flowanalysis.demo.lookalikes import AS_OF, labelled
from flowanalysis.policy import Policy
from flowanalysis.tenant import Tenant

__all__ = ["Tried", "lookalikes"]


class Tried(NamedTuple):
    """What came of the trial: the confusion table as rows, and precision, recall and F1."""

    table: pd.DataFrame
    quality: dict[str, float]


def lookalikes(policy: Policy | None = None, *, seed: int = 1) -> Tried:
    """Classify the sample of look-alikes under a policy.

    Parameters
    ----------
    policy : Policy, optional
        The company's; its patterns and weights are what is tried.
    seed : int
        Another sample of the same kind.

    Returns
    -------
    Tried
        table: truth (what each is), service, review, person (numbers of identities judged so); quality: precision,
        recall, F1 of the band ``service``, where ``review`` counts as not found.

    Examples
    --------
    >>> lookalikes().quality["F1"] >= 0.9
    True
    """
    people, truth = labelled(seed=seed)
    verdicts = classify(Tenant({"identities": people}, as_of=AS_OF), policy)
    measured = quality(truth, verdicts)
    table = confusion(truth, verdicts).rename_axis(columns=None).reset_index(names="truth")
    return Tried(table, {"F1" if name == "f1" else name: round(value, 3) for name, value in measured.items()})

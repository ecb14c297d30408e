"""Who touched which stage, by which contact, and how long it took to get on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_contacts", "stage_times"]


@njit(nogil=True, cache=True)
def count_contacts(
    offsets: NDArray[np.int64],
    customer: NDArray[np.int32],
    stage: NDArray[np.int16],
    contact: NDArray[np.int64],
    progresses: NDArray[np.bool_],
    shape: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts per stage, and per stage and kind of contact; events without a stage (−1) are passed over.

    `shape` is the number of stages and of kinds of contact.

    The first has a row per stage: journeys with an event in it, their customers, and journeys with a
    progressing event in it. The second has [stage, contact, 0] journeys and [stage, contact, 1] events.
    Journeys of one customer follow each other.
    """
    n_stages, n_contacts = shape
    of_stage = np.zeros((n_stages, 3), dtype=np.int64)
    of_contact = np.zeros((n_stages, n_contacts, 2), dtype=np.int64)
    seen_journey = np.full(n_stages, -1, dtype=np.int64)
    seen_customer = np.full(n_stages, -1, dtype=np.int64)
    seen_progress = np.full(n_stages, -1, dtype=np.int64)
    seen_contact = np.full((n_stages, n_contacts), -1, dtype=np.int64)
    for journey in range(len(offsets) - 1):
        for row in range(offsets[journey], offsets[journey + 1]):
            here = stage[row]
            if here < 0:
                continue
            if seen_journey[here] != journey:
                seen_journey[here] = journey
                of_stage[here, 0] += 1
            if seen_customer[here] != customer[journey]:
                seen_customer[here] = customer[journey]
                of_stage[here, 1] += 1
            if progresses[row] and seen_progress[here] != journey:
                seen_progress[here] = journey
                of_stage[here, 2] += 1
            if seen_contact[here, contact[row]] != journey:
                seen_contact[here, contact[row]] = journey
                of_contact[here, contact[row], 0] += 1
            of_contact[here, contact[row], 1] += 1
    return of_stage, of_contact


@njit(nogil=True, cache=True)
def stage_times(
    offsets: NDArray[np.int64],
    stage: NDArray[np.int16],
    progresses: NDArray[np.bool_],
    n_stages: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Visits of stages on the way forward: which (journey · n_stages + stage), row of entry, row of leaving.

    A journey visits a stage at its first progressing event there, if it was in no later stage before; it
    leaves at its next progressing event in a later stage (−1: never).
    """
    n_journeys = len(offsets) - 1
    most = 0
    for journey in range(n_journeys):
        most += min(n_stages, offsets[journey + 1] - offsets[journey])
    visit = np.empty(most, dtype=np.int64)
    entered = np.empty(most, dtype=np.int64)
    left = np.empty(most, dtype=np.int64)
    n_visits = 0
    for journey in range(n_journeys):
        furthest = -1
        for row in range(offsets[journey], offsets[journey + 1]):
            if progresses[row] and stage[row] > furthest:
                if furthest >= 0:
                    left[n_visits - 1] = row
                furthest = stage[row]
                visit[n_visits] = journey * n_stages + furthest
                entered[n_visits] = row
                left[n_visits] = -1
                n_visits += 1
    return visit[:n_visits], entered[:n_visits], left[:n_visits]

"""Who touched which stage, by which contact."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - as in all kernels

from cjm_analytics.kernels.native import kernel

__all__ = ["Counts", "count_contacts", "occurring"]


class Counts(NamedTuple):
    """What the events of a partition add up to; contacts are the touchpoints that `occurring` numbers.

    Attributes
    ----------
    of_stage : int64, (n_stages, 3)
        Journeys with an event in the stage, their customers, and journeys with a progressing event in it.
    of_contact : int64, (n_stages, n_contacts, 3)
        Journeys, events and customers.
    by_channel : int64, (n_stages, n_contacts, n_channels + 1)
        Events; first those without a channel.
    at_goal : int64, n_contacts
        Events that have one of the marks of a goal.
    """

    of_stage: NDArray[np.int64]
    of_contact: NDArray[np.int64]
    by_channel: NDArray[np.int64]
    at_goal: NDArray[np.int64]


@kernel
def occurring(
    stage: NDArray[np.int16], touchpoint: NDArray[Any], n_touchpoints: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per touchpoint how many of its events are in a stage, and how many in none (−1)."""
    inside = np.zeros(n_touchpoints, np.int64)
    outside = np.zeros(n_touchpoints, np.int64)
    for row in range(np.uint64(0), np.uint64(len(stage))):
        code = np.uint64(touchpoint[row])
        assigned = stage[row] >= 0
        inside[code] += assigned
        outside[code] += not assigned
    return inside, outside


@kernel
def count_contacts(
    offsets: NDArray[np.int64],
    customer: NDArray[np.int32],
    stage: NDArray[np.int16],
    touchpoint: NDArray[Any],
    channel: NDArray[np.int16],
    marker: NDArray[np.uint32],
    number: NDArray[np.int64],
    progress: NDArray[np.bool_],
    goal: np.uint32,
    shape: tuple[int, int, int],
) -> Counts:
    """Counts per stage and kind of contact; events without a stage (−1) are passed over.

    `number` gives a touchpoint its place among the contacts, `progress` says which are progress along the
    road, `goal` has the bits of the markers that are one; `shape` is the number of stages, contacts and
    channels. Journeys of one customer follow each other.
    """
    n_stages, n_contacts, n_channels = shape
    of_stage = np.zeros((n_stages, 3), dtype=np.int64)
    of_contact = np.zeros((n_stages, n_contacts, 3), dtype=np.int64)
    by_channel = np.zeros((n_stages, n_contacts, n_channels + 1), dtype=np.int64)
    at_goal = np.zeros(n_contacts, dtype=np.int64)
    seen_journey = np.full(n_stages, -1, dtype=np.int64)
    seen_customer = np.full(n_stages, -1, dtype=np.int64)
    seen_progress = np.full(n_stages, -1, dtype=np.int64)
    seen_contact = np.full((n_stages, n_contacts), -1, dtype=np.int64)
    seen_person = np.full((n_stages, n_contacts), -1, dtype=np.int64)
    for journey in range(len(offsets) - 1):
        for row in range(offsets[journey], offsets[journey + 1]):
            here = stage[row]
            if here < 0:
                continue
            # What was not seen before in this journey is counted without a branch: nobody can foresee it.
            contact, counts = number[touchpoint[row]], progress[touchpoint[row]]
            of_stage[here, 0] += seen_journey[here] != journey
            seen_journey[here] = journey
            of_stage[here, 1] += seen_customer[here] != customer[journey]
            seen_customer[here] = customer[journey]
            of_stage[here, 2] += counts & (seen_progress[here] != journey)
            seen_progress[here] = journey if counts else seen_progress[here]
            of_contact[here, contact, 0] += seen_contact[here, contact] != journey
            seen_contact[here, contact] = journey
            of_contact[here, contact, 2] += seen_person[here, contact] != customer[journey]
            seen_person[here, contact] = customer[journey]
            by_channel[here, contact, channel[row] + 1] += 1
            at_goal[contact] += (marker[row] & goal) != 0
    for here in range(n_stages):
        for contact in range(n_contacts):
            of_contact[here, contact, 1] = by_channel[here, contact].sum()
    return Counts(of_stage, of_contact, by_channel, at_goal)

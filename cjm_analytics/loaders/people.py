"""Who a contact of a customer system is: one of the shop's users, else the system's own number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cjm_analytics.loaders.mapping import column, filled, first, joined, looked_up, unless, whenever

if TYPE_CHECKING:
    from cjm_analytics.loaders.mapping import Saying, Where

__all__ = ["USER", "People"]

USER: Final = "_user_id"
"""Where a loader puts the column that its caller names as holding the ids of the shop's other systems."""


@dataclass(frozen=True)
class People:
    """The contacts of a system, and by which of their ids events name them.

    Attributes
    ----------
    system : str
        Stands before the system's own numbers: `zendesk:17`.
    side : str
        The part that holds the contacts.
    user_id : str
        Its column with the id that the shop's other systems use.
    email : str
        Its column with the address; it is linked to the number, not used in its place: two contacts of one
        address may be two persons.
    """

    system: str
    side: str
    user_id: str = USER
    email: str = "email"

    def number(self, key: Where) -> Saying:
        """The system's own number of a contact as an alias."""
        return joined(f"={self.system}", key)

    def user(self, key: Where) -> Saying:
        """The user whom a key means, where the contacts tell."""
        return looked_up(self.side, key, self.user_id)

    def alias(self, key: Where, *others: Where) -> Saying:
        """The number of a contact who is no known user; without a key the first of `others`."""
        return whenever(unless(filled(self.user(key))), first(self.number(key), *others))

    def best(self, key: Where, *others: Where) -> Saying:
        """The id by which events name a contact."""
        return first(self.user(key), self.alias(key, *others))

    def columns(self, key: Where, *others: Where) -> dict[str, Where]:
        """`user_id` and `anonymous_id` of events that refer to a contact by a key."""
        return {"user_id": self.user(key), "anonymous_id": self.alias(key, *others)}

    def links(self, key: Where) -> tuple[tuple[Where, Where], ...]:
        """For the part that holds the contacts: number and address belong to the user."""
        user = column(self.user_id)
        return (self.number(key), user), (joined("=email", self.email), user)

    def aliases(self, key: Where) -> tuple[tuple[Where, Where], ...]:
        """For the part that holds the contacts: number and address are one person's who is no known user."""
        nobody = unless(filled(self.user_id))
        return ((whenever(nobody, self.number(key)), joined("=email", self.email)),)

    def merges(self, key: Where, survivor: Where) -> tuple[tuple[Where, Where], ...]:
        """A contact that was merged into another one."""
        return (self.number(key), self.number(survivor)), (self.user(key), self.user(survivor))

"""What an object works out once: `functools.cached_property` without its lock."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

__all__ = ["cached_property"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801 - it takes that one's place
        """As it is from Python 3.12 on.

        Before, one lock guards the property of all objects, so that threads that work on different partitions
        wait for each other.
        """

        def __get__(self, instance, owner=None):  # noqa: ANN001, ANN204 - as in functools
            if instance is None:
                return self
            found = instance.__dict__
            if self.attrname not in found:
                found[self.attrname] = self.func(instance)
            return found[self.attrname]

"""Updating a city: sources that changed are read again, ids and claims of everything else stay, and the difference is listed.

===============  =========================================================================
``sources``      which files changed, and reading them in the way they were read
``records``      which record is which of before: added, removed, moved, changed
``strip``        what a source said about some objects taken out
``apply``        what it says now put in, through the merge that fused it
``choose``       the next claim where a chosen one is gone
``derive``       heights and blocks measured anew; what is stale, named
``told``         the list of changes
===============  =========================================================================
"""

from __future__ import annotations

from cim.loaders.update.run import Update, update

__all__ = ["Update", "update"]

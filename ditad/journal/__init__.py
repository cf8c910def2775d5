"""The journal: what was heard, in one order, durable before it is folded (interfaces.md §5).

`schema`, `packing`, `rows`, `derivation` and `failures` decide; `opening`, `folder`, `writer` and `reader` act;
`queries` are the questions both of these ask. Nothing here knows what an event means.
"""

from ditad.journal.folder import StateFolder
from ditad.journal.opening import elsewhere, journal_path
from ditad.journal.reader import Reader
from ditad.journal.rows import (
    Archived,
    Checkpoint,
    Commit,
    Derived,
    StoredRecord,
    digest_of,
    digest_of_lines,
    nothing_derived,
)
from ditad.journal.writer import Journal

__all__ = [
    "Archived",
    "Checkpoint",
    "Commit",
    "Derived",
    "Journal",
    "Reader",
    "StateFolder",
    "StoredRecord",
    "digest_of",
    "digest_of_lines",
    "elsewhere",
    "journal_path",
    "nothing_derived",
]

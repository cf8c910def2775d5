"""The command line: `ditad`, also `python -m ditad`. (interfaces.md §1)

`verbs` knows which there are and what a failure ends with; each verb has a module that is loaded when it is asked for.
"""

from ditad.cli.verbs import main

__all__ = ["main"]

"""What `ditad doctor` finds out: whether the exchange and the machine are as the daemon needs them. (interfaces.md §1)

`findings` has the words; `judging_exchange` and `judging_machine` decide, from facts to findings; `asking`,
`looking` and `knocking` act, and only read; `examining` and `examining_accounts` have the order of all checks.
"""

"""Tell me: divergences and gaps, each change once, to a command or a webhook of the operator's.

`news` decides what is told, `teller` reads the records like any reader and hands on, `command` and `webhook` are where
tellings go, `place` is how far they have come. The fold never waits for any of it.
"""

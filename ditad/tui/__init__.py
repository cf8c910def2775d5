"""The live screen of `ditad top`: what the socket tells, laid out for the person on call.

`watching` asks the daemon, `seen` remembers what it said, `standing`, `board` and `detail` make lines of that, `pages`
paint them and `app` takes keys, with Textual. All but `watching`, `pages` and `app` are pure. The daemon imports none
of it; the extra `tui` installs what it needs.
"""

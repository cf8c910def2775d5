"""The live screen of `ditad top`: what the socket tells, laid out for the person on call.

`watching` asks the daemon, `seen` remembers what it said, `board` and `detail` make lines of that, and `app` shows
them with Textual. All but `watching` and `app` are pure. The daemon imports none of it; the extra `tui` installs what
it needs.
"""

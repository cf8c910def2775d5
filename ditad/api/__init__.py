"""The socket: what is asked of the daemon, and how it answers. (interfaces.md §3)

`routes` and `schema` decide, `server` and `streaming` act, `client` is the other end. The daemon is seen through the
doors in `doors`.
"""

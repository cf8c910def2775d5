"""The border with BingX: bytes come in, events of `ditad.events` go out.

The way of the data: `stream` ▸ `wire` ▸ `push` ▸ `normalize` for what is pushed, `rest` ▸ `wire` ▸ `rows` for what
is asked; `session` decides about the private stream, `audit` about what to ask, `feed` holds one account's whole
conversation and is the only class the daemon uses. Source of every rule: bingx.md, with its marks DOC, CAP and **?**.
"""

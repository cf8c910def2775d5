"""An account's report: one page for people, gathered from the journal in bounded memory."""

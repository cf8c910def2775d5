"""An account's books for accountants: beancount, csv and parquet, streamed from the journal in bounded memory."""

"""What several tests build their inputs with; no mocks of our own modules live here."""

"""The ledger: which step held which credential, and how it died; it decides nothing about a credential's life."""

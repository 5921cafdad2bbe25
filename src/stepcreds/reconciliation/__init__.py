"""Ledgers beside the audit log of the Vault that issued: what one of the two has and the other lacks."""

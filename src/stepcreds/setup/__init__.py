"""The other side of a profile: what Vault and the database need for it. Everything is text and values."""

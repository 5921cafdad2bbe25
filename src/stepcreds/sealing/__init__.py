"""Making a seal: what is to be sealed, by whose key, and how it gets its place; what a seal says is in `seals`."""

"""What is there, as an operator of Vault and administrators of databases see it; compared with a plan, and changed."""

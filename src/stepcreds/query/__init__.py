"""The ledger as tables that SQL can be asked about; what is asked is the reviewer's own."""

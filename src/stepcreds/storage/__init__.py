"""Object stores: ledgers are copied into them, nothing there is overwritten, and the oldest version is fetched."""

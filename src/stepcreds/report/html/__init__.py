"""One file for a browser with all that ledgers say: no network, no other file, nothing of the text in it ever runs."""

"""Where a command left its credential, once it has ended: the files that the CI hands on, and those that it changed."""

"""What differs from CI to CI: who the job is, its identity, how to hide a value and to annotate; one file for each."""

"""What reviewers read: reports of ledgers as pages and tables, post-mortems, blast radius over time, exports."""

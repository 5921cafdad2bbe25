"""Real servers on loopback, for the demo, tests and benchmarks; a step never meets them."""

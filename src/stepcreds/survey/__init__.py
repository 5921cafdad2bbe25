"""The blast radius of a credential: issued, measured, ended and proven dead, and reported; it prints nothing."""

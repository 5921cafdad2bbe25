"""The matrix of powers on PostgreSQL 14; postgresql_matrix.py says how."""

from postgresql_matrix import lab, pytest_generate_tests, test_no_more_than_declared, test_power_beyond_the_profile

__all__ = ["lab", "pytest_generate_tests", "test_no_more_than_declared", "test_power_beyond_the_profile"]

MAJOR = 14

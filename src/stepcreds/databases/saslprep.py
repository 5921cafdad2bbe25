"""SASLprep (RFC 4013) of a password; imported only for one that is not ASCII, because its tables are heavy."""

from __future__ import annotations

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,  # unassigned in Unicode 3.2: a stored string may not hold them
)


def saslprep(text: str) -> str | None:
    """`text` prepared, None where the profile refuses it.

    As PostgreSQL does it (`pg_saslprep`): what is unassigned in Unicode 3.2 is refused, so an emoji is.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    # `ucd_3_2_0` is the Unicode version RFC 3454 fixes; PostgreSQL normalises with the current one, and for
    # characters that version 3.2 knew the two agree (Unicode's stability policy).
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(table(char) for char in prepared for table in _PROHIBITED):
        return None
    right_to_left = [stringprep.in_table_d1(char) for char in prepared]
    if any(right_to_left):
        mixed = any(stringprep.in_table_d2(char) for char in prepared)
        if mixed or not (right_to_left[0] and right_to_left[-1]):
            return None
    return prepared

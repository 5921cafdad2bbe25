"""Many ledgers read at once by somebody who was not there: where they are, whether they are whole, what they say."""

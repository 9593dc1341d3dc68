"""Why something ran, was reused, blocked or refused, from the record of a run alone."""

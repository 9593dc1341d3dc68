"""What a step will take, by the kinds of its units: their work, what they cost so far, and what follows from it."""

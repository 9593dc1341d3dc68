"""What Plan 2 is made of: labels permuted within strata, the stages that they are put through, and their summary."""

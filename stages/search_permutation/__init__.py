"""The best score of the whole search against the best scores of the same search under permuted labels."""

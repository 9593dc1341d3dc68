"""CV scope `pipeline`: gene selection, scale and reduction fitted again on the training cells of each fold."""

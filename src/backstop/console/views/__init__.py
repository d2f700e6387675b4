"""What pages show, made from records: pure, and without a word of HTML."""

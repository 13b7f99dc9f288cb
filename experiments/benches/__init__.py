"""What is measured, one file a subject; ``experiments.bench`` lists and runs them."""

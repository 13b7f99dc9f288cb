"""What is measured, one file a subject; the command ``bench`` lists and runs them."""

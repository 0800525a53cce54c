"""What a grid will be able to show, told before it is run."""

"""What another package adds to mechdyn: one thing a file, each offered by an entry point of the group `mechdyn`."""

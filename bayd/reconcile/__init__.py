"""One module per thing driven: each compares what its bays want with what the world does, and acts."""

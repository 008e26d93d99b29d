"""What the commands do for a technician, each in a module of its own; none of it runs in the daemon."""

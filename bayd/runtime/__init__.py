"""The loop around the core: one task per bay, one input at a time, commit included."""

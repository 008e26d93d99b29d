"""HTTP in: the status, the bays' calls, the event stream. Presents the range; decides nothing."""

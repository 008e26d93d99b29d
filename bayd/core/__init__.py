"""What a bay means: states, events and the pure functions between them.

    decide(bay, input, now, rules) -> Decision(events, refusal)
    evolve(bay, event)             -> the bay after it
    desired(bay)                   -> what each device and service should do now
    next_wake_ms(bay, rules)       -> when the bay wants to be asked again

Nothing here reads a clock, draws a number or touches the world. All instants are milliseconds of the
boot clock (`…_at_ms`, `…_until_ms`) unless the name says `wall`.
"""

"""Search: spaces, rewards, policies and the population's state machine; numpy only, no I/O."""

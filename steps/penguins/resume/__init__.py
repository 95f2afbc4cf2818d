"""Resuming: a run's fingerprint tells what it does, its heartbeat whether it is alive, and recovery takes over stale runs."""

"""The demo: a bus fleet, a broker, and the configuration that joins them; nothing else uses it."""

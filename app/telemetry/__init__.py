"""What the service says about itself: logs, traces, metrics. May be imported by all, imports nothing of the app."""

"""Step-through demos: each one a slow, obvious generator of frozen records, and so an oracle for the engine."""

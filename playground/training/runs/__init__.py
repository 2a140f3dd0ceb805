"""A run of a training: started, queued, carried out by a worker, told in events, watched and stopped."""

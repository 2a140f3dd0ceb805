"""Pictures and where they come from: named sets, folders, uploads, built-in samples, and the one preprocessing."""

"""The pages that teach, one module a lesson."""

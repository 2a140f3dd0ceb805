"""A class in the pages: its page for readers and for the teacher, the guided tour, the answers, links to hand out."""

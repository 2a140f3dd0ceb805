"""Everything drawn with Streamlit: the page frame, the rooms of each page, the parts they share."""

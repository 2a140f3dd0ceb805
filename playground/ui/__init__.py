"""Everything drawn with Streamlit: frame, contents, links; parts that pages share, lessons, studio."""

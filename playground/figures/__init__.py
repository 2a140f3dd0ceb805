"""Records and arrays as Plotly figures. No Streamlit here."""

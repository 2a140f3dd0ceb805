"""The browser app: `python -m streamlit run playground/app.py` from the repository root."""

from playground.ui import frame

frame.run()

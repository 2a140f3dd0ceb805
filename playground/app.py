"""The browser app: `python -m streamlit run playground/app.py` from the repository root.

The server imports this file for `app`: Streamlit's pages and our own routes on one port. Each pass over a page runs it
for what it shows.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from playground import server
from playground.ui import frame, held_uploads

if get_script_run_ctx(suppress_warning=True) is None:
    app = st.App(__file__, routes=server.routes(st.get_option("server.baseUrlPath")),
                 middleware=server.middleware(held_uploads.held), lifespan=server.lifespan)
else:
    frame.run()

"""Models: how good each exported one is, and how to use it elsewhere."""

import streamlit as st

from playground.ui.studio import models, over_http

models.warnings()
entry = models.chosen()
if entry is None:
    models.empty()
else:
    models.headline(entry)
    trial, card, parity, elsewhere = st.tabs(["Try it", "Model card", "Same answer?", "Use it elsewhere"])
    with trial:
        models.trial(entry)
    with card:
        models.card(entry)
    with parity:
        models.parity(entry)
    with elsewhere:
        models.elsewhere(entry)
        over_http.ask(entry)
        models.removal(entry)

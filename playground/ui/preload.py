"""All modules of the pages, loaded one after the other by whoever imports this first, while everybody else waits.

Readers are served by threads. Where two of them import packages that import each other, each holding what the other
one needs, Python hands out modules that are half loaded, and a class that opens the first pages of the day together
sees errors. So nobody opens a page before all are loaded (a second, once). Pandas, that Streamlit loads when it first
shows a table, comes with them: Plotly uses it as it finds it among the loaded modules, half loaded or not.

What is loaded then stays for good. Streamlit looks through every object of the process after each pass over a page
(gc.collect), while all other readers wait; without these packages' objects that takes no 0.15 s any more.
"""

import gc
import importlib
import pkgutil

import playground.ui

importlib.import_module("pandas")
for module in pkgutil.walk_packages(playground.ui.__path__, "playground.ui."):
    if module.name != __name__:
        importlib.import_module(module.name)
gc.freeze()

"""Part of the page "Models": source, onnxruntime and engine beside each other, as measured at export or anew."""

import streamlit as st

from playground import verifying
from playground.deploy import report
from playground.deploy.card import Entry
from playground.deploy.report import CALLED, Report
from playground.errors import PlaygroundError
from playground.numbers import count, counted, number
from playground.ui import frame, links

NAMES = {name: called.removeprefix("the ") for name, called in CALLED.items()}


def show(found: Report) -> None:
    """A report: who answered and how fast, how far any two are apart, and where the first node parts."""
    many = int(found["pictures"]["count"])
    st.markdown(f"**{counted(many, 'picture')}** ({frame.literal(found['pictures']['what'])}) went through each of "
                "these, from raw pixels to scores:")
    st.dataframe([{"through": NAMES[one["by"]], "which is": one["what"],
                   "time a picture": f"{number(float(one['milliseconds']), 3)} ms" if "milliseconds" in one else "–"}
                  for one in found["through"]], hide_index=True)
    for one in found["through"]:
        if "sentence" in one:
            st.info(f"{NAMES[one['by']]}: {frame.literal(one['sentence'])}", icon=":material/block:")
    st.dataframe([{"between": " and ".join(NAMES[name] for name in one["of"]),
                   "same first answer": f"{count(int(one['same_label']))} of {count(many)}",
                   "largest difference of a logit": _number(one["largest"]), "mean": _number(one["mean"]),
                   "allowed": _number(one["allowed"]), "": "yes" if one["ok"] else "NO"}
                  for one in found["between"]], hide_index=True,
                 column_config={"": st.column_config.TextColumn("within it")})
    layers = found["layers"] or {}
    if "nodes" not in layers:
        return
    *_, said = report.sentences(found)
    (st.success if layers["parted"] is None else st.warning)(
        frame.literal(said), icon=":material/check:" if layers["parted"] is None else ":material/call_split:")
    with st.expander("Node by node", icon=":material/account_tree:"):
        st.dataframe([{"operator": one["operator"], "node": one["name"], "gives": " × ".join(map(str, one["shape"])),
                       "largest number": one["size"], "largest difference": one["difference"]}
                      for one in layers["nodes"]], hide_index=True)


def anew(entry: Entry) -> None:
    """A button that makes the report again, from the weights of the run where those are still here."""
    if not st.button("Make the report again", icon=":material/compare_arrows:", key=f"report-{entry.name}",
                     disabled=links.locked(),
                     help="The same pictures go through the trained weights, while the run is kept here (else through "
                          "the answers on the card), through onnxruntime and through our engine, which follows the "
                          "file."):
        return
    with st.spinner("Asking all three, in a process of its own: some seconds…"):
        said = verifying.ask(entry)
    if said.get("report") is None:
        raise PlaygroundError(next((str(check["sentence"]) for check in said.get("checks", []) if not check["ok"]),
                                   str(said.get("error", "The report could not be made."))))
    show(said["report"])


def _number(value: float | None) -> str:
    return "not a number" if value is None else number(float(value), 2)

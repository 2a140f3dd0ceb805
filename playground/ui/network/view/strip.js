// The gradient-flow strip: below each column how large its numbers, their gradients and its weights' steps are.
Object.assign(View.prototype, {
  // Sizes of activations and gradients, column by column, on a logarithmic axis.
  async drawFlow(pane) {
    if (!pane.shown) return;
    const { columns, frame } = pane.shown;
    const parts = columns.map((one) => one.part);
    const forward = this.state.back ? await pane.frame(parts, { back: "" }) : frame;
    if (pane.shown.frame !== frame) return;
    const back = this.state.back ? frame : null;
    const series = [], add = (name, mark, values) => {
      const colour = ["var(--st-text-color)", ...this.data.series]["●■▲◆▼".indexOf(mark)];
      if (values.some((v) => v > 0)) series.push({ name, mark, values, colour });
    };
    add("size of the numbers", "●", forward.parts.map((row) => row.rms));
    if (back) {
      add("size of their gradients", "■", back.parts.map((row) => row.rms));
      add("gradient of the weights over the weights", "▲", pane.inFolds(columns, back.gw));
    }
    add("last step over the weights, |Δw| / |w|", "◆", pane.inFolds(columns, forward.dw));
    add("share of dead units", "▼", pane.inFolds(columns, forward.dead));
    const known = series.flatMap((one) => one.values).filter((v) => v > 0);
    this.flow.replaceChildren();
    pane.list.querySelectorAll(".strip").forEach((one) => one.remove());
    if (!known.length) return;
    const low = floor(log10(min(...known))), high = max(low + 1, ceil(log10(max(...known))));
    const { wide } = this, { lines, inLine } = pane;
    const height = lines > 1 ? 90 : 130, left = wide ? pane.each : 44, step = wide ? pane.each + BETWEEN : (this.width - left - 10) / columns.length;
    const width = wide ? (inLine + 1) * step - BETWEEN : this.width;
    const y = (v) => 8 + (height - 28) * (1 - (log10(v) - low) / (high - low));
    const every = max(1, ceil((high - low) / (lines > 1 ? 3 : 5)));
    // Below each line of columns; what lies before and behind it is cut off at the edges, so that the lines go on.
    for (let line = 0; line < lines; line++) {
      const from = line * inLine, holder = wide ? make(".strip", pane.list) : this.flow;
      if (wide) Object.assign(holder.style, { gridColumn: "1 / -1", gridRow: 6 * line + 6 });
      const sizes = series.map((one) => `${one.name} ${one.values.slice(from, from + inLine).map((v) => numberText(v ?? 0, 2)).join(", ")}`);
      const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Sizes part by part: ${sizes.join("; ")}` }, holder);
      for (let power = low; power <= high; power += every) {
        draw("line", { x1: left, x2: width - 4, y1: y(10 ** power), y2: y(10 ** power), class: "grid" }, svg);
        draw("text", { x: left - 6, y: y(10 ** power) + 4, class: "tick", "text-anchor": "end" }, svg, `10${raised(power)}`);
      }
      const plot = draw("svg", { x: left, width: width - left, height }, svg);
      series.forEach((one) => this.drawSizes(pane, one, plot, (k) => 8 + (k - from) * step + (step - 8) / 2, y, from, from + inLine));
    }
    const legend = make("p.legend", this.flow);
    series.forEach((one) => { const item = make("span", legend); make("b", item, one.mark).style.color = one.colour; item.append(` ${one.name}`); });
  },

  // One series of sizes, from a column to another and a stretch beyond both.
  drawSizes(pane, one, plot, x, y, from, to) {
    const points = one.values.map((v, k) => (v > 0 && k >= from - 1 && k <= to ? [x(k), y(v), v] : null));
    const lines = [];
    points.forEach((point, k) => { if (point && points[k - 1]) lines.push(`M${points[k - 1][0]},${points[k - 1][1]}L${point[0]},${point[1]}`); });
    draw("path", { d: lines.join(""), fill: "none", stroke: one.colour, "stroke-width": 1.5 }, plot);
    points.forEach((point, k) => {
      if (!point || k < from || k >= to) return;
      const [px, py, v] = point;
      const marks = { "●": `M${px - 4},${py}a4,4 0 1 0 8,0a4,4 0 1 0 -8,0`, "■": `M${px - 4},${py - 4}h8v8h-8z`, "▲": `M${px},${py - 5}l5,9h-10z`, "◆": `M${px},${py - 5}l5,5l-5,5l-5,-5z`, "▼": `M${px},${py + 5}l5,-9h-10z` };
      const mark = draw("path", { d: marks[one.mark], fill: one.colour }, plot);
      draw("title", {}, mark, `${pane.cells[k + 1]?.words ?? ""}: ${one.name} ${numberText(v, 4)}`);
    });
  },
});

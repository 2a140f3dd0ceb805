// The film of a training: the loss curve is the scrubber over its epochs.
Object.assign(View.prototype, {
  drawFilm() {
    const { epochs } = this.data;
    this.film.replaceChildren();
    this.film.hidden = epochs.length < 2 && !this.data.live;
    if (this.film.hidden) return;
    const head = make(".line", this.film);
    const name = "▶ Play the training", play = make("button", head, name);
    const stop = () => { clearInterval(this.filmTimer); this.filmTimer = null; play.textContent = name; };
    this.epochWords = make("span.told", head);
    if (this.data.live) {
      const live = make("button", head, "● Live");
      live.ariaPressed = this.state.epoch === "live";
      live.onclick = () => { this.state.epoch = "live"; this.drawFilm(); this.draw(); this.poll(); };
    }
    const { curve } = this.data;
    if (curve.length > 1 && epochs.length) {
      const width = this.width, height = 90, last = epochs.at(-1) || 1;
      const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Loss by epoch" }, this.film);
      const top = max(...curve.flatMap(([, a, b]) => [a ?? 0, b ?? 0])) || 1;
      const x = (e) => 50 + ((width - 66) * e) / last, y = (v) => 6 + (height - 26) * (1 - v / top);
      draw("line", { x1: 50, x2: width - 16, y1: y(0), y2: y(0), class: "grid" }, svg);
      for (const v of [0, top]) draw("text", { x: 44, y: y(v) + 4, class: "tick", "text-anchor": "end" }, svg, numberText(v, 2));
      draw("text", { x: 50, y: height - 2, class: "tick" }, svg, "loss by epoch: training solid, validation dashed");
      [[1, this.data.series[0], ""], [2, this.data.series[1], "5 3"]].forEach(([at, colour, dash]) => {
        const known = curve.filter((row) => row[at] != null);
        draw("path", { d: known.map((row, k) => `${k ? "L" : "M"}${x(row[0])},${y(row[at])}`).join(""), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }, svg);
      });
      this.needle = draw("line", { y1: 4, y2: height - 18, class: "needle" }, svg);
      this.xOf = x;
      svg.onpointerdown = (event) => {
        const box = boxOf(svg);
        const at = (((event.clientX - box.left) * (width / box.width) - 50) / (width - 66)) * last;
        this.toEpoch(epochs.reduce((best, e) => (abs(e - at) < abs(best - at) ? e : best), epochs[0]));
      };
    } else this.needle = null;
    if (epochs.length) {
      const slider = rangeOn(this.film, "Epoch", epochs.length - 1);
      slider.value = max(0, epochs.indexOf(Number(this.state.epoch)));
      slider.oninput = () => this.toEpoch(epochs[Number(slider.value)]);
      this.epochSlider = slider;
    }
    play.onclick = () => {
      if (this.filmTimer) { stop(); return; }
      play.textContent = "❚❚ Pause";
      let at = epochs.indexOf(Number(this.state.epoch));
      if (at < 0 || at === epochs.length - 1) at = -1;
      this.filmTimer = setInterval(() => {
        if (this.drawing) return; // the last one is not drawn yet
        at += 1;
        if (at >= epochs.length) { stop(); return; }
        this.toEpoch(epochs[at]);
      }, 160);
    };
    this.tellEpoch();
  },

  toEpoch(epoch) {
    this.state.epoch = String(epoch);
    this.steps = null;
    this.moving = true;
    if (this.epochSlider) this.epochSlider.value = this.data.epochs.indexOf(epoch);
    this.tellEpoch();
    this.scheduled ??= requestAnimationFrame(() => { this.scheduled = null; this.draw(); });
  },

  tellEpoch() {
    const { epoch } = this.state;
    if (epoch === "live") { this.epochWords.textContent = "as the training is now"; return; }
    const row = this.data.curve.find(([e]) => e === Number(epoch));
    const validation = row?.[2] == null ? "" : `, validation loss ${exact(row[2])}`;
    const words = row ? `: training loss ${exact(row[1])}${validation}` : epoch === "0" ? ": the first weights" : "";
    this.epochWords.textContent = `after epoch ${epoch}${words}`;
    for (const end of ["x1", "x2"]) this.needle?.setAttribute(end, this.xOf(Number(epoch)));
  },

  // While a training runs: twice a second, one after the other, as long as the tab is looked at.
  poll() {
    clearTimeout(this.next);
    if (!this.data.live || this.state.epoch !== "live" || !this.root.isConnected) return;
    this.next = setTimeout(async () => {
      if (!document.hidden) await this.draw();
      this.poll();
    }, 500);
  },
});

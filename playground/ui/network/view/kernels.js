// What a map is the sum of, kernels, and the cells of both, to point at and to press.
Object.assign(Pane.prototype, {
  // Numbers drawn as cells of canvases: one cursor over all of them, moved by the pointer and by arrow keys.
  pick(holder, canvases, rows, columns, say, press) {
    const cursor = cursorOn(holder);
    const point = (k, row, column, focus) => {
      const { offsetLeft, offsetTop, style } = canvases[k];
      const wide = parseFloat(style.width) / columns, tall = parseFloat(style.height) / rows;
      moveTo(cursor, offsetLeft + column * wide, offsetTop + row * tall, wide, tall);
      cursor.ariaLabel = `${say(k, row, column)}. Enter takes it apart.`;
      this.app.say(say(k, row, column));
      cursor.onclick = () => press(k, row, column);
      cursor.onkeydown = (event) => {
        const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!move) return;
        event.preventDefault();
        const [r, c] = [row + move[0], column + move[1]], next = k + move[0] + move[1];
        if (r >= 0 && c >= 0 && r < rows && c < columns) point(k, r, c, true);
        else if (canvases[next]) point(next, (r + rows) % rows, (c + columns) % columns, true);
      };
      if (focus) cursor.focus();
    };
    canvases.forEach((canvas, k) => {
      const at = (act) => ({ clientX, clientY }) => {
        const { left, top, width, height } = boxOf(canvas);
        const cell = (share, count) => max(0, min(count - 1, floor(share * count)));
        act(k, cell((clientY - top) / height, rows), cell((clientX - left) / width, columns));
      };
      canvas.onpointermove = at(point);
      canvas.onclick = at(press);
    });
    return point;
  },

  // Kernels as what can be picked: of each cell is said whose it is, and which number.
  pickWeight(box, holder, canvases, [rows, columns], values, words, press) {
    if (!canvases.length) return;
    const note = make("p.note", box, "Point at a weight; press to choose it.");
    const at = (row, column) => row * columns + column;
    this.pick(holder, canvases, rows, columns, (k, row, column) => (note.textContent = `${words(k)}, row ${row}, column ${column}: weight ${numberText(values[k][at(row, column)], 4)}`), (k, row, column) => this.app.go(press(k, at(row, column))))(0, 0, 0);
    note.textContent = "Point at a weight; press to choose it.";
  },

  // The map as a sum of input maps times kernels.
  drawSum(parent, frame, part, channel) {
    const { sum } = frame;
    const box = make(".sum", parent);
    make("h2", box, sum.turned ? "is a sum: the gradient of each map behind it, correlated in full with the turned kernel" : `is a sum: input maps times kernels${sum.bias ? ", and a bias" : ""}`);
    const list = make("ol", box);
    const owner = ({ owner }) => (owner < 0 ? "picture, channel" : "map");
    const kernels = sum.of.map((one) => floats(frame, one.kernel)), drawn = [];
    sum.of.forEach((one, k) => {
      const item = make("li", list);
      const source = make("button.plain", item);
      source.title = `${this.partWords(one.owner)}, ${owner(one)} ${one.channel}`;
      this.thumb(source, frame, one.source, source.title);
      make("small", source, `${owner(one)} ${one.channel}`);
      if (one.owner >= 0) source.onclick = () => this.app.go({ part: one.owner, channel: one.channel });
      else source.disabled = true;
      make("span.sign", item, "⊛");
      const [rows, columns] = one.kernel.shape;
      const canvas = make("canvas.kernel", item);
      canvas.ariaLabel = `kernel ${[...kernels[k]].map((v) => numberText(v, 3)).join(", ")}`;
      const unit = min(16, 56 / max(rows, columns));
      drawBytes(canvas, bytesOf(kernels[k], largest(kernels[k])), columns, rows, this.app.table, columns * unit, rows * unit);
      drawn.push(canvas);
      make("span.sign", item, "=");
      this.thumb(item, frame, one.values, `their product, root mean square ${exact(one.weight)}`);
      make("small", item, `size ${numberText(one.weight, 3)}`);
    });
    if (sum.left) {
      const item = make("li", list);
      make("span.rest", item, `and ${counted(sum.left, "other")}, together`);
      this.thumb(item, frame, sum.others, "the sum of the others");
    }
    if (!sum.turned) make("p", box, sum.bias ? `and the bias b[${channel}] = ${exact(sum.bias)}.` : "No bias is added.");
    this.pickWeight(box, box, drawn, sum.of[0].kernel.shape, kernels, (k) => `${owner(sum.of[k])} ${sum.of[k].channel}`, (k, at) => {
      const one = sum.of[k];
      return sum.turned ? { part: one.owner, channel: one.channel, weight: one.at + kernels[k].length - 1 - at } : { part, channel, weight: one.at + at };
    });
  },

  // What a part without kernels made the map of; on the way back, what each part that takes it sends.
  drawSources(parent, { sources, winners, ...frame }) {
    const box = make(".sum", parent);
    make("h2", box, this.back ? "is what comes back from" : "is made of");
    const whole = sources.reduce((sum, { size }) => sum + size, 0);
    for (const one of sources) {
      const button = make("button.plain", box);
      const words = (one.channel === null ? "" : `map ${one.channel} of `) + this.partWords(one.owner);
      const [context, scale] = this.thumb(button, frame, one, words, 120);
      for (const [row, column] of winners ?? []) context.strokeRect(column * scale + 0.5, row * scale + 0.5, scale - 1, scale - 1);
      make("small", button, words);
      if (sources.length > 1) make("small", button, `size ${numberText(one.size, 3)}: ${percentText(one.size / whole)}`);
      button.onclick = () => this.app.go({ part: one.owner, channel: one.channel });
    }
    if (winners?.length) make("small", box, "Framed: the largest of each window, which goes on.");
  },

  drawKernel(parent, frame, part, channel) {
    const { kernel } = frame;
    const box = make(".kernels", parent);
    const show = (values, words) => {
      make("h2", box, words);
      const [count, rows, columns] = kernel.of, size = rows * columns;
      const shown = min(count, floor(values.length / size));
      if (!shown) return;
      const limit = largest(values);
      const line = make(".line", box);
      const kernels = Array.from({ length: min(shown, 64) }, (_, c) => values.subarray(c * size, (c + 1) * size));
      const drawn = kernels.map((own, c) => {
        const canvas = make("canvas.kernel", line);
        canvas.ariaLabel = `channel ${c}, largest ${numberText(largest(own), 3)}`;
        const unit = size > 1 ? max(1, min(16, 56 / max(rows, columns))) : 16;
        drawBytes(canvas, bytesOf(own, limit), columns, rows, this.app.table, min(columns * unit, this.app.width - 40), rows * unit);
        return canvas;
      });
      const some = shown < count ? `, the first ${shown} of ${count} channels` : "";
      make("small", box, `full colour at ±${numberText(limit, 3)}${some}`);
      this.pickWeight(box, line, drawn, [rows, columns], kernels, (c) => `channel ${c}`, (c, at) => ({ part, channel, weight: c * size + at }));
    };
    show(floats(frame, kernel), `The weights of ${this.mapWords(part, channel)}`);
    if (kernel.gradient) show(floats(frame, kernel.gradient), "Their gradients: summed over all places where each was used");
  },
});

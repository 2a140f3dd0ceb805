// A model at work in this browser: where its runtime comes from, which picture it sees, what it says of it, how long that
// takes, and the server's answer beside it. `panel(root, data)` draws; called again with other data, it goes on from where
// it was. Nothing of a picture leaves the browser unless "Ask the server" is pressed.
//
// data: name, model (address), key (another one for another file), bytes, labels, input, output, preparation (null: the
// file takes pixels), batch and single where they matter (see `answered`), ink (whether dark ink is to become light),
// picture {name, png} (base64) and server {scores, milliseconds} of the page's own picture or null, predict (address) or
// null, runtime {version, address, cdn, host, files}, near (where files come from, in words), missing (what to do where the
// runtime is not there), chooses (whether the reader has to choose the model's file), locked.
const MOST_ROWS = 5, IN_ORDER = 10, LIVE_SIDE = 384, REST = 60;
const TIMES = 10, LONG_ENOUGH = 300, PATIENCE = 3000, KEPT_TIMES = 60;
const panels = new WeakMap();

function panel(root, data) {
  let state = panels.get(root);
  if (!state) {
    state = new Panel(root);
    panels.set(root, state);
  }
  state.take(data);
  return () => setTimeout(() => { if (!root.isConnected) state.camera(false); }, 300);
}

function made(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

const share = (p) => (Number.isFinite(p) ? shareText(p) : "–");
const lasting = (ms) => (ms < 1000 ? `${numberText(ms, 3)} ms` : `${numberText(ms / 1000, 3)} s`);
const megabytes = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const median = (values) => values.slice().sort((a, b) => a - b)[Math.floor(values.length / 2)];

class Panel {
  constructor(root) {
    Object.assign(this, { root, ort: null, session: null, file: null, source: "", picture: null, seen: null, said: null,
      times: [], first: 0, turn: 0, runs: 0, opening: null, asked: null, video: stateOf(root, { timer: 0 }), missing: "" });
    root.replaceChildren();
    const part = (tag, name, text, where = root) => where.appendChild(made(tag, name, text));
    this.begin = part("div", "begin");
    this.here = part("button", "primary", "Run it in this browser", this.begin);
    this.why = part("p", "quiet", "", this.begin);
    this.model = part("label", "file", "A page opened as a file may not read those beside it, so choose model.onnx: ",
      this.begin);
    this.modelFile = part("input", "", "", this.model);
    this.elsewhere = part("button", "", "", this.begin);
    this.state = part("p", "state");
    this.state.setAttribute("aria-live", "polite");
    this.work = part("div", "work");
    const sources = part("div", "sources", "", this.work);
    this.buttons = { page: part("button", "", "", sources), file: part("button", "", "A photo of yours", sources),
      camera: part("button", "", "Camera", sources) };
    this.given = part("input", "", "", sources);
    this.turned = part("button", "", "Other camera", sources);
    this.inked = part("label", "ink", "", this.work);
    this.ink = part("input", "", "", this.inked);
    this.inked.append(" Dark ink on light paper");
    const columns = part("div", "columns", "", this.work);
    const seen = part("figure", "seen", "", columns);
    this.view = part("div", "view", "", seen);
    this.stream = part("video", "", "", this.view);
    this.canvas = part("canvas", "", "", this.view);
    this.caption = part("figcaption", "quiet", "", seen);
    const answer = part("div", "answer", "", columns);
    this.best = part("p", "best", "", answer);
    this.table = part("table", "", "", answer);
    this.beside = part("p", "beside", "", answer);
    this.ask = part("button", "", "Ask the server, too (sends it this picture)", answer);
    this.figures = part("p", "quiet", "", answer);
    for (const button of root.querySelectorAll("button")) button.type = "button";
    this.modelFile.type = this.given.type = "file";
    this.modelFile.accept = ".onnx";
    this.given.accept = "image/*";
    this.given.hidden = true;
    this.given.setAttribute("aria-label", "A photo of yours");
    this.ink.type = "checkbox";
    this.ink.checked = true;
    Object.assign(this.stream, { playsInline: true, muted: true });
    this.canvas.setAttribute("role", "img");

    this.here.onclick = () => this.start(this.data.runtime.address, "");
    this.elsewhere.onclick = () => this.start(this.data.runtime.cdn, this.data.runtime.host);
    this.modelFile.onchange = async () => {
      const [file] = this.modelFile.files;
      if (file) this.file = new Uint8Array(await file.arrayBuffer());
      this.draw();
    };
    this.buttons.page.onclick = () => this.choose("page");
    this.buttons.file.onclick = () => this.given.click();
    this.buttons.camera.onclick = () => (this.source === "camera" && this.video.stream ? this.camera(false)
      : this.choose("camera"));
    this.turned.onclick = async () => {
      this.video.facing = turned(this.video.facing);
      await this.camera(false);
      await this.camera(true);
    };
    this.given.onchange = () => this.choose("file");
    this.ink.onchange = () => this.look();
    this.ask.onclick = () => this.guarded(() => this.askServer());
  }

  // New data from the page: another model is opened at once where one was; another picture is asked about, and the same
  // one again under another preparation.
  take(data) {
    const before = this.data ?? data, asked = (one) => JSON.stringify([one.preparation, one.output]);
    this.data = data;
    if (before.key !== data.key) {
      this.session?.release();
      this.session = this.said = null;
      if (this.ort) this.guarded(() => this.open());
    } else if (this.session && this.source === "page" && before.picture?.png !== data.picture?.png) {
      this.choose(data.picture ? "page" : "");
    } else if (asked(before) !== asked(data)) {
      this.look();
    } else if (this.source === "page") {
      this.compare();
    }
    this.draw();
  }

  // Runs what may fail, one thing at a time for the reader: what went wrong is said, what stands goes on standing.
  async guarded(work) {
    this.tell("");
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Trouble)) console.error(error);
      if (error instanceof Missing) this.missing = this.data.missing;
      this.tell(error instanceof Trouble ? error.message : `Something went wrong in this browser: ${error.message ?? error}`,
        true);
    }
    this.draw();
  }

  tell(text, trouble = false) {
    this.state.textContent = text;
    this.state.classList.toggle("trouble", trouble);
  }

  start(address, host) {
    return this.guarded(async () => {
      if (this.busy) return;
      this.busy = true;
      try {
        const began = performance.now();
        this.draw();
        this.tell(`Fetching onnxruntime-web ${this.data.runtime.version} from ${host || this.data.near} …`);
        this.ort = await runtimeFrom(address, this.data.runtime.files, host);
        this.loadedIn = performance.now() - began;
        await this.open();
      } finally {
        this.busy = false;
      }
    });
  }

  async open() {
    const key = this.data.key, began = performance.now();
    this.opening = key;
    this.draw();
    try {
      this.tell(`Fetching the model (${megabytes(this.data.bytes)}) …`);
      const bytes = this.file ?? await modelBytes(this.data.model);
      this.tell("Opening the model …");
      const session = await opened(this.ort, bytes);
      if (key !== this.data.key) return void session.release(); // another one was chosen meanwhile
      this.session = session;
      this.openedIn = performance.now() - began;
      this.bytes = bytes.length;
      this.times = [];
      this.tell("");
    } finally {
      if (this.opening === key) this.opening = null;
    }
    if (this.source === "camera") return;
    if (this.source === "file" && this.picture) await this.look();
    else await this.choose(this.data.picture ? "page" : "");
  }

  choose(source) {
    return this.guarded(async () => {
      const turn = ++this.turn;
      if (source !== "camera") await this.camera(false);
      if (source === "page") {
        const { name, png } = this.data.picture;
        const blob = new Blob([Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0))], { type: "image/png" });
        this.picture = { name, pixels: await pixelsOfFile(blob, name, Infinity) };
      } else if (source === "file") {
        const [file] = this.given.files;
        if (!file) return;
        const pixels = await pixelsOfFile(file, file.name);
        this.picture = { name: file.name, pixels };
        this.given.value = ""; // the same file may be given again
      }
      if (turn !== this.turn) return;
      const before = this.source;
      this.source = source;
      this.times = [];
      if (source === "camera") await this.camera(true);
      else if (source) await this.look();
      if (source === "camera" && !this.video.stream) this.source = before;
    });
  }

  async camera(on) {
    clearTimeout(this.video.timer);
    if (on && !this.video.stream) {
      await switchOn(this.video, this.stream, this.view, "Choose a photo instead.");
      if (this.video.trouble) this.tell(this.video.trouble, true);
      this.times = [];
      this.follow();
    } else if (!on && this.video.stream) {
      switchOff(this.video, this.stream);
    }
    this.draw();
  }

  // One picture after the other, with a rest between them in which the page can be used.
  async follow() {
    if (!this.video.stream || !this.root.isConnected) return;
    const pixels = document.hidden || !this.session ? null : pixelsOfVideo(this.stream, LIVE_SIDE);
    if (pixels) {
      this.picture = { name: "what the camera sees", pixels };
      try {
        await this.run(1);
      } catch (error) {
        await this.camera(false);
        this.tell(error.message, true);
      }
    }
    const rest = Math.max(REST, (this.said?.milliseconds ?? 0) / 2);
    if (this.video.stream) this.video.timer = setTimeout(() => this.follow(), rest);
  }

  look() {
    return this.picture && this.session ? this.guarded(() => this.run(TIMES)) : Promise.resolve();
  }

  async run(most) {
    const { data, session, picture, source } = this, turn = ++this.runs;
    // the page's own picture has been made light on black where the reader wants it
    this.seen = data.ink && source !== "page" && this.ink.checked ? ink(picture.pixels) : picture.pixels;
    const seen = this.seen;
    let began = performance.now();
    this.asked = null;
    for (let k = 0; k < most && turn === this.runs && session === this.session; k++) {
      const said = await answered(this.ort, session, seen, data);
      if (turn !== this.runs || session !== this.session || picture !== this.picture) return; // something else is asked
      this.said = said;
      if (k > 0 || most === 1) this.times = [...this.times, said.milliseconds].slice(-KEPT_TIMES);
      if (k > 0 && performance.now() - began > LONG_ENOUGH) break;
      if (k > 0 || most === 1) continue;
      this.first = said.milliseconds;
      this.times = [];
      this.show(); // what it says is seen before how long it takes is measured
      if (this.first > PATIENCE) return;
      await new Promise((resolve) => setTimeout(resolve, 0));
      began = performance.now();
    }
    if (turn === this.runs && session === this.session) this.show();
  }

  show() {
    const { data, said, seen } = this;
    drawPixels(this.canvas, seen);
    this.canvas.classList.toggle("small", Math.max(seen.width, seen.height) <= 64);
    const live = this.source === "camera" && this.video.stream !== null;
    this.canvas.setAttribute("aria-label", this.picture.name);
    this.probabilities = probabilitiesOf(said.scores);
    const order = this.probabilities.map((p, k) => k);
    if (!live || order.length > IN_ORDER) order.sort((a, b) => this.probabilities[b] - this.probabilities[a]);
    this.order = order.slice(0, live && order.length <= IN_ORDER ? IN_ORDER : MOST_ROWS);
    const best = this.probabilities.indexOf(Math.max(...this.probabilities));
    this.best.textContent = best < 0 ? "Its scores are no numbers." : `${this.label(best)}, ${share(this.probabilities[best])}`;
    this.compare();
  }

  label(k) {
    return this.data.labels[k] ?? `class ${k}`;
  }

  // The server's answer to the same picture, where there is one.
  theirs() {
    const server = this.source === "page" ? this.data.server : null;
    if (server) {
      const gap = Math.max(...this.said.scores.map((one, k) => Math.abs(one - server.scores[k])));
      return { of: probabilitiesOf(server.scores), gap, what: "score", milliseconds: server.milliseconds };
    }
    if (!this.asked) return null;
    const gap = Math.max(...this.probabilities.map((one, k) => Math.abs(one - this.asked.of[k])));
    return { ...this.asked, gap, what: "probability" };
  }

  compare() {
    if (!this.said || !this.order) return;
    const theirs = this.theirs(), rows = [], { width, height } = this.seen;
    this.caption.textContent = `${this.picture.name}, ${width} × ${height} pixels`
      + (this.source === "page" ? "" : this.asked ? ": the server was sent it" : ": it stays in this browser");
    const head = made("tr", "");
    head.append(made("th", "", "class"), made("th", "", "this browser"), ...(theirs ? [made("th", "right", "server")] : []));
    for (const k of this.order) {
      const row = made("tr", ""), cell = made("td", "bar"), bar = made("span", "fill"), said = made("span", "", share(this.probabilities[k]));
      bar.style.width = `${100 * Math.min(1, Math.max(0, this.probabilities[k] || 0))}%`;
      cell.append(bar, said);
      row.append(made("td", "label", this.label(k)), cell, ...(theirs ? [made("td", "right", share(theirs.of[k]))] : []));
      rows.push(row);
    }
    this.table.replaceChildren(head, ...rows);
    this.beside.textContent = theirs ? `Browser and server differ by at most ${numberText(theirs.gap, 2)} in a ${theirs.what}. `
      + `The server took ${lasting(theirs.milliseconds)}.` : "";
    const count = this.times.length;
    this.figures.textContent = "In this browser: "
      + [count ? `${lasting(median(this.times))} a picture (median of ${count})` : "",
        this.first ? `the first picture ${lasting(this.first)}` : ""].filter(Boolean).join(", ")
      + `; onnxruntime-web was ready after ${lasting(this.loadedIn)}, the model (${megabytes(this.bytes)}) after another `
      + `${lasting(this.openedIn)}.`;
    this.draw();
  }

  async askServer() {
    const { seen, picture } = this, canvas = document.createElement("canvas");
    drawPixels(canvas, seen);
    const png = await new Promise((done) => canvas.toBlob(done, "image/png"));
    let answer, said;
    try {
      answer = await fetch(new URL(`${this.data.predict}?as_it_is=true`, document.baseURI),
        { method: "POST", body: png, headers: { "Content-Type": "image/png" } });
      said = await answer.json();
    } catch {
      throw new Trouble("The server does not answer.");
    }
    if (!answer.ok) throw new Trouble(said.error ?? `The server answered ${answer.status}.`);
    if (picture !== this.picture) return;
    const of = new Map(said.predictions.map((one) => [one.label, one.probability]));
    this.asked = { of: this.probabilities.map((_, k) => of.get(this.label(k)) ?? NaN), milliseconds: 1000 * said.seconds };
    this.compare();
  }

  draw() {
    const { data, source } = this, ready = this.session !== null, near = data.runtime.address !== null && !this.missing;
    const live = this.video.stream !== null;
    this.begin.hidden = ready || this.opening !== null;
    this.here.hidden = !near;
    this.elsewhere.hidden = near;
    this.elsewhere.textContent = `Run it in this browser with onnxruntime-web from ${data.runtime.host}`;
    this.model.hidden = !data.chooses;
    for (const button of [this.here, this.elsewhere]) button.disabled = this.busy || (data.chooses && !this.file);
    this.why.textContent = near
      ? `It fetches the model (${megabytes(data.bytes)}) and, once, onnxruntime-web from ${data.near}. Photos and the camera `
        + "stay in this browser."
      : `${data.missing} Or your browser asks ${data.runtime.host} for it (14 MB, compressed 4): that server then learns your `
        + "network address, and nothing of the model or the picture, which stay here.";
    this.work.hidden = !ready;
    for (const [name, button] of Object.entries(this.buttons)) {
      button.setAttribute("aria-pressed", String(name === source));
      button.disabled = data.locked;
    }
    this.buttons.page.hidden = !data.picture;
    this.buttons.page.textContent = data.picture ? `The page's picture` : "";
    this.buttons.camera.textContent = live ? "Switch the camera off" : "Camera";
    this.turned.hidden = !live || !this.video.several;
    this.inked.hidden = !data.ink || source === "page" || source === "";
    this.stream.hidden = !live;
    this.view.classList.toggle("live", live);
    this.canvas.hidden = !this.said || (live && !data.ink);
    this.ask.hidden = !data.predict || source === "page" || live || !this.said || this.asked !== null;
  }
}

// onnxruntime-web on this computer's processor: its files checked as they come, a model opened, a picture asked about.

// The runtime is not where it was looked for: it may be had from elsewhere.
class Missing extends Trouble {}

const runtimes = new Map(); // where its files are -> a promise of it: a page loads it once

// Fetched whole and unchanged, or a sentence. `host` is the other server that is asked, if it is one.
async function checked(address, { name, integrity }, host) {
  const who = host || "The server of this page", place = new URL(address + name, document.baseURI);
  const referrerPolicy = "no-referrer";
  try {
    return new Uint8Array(await (await fetch(place, { integrity, referrerPolicy })).arrayBuffer());
  } catch { // whatever was wrong: the browser tells a script no more than that
    const status = await fetch(place, { method: "HEAD", referrerPolicy }).then((one) => one.status, () => null);
    if (status === null)
      throw new Missing(`${who} cannot be reached, or something (a blocker, a rule of this page) keeps the browser from `
        + "asking it, so onnxruntime-web could not be fetched.");
    if (status >= 400) throw new Missing(`${who} has no ${name} to give (it answered ${status}).`);
    throw new Missing(`${who} did not send ${name} as it was published, so it is not run.`);
  }
}

async function loaded(address, files, host) {
  if (typeof WebAssembly !== "object")
    throw new Trouble("This browser does not run WebAssembly (a strict setting can switch it off), so it cannot run a model.");
  const [main, glue, machine] = await Promise.all(files.map((file) => checked(address, file, host)));
  const module = (bytes) => URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  const ort = await import(module(main));
  ort.env.wasm.numThreads = 1; // more would want a page that is isolated from all others
  ort.env.wasm.wasmPaths = { mjs: module(glue) };
  ort.env.wasm.wasmBinary = machine;
  ort.env.logLevel = "error";
  return ort;
}

function runtimeFrom(address, files, host) {
  if (!runtimes.has(address)) {
    const promise = loaded(address, files, host);
    promise.catch(() => runtimes.delete(address)); // it may be there at the next try
    runtimes.set(address, promise);
  }
  return runtimes.get(address);
}

async function modelBytes(address) {
  let answer;
  try {
    answer = await fetch(new URL(address, document.baseURI));
  } catch {
    throw new Trouble("The model could not be fetched: the server does not answer.");
  }
  if (answer.status === 404) throw new Trouble("The model is no longer there: it was removed meanwhile, or never lay here.");
  if (!answer.ok) throw new Trouble(`The model could not be fetched: the server answered ${answer.status}.`);
  try {
    return new Uint8Array(await answer.arrayBuffer());
  } catch {
    throw new Trouble("The model did not arrive whole: the connection broke off, or this browser has no memory for it.");
  }
}

async function opened(ort, bytes) {
  try {
    return await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  } catch (error) {
    throw new Trouble(refusal(error));
  }
}

// What the model says of a picture: `scores` of one output, and the milliseconds it took. A model of a fixed `batch` is
// given the picture so often. One score alone becomes two, which a `single` "logit" or "probability" says how.
async function answered(ort, session, picture, { input, output, preparation, batch = 1, single = null }) {
  const { height, width, data } = picture;
  const given = preparation ? prepared(picture, preparation) : { dims: [1, height, width, 3], data };
  const type = preparation ? preparation.number : "uint8";
  const tensor = new ort.Tensor(type, repeated(given.data, batch), [batch, ...given.dims.slice(1)]);
  const began = performance.now();
  let said;
  try {
    said = await session.run({ [input]: tensor }, [output]);
  } catch (error) {
    throw new Trouble(refusal(error));
  }
  const milliseconds = performance.now() - began;
  const rows = Array.from(said[output].data, Number), scores = rows.slice(0, rows.length / batch);
  said[output].dispose();
  if (single) scores.unshift(single === "logit" ? 0 : 1 - scores[0]);
  return { scores, milliseconds };
}

function repeated(data, times) {
  if (times === 1) return data;
  const all = new data.constructor(data.length * times);
  for (let k = 0; k < times; k++) all.set(data, k * data.length);
  return all;
}

// onnxruntime-web throws a number where C++ ran out of memory, and a long line for everything else.
function refusal(error) {
  const said = String(error?.message ?? error).split("\n")[0].slice(0, 300);
  if (typeof error === "number" || error instanceof RangeError || /memory|alloc|OOM|\bgrow\b|Aborted/i.test(said))
    return "This browser has not the memory for it: a model, or its picture, is too large for a page. The server can run it.";
  return `onnxruntime-web cannot run this model: ${said}`;
}

// Scores as probabilities: as they are where they are some already, else their softmax.
function probabilitiesOf(scores) {
  const sum = scores.reduce((all, one) => all + one, 0), most = Math.max(...scores);
  if (!Number.isFinite(sum) || (scores.every((one) => one >= 0) && Math.abs(sum - 1) < 1e-3)) return scores;
  const powers = scores.map((one) => Math.exp(one - most)), all = powers.reduce((total, one) => total + one, 0);
  return powers.map((one) => one / all);
}

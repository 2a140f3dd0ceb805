// What the camera sees, again and again: the next picture goes when the last one has been answered and half as much time
// as that took has passed, which the server has for others. None goes while the page is not looked at.
const PAUSE = 150, AWAY = 1_000, PATIENCE = 10_000, LONGEST = 384;

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".camera");
  const part = (name) => root.querySelector(name);
  const view = part(".view"), video = part("video"), off = part(".off");
  const take = part(".take"), turn = part(".turn"), end = part(".end");
  const known = cameras.has(root);
  const state = stateOf(root, { timer: 0, sentAt: 0, seen: data.answered });

  const draw = () => {
    const on = state.stream !== null;
    view.hidden = !on && data.kept && !state.trouble; // the picture that was kept stands below
    off.textContent = on ? "" : state.trouble || "The camera is off.";
    take.disabled = data.locked;
    take.hidden = on;
    turn.hidden = !on || !state.several;
    end.hidden = !on;
  };
  const later = (milliseconds) => {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => state.send(), milliseconds);
  };
  state.send = () => {
    if (state.stream === null) return;
    const picture = document.hidden ? null : pictureOf(video, LONGEST, 0.85);
    if (picture === null) return later(PAUSE);
    state.sentAt = performance.now();
    setTriggerValue("picture", { shot: picture, on: true });
    later(PATIENCE);
  };
  const start = async () => {
    await switchOn(state, video, view, "Choose another picture instead.");
    draw();
    state.send();
  };
  const stop = () => {
    clearTimeout(state.timer);
    switchOff(state, video);
    draw();
  };

  if (state.stream !== null) { // drawn again: with an answer, or without one because it was away from the page for a moment
    const answered = state.seen !== data.answered;
    later(answered ? Math.max(PAUSE, (performance.now() - state.sentAt) / 2) : AWAY);
  }
  state.seen = data.answered;
  take.onclick = () => { if (state.stream === null && !data.locked) start(); };
  turn.onclick = () => { state.facing = turned(state.facing); stop(); start(); };
  end.onclick = () => {
    const last = pictureOf(video, LONGEST, 0.85); // it stays
    stop();
    setTriggerValue("picture", { shot: last, on: false });
  };
  draw();
  if (!known && data.on) setTriggerValue("picture", { on: false }); // it was on when it was last seen on the page
  return () => setTimeout(() => { if (!root.isConnected) stop(); }, 300);
}

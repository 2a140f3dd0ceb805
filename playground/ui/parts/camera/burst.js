// Photographs from the camera: a press is one, holding takes five a second; they are sent together when it is let go.
const PAUSE = 200, MOST = 40, LONGEST = 512;

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".camera");
  const part = (name) => root.querySelector(name);
  const view = part(".view"), video = part("video"), off = part(".off"), count = part(".count"), said = part(".said");
  const take = part(".take"), turn = part(".turn"), end = part(".end");
  const state = stateOf(root, { shots: [], timer: 0, sent: 0, seen: data.taken });
  const holding = () => state.timer !== 0;

  const draw = () => {
    const on = state.stream !== null;
    off.textContent = on ? "" : state.trouble || "The camera is off.";
    take.textContent = on ? `Hold to take photos of ${data.label}` : "Switch the camera on";
    take.disabled = data.locked || state.sent > 0;
    turn.hidden = !on || !state.several;
    end.hidden = !on;
    view.classList.toggle("taking", holding());
    count.textContent = holding() ? String(state.shots.length) : "";
  };
  const start = async () => { await switchOn(state, video, view, "Add files instead."); draw(); };
  const stop = () => { switchOff(state, video); draw(); };
  const shot = () => {
    const picture = state.shots.length < MOST ? pictureOf(video, LONGEST, 0.9) : null;
    if (picture === null) return;
    state.shots.push(picture);
    draw();
  };
  const press = () => {
    if (holding() || state.sent) return;
    state.label = data.label; // what was on the button when it was pressed
    state.timer = setInterval(shot, PAUSE);
    shot();
  };
  const release = () => {
    if (!holding()) return;
    clearInterval(state.timer);
    state.timer = 0;
    state.sent = state.shots.length;
    if (state.sent) {
      said.textContent = state.sent === 1 ? "Keeping 1 photo …" : `Keeping ${state.sent} photos …`;
      setTriggerValue("shots", { label: state.label, shots: state.shots });
    }
    state.shots = [];
    draw();
  };

  if (state.seen !== data.taken) { // the server has answered
    state.seen = data.taken;
    state.sent = 0;
    said.textContent = "";
  }
  take.onclick = () => { if (state.stream === null && !data.locked) start(); };
  take.onpointerdown = (event) => {
    if (state.stream === null || event.button || take.disabled) return;
    take.setPointerCapture(event.pointerId);
    press();
  };
  take.onpointerup = take.onpointercancel = take.onblur = release;
  take.oncontextmenu = (event) => event.preventDefault(); // a long press on a phone
  take.onkeydown = (event) => {
    if (state.stream === null || !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    press();
  };
  take.onkeyup = (event) => { if (["Enter", " "].includes(event.key)) release(); };
  turn.onclick = () => { state.facing = turned(state.facing); stop(); start(); };
  end.onclick = stop;
  draw();
  // Called when the component goes, and (so it may be) before it is drawn again: only then it is still there.
  return () => setTimeout(() => { if (!root.isConnected) { clearInterval(state.timer); stop(); } }, 300);
}

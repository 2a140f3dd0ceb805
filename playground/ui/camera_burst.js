// Photographs from the camera: a press is one, holding takes five a second; they are sent together when it is let go.
const PAUSE = 200, MOST = 40, LONGEST = 512;
const cameras = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".burst");
  const part = (name) => root.querySelector(name);
  const view = part(".view"), video = part("video"), off = part(".off"), count = part(".count"), said = part(".said");
  const take = part(".take"), turn = part(".turn"), end = part(".end");
  const state = cameras.get(root) ?? { stream: null, shots: [], timer: 0, sent: 0, facing: "environment", seen: data.taken };
  cameras.set(root, state);
  const holding = () => state.timer !== 0;

  const draw = () => {
    const on = state.stream !== null;
    off.textContent = on ? "" : state.trouble ?? "The camera is off.";
    take.textContent = on ? `Hold to take photos of ${data.label}` : "Switch the camera on";
    take.disabled = data.locked || state.sent > 0;
    turn.hidden = !on || !state.several;
    end.hidden = !on;
    view.classList.toggle("taking", holding());
    count.textContent = holding() ? String(state.shots.length) : "";
  };
  const stop = () => {
    state.stream?.getTracks().forEach((track) => track.stop());
    state.stream = null;
    video.srcObject = null;
    draw();
  };
  const start = async () => {
    state.trouble = undefined;
    if (!navigator.mediaDevices) {
      state.trouble = "Browsers lend the camera only to pages over https or on this very computer. Add files instead.";
      return draw();
    }
    try {
      state.stream = await navigator.mediaDevices.getUserMedia({
        audio: false, video: { facingMode: { ideal: state.facing }, width: { ideal: 640 }, height: { ideal: 480 } } });
      video.srcObject = state.stream;
      await video.play();
      const settings = state.stream.getVideoTracks()[0].getSettings();
      view.classList.toggle("mirrored", settings.facingMode !== "environment"); // as in a mirror; photos are not
      const devices = await navigator.mediaDevices.enumerateDevices();
      state.several = devices.filter((device) => device.kind === "videoinput").length > 1;
    } catch (error) {
      state.trouble = error.name === "NotAllowedError" ? "The browser was told not to lend the camera. Add files instead."
        : "There is no camera that can be used. Add files instead.";
    }
    draw();
  };
  const shot = () => {
    if (!video.videoWidth || state.shots.length >= MOST) return;
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    state.shots.push(canvas.toDataURL("image/jpeg", 0.9));
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
  turn.onclick = () => { state.facing = state.facing === "user" ? "environment" : "user"; stop(); start(); };
  end.onclick = stop;
  draw();
  // Called when the component goes, and (so it may be) before it is drawn again: only then it is still there.
  return () => setTimeout(() => { if (!root.isConnected) { clearInterval(state.timer); stop(); } }, 300);
}

// What every camera of a page has in common: its state, which stays while the component is drawn again, on and off, and
// a picture of what it sees. The component's own script follows.
const cameras = new WeakMap();

function stateOf(root, first) {
  const state = cameras.get(root) ?? { stream: null, facing: "environment", several: false, trouble: "", ...first };
  cameras.set(root, state);
  return state;
}

async function switchOn(state, video, view, instead) {
  state.trouble = "";
  if (!navigator.mediaDevices) {
    state.trouble = `Browsers lend the camera only to pages over https or on this very computer. ${instead}`;
    return;
  }
  try {
    state.stream = await navigator.mediaDevices.getUserMedia({
      audio: false, video: { facingMode: { ideal: state.facing }, width: { ideal: 640 }, height: { ideal: 480 } } });
    video.srcObject = state.stream;
    await video.play();
    const settings = state.stream.getVideoTracks()[0].getSettings();
    view.classList.toggle("mirrored", settings.facingMode !== "environment"); // as in a mirror; pictures are not
    const devices = await navigator.mediaDevices.enumerateDevices();
    state.several = devices.filter((device) => device.kind === "videoinput").length > 1;
  } catch (error) {
    state.trouble = (error.name === "NotAllowedError" ? "The browser was told not to lend the camera. "
      : "There is no camera that can be used. ") + instead;
  }
}

function switchOff(state, video) {
  state.stream?.getTracks().forEach((track) => track.stop());
  state.stream = null;
  video.srcObject = null;
}

const turned = (facing) => (facing === "user" ? "environment" : "user");

// A JPEG as a data address, at most `longest` pixels a side; null before the camera has one.
function pictureOf(video, longest, quality) {
  if (!video.videoWidth) return null;
  const scale = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", quality);
}

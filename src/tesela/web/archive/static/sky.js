// The map of the sky. It draws our own pictures and asks only this server for sources.
const $ = (id) => document.getElementById(id);
const viewer = $("viewer"), data = viewer.dataset;
const LISTED = 10;
const home = { ra: Number(data.ra), dec: Number(data.dec), fov: Number(data.fov) };
// Under whatever name and port this page was reached.
const hips = new URL(data.hips, location.href).href;
let A = null;

function webgl2() {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

// Still picture again, with the reason.
function giveUp(reason) {
  viewer.hidden = true;
  $("fallback-why").textContent = reason;
  $("fallback-note").hidden = false;
}

// Why there can be no map, before anything is drawn; empty if there can.
async function obstacle() {
  if (!webgl2()) return "the map that moves needs WebGL 2, which this browser does not offer";
  try {
    const answer = await fetch(`${hips}/properties`);
    if (!answer.ok) return `the pictures of the map cannot be read (the server answered ${answer.status})`;
  } catch {
    return "the server could not be asked for the pictures of the map";
  }
  try {
    A = (await import(data.program)).default;
    await A.init;
  } catch {
    return "the sky viewer could not be started in this browser";
  }
  return "";
}

function degrees(aladin) {
  const [ra, dec] = aladin.getRaDec(), [wide, high] = aladin.getFov();
  return { ra, dec, wide, high };
}

function start() {
  viewer.hidden = false;
  const aladin = A.aladin("#sky", {
    // An address as text is the only form that asks nothing of other servers.
    survey: hips, hipsList: [hips], target: `${home.ra} ${home.dec}`, fov: home.fov,
    cooFrame: "ICRSd", projection: "TAN", log: false, gridColor: "#ffb36b",
    showSimbadPointerControl: false, showShareControl: false, showGotoControl: false,
    showLayersControl: false, showZoomControl: false, showFullscreenControl: false,
    showProjectionControl: false, showFrame: false, showCooLocation: false, showFov: false,
    showStatusBar: false, showContextMenu: false, showReticle: false, showSettingsControl: false,
    showCooGridControl: false, showColorPickerControl: false,
  });
  controls(aladin);
  sources(aladin);
  window.aladin = aladin;
  window.ready = true;
}

function controls(aladin) {
  $("zoom-in").onclick = () => aladin.increaseZoom();
  $("zoom-out").onclick = () => aladin.decreaseZoom();
  $("whole").onclick = () => { aladin.gotoRaDec(home.ra, home.dec); aladin.setFoV(home.fov); };
  const grid = $("grid");
  grid.onclick = () => {
    const on = grid.getAttribute("aria-pressed") !== "true";
    grid.setAttribute("aria-pressed", String(on));
    aladin.setCooGrid({ enabled: on });
  };
  $("sky").tabIndex = 0;
  $("sky").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (step) {
      event.preventDefault();
      const { ra, dec, wide } = degrees(aladin), move = wide / 8;
      const next = Math.max(-90, Math.min(90, dec + step[1] * move));
      aladin.gotoRaDec(ra + step[0] * move / Math.cos(dec * Math.PI / 180), next);
    } else if (event.key === "+" || event.key === "=") aladin.increaseZoom();
    else if (event.key === "-") aladin.decreaseZoom();
  });
}

function sources(aladin) {
  const list = A.catalog({ name: "sources", sourceSize: 11, color: "#ffd28a", shape: "circle", onClick: () => {} });
  aladin.addCatalog(list);
  const button = $("sources");
  let timer = 0, last = "", request = null;

  async function load() {
    const { ra, dec, wide, high } = degrees(aladin);
    $("where").textContent = `${ra.toFixed(5)} ${dec >= 0 ? "+" : "−"}${Math.abs(dec).toFixed(5)}   ${(wide * 60).toFixed(1)}′ wide`;
    if (button.getAttribute("aria-pressed") !== "true") return;
    const radius = Math.min(180, Math.hypot(wide, high) / 2);
    const query = `ra=${((ra % 360) + 360) % 360}&dec=${dec}&radius=${radius}`;
    if (query === last) return;
    last = query;
    request?.abort();
    request = new AbortController();
    try {
      const answer = await fetch(`${data.root}/sky/objects.json?${query}`, { signal: request.signal });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const found = await answer.json();
      list.removeAll();
      list.addSources(found.sources.map((s) => A.source(s.ra, s.dec, s)));
      const count = $("count");
      if (!found.complete) count.textContent = "Some of very many sources are marked: zoom in to see those of a place.";
      else if (found.sources.length === found.in_view) count.textContent = `${found.in_view} sources in view.`;
      else count.textContent = `The ${found.sources.length} brightest of ${found.in_view} sources in view are marked.`;
      listBrightest(found.sources.slice(0, LISTED));
      window.sourcesShown = found.sources.length;
    } catch (error) {
      if (error.name !== "AbortError") $("count").textContent = `Sources could not be read: ${error.message}.`;
    }
  }

  function soon() { clearTimeout(timer); timer = setTimeout(load, 250); }
  aladin.on("positionChanged", soon);
  aladin.on("zoomChanged", soon);
  button.onclick = () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    if (on) { list.show(); last = ""; load(); } else list.hide();
  };
  aladin.on("objectClicked", (object) => { if (object) tell(object.data); });
  load();
}

// The same sources as links, for keys and for those who do not see the map.
function listBrightest(sources) {
  $("brightest").replaceChildren(...sources.map((source) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = source.path;
    link.textContent = source.name;
    item.append(link, source.mag === null ? "" : ` ${source.mag.toFixed(2)} mag`);
    return item;
  }));
}

// What is known of a source, beside the map; text only, never markup from data.
function tell(source) {
  const panel = $("panel");
  const number = (v, digits) => v === null || v === undefined ? "—" : v.toFixed(digits);
  const heading = document.createElement("h2"), link = document.createElement("a");
  link.href = source.path;
  link.textContent = source.name;
  heading.id = "panel-h";
  heading.append(link);
  const facts = document.createElement("dl");
  facts.className = "facts";
  const rows = [
    ["position", `${source.ra.toFixed(6)} ${source.dec >= 0 ? "+" : ""}${source.dec.toFixed(6)}`],
    ["magnitude", number(source.mag, 3)],
    ["point-like", number(source.prob_star, 2)],
    [source.prob_star > 0.5 ? "photo-z if a galaxy" : "photo-z", number(source.photoz, 3)],
  ];
  for (const [name, value] of rows) {
    const term = document.createElement("dt"), detail = document.createElement("dd");
    term.textContent = name;
    detail.textContent = value;
    facts.append(term, detail);
  }
  const button = document.createElement("a");
  button.className = "button primary";
  button.href = source.path;
  button.textContent = "Explore it";
  panel.replaceChildren(heading, facts, button);
}

const reason = await obstacle();
if (reason) giveUp(reason);
else {
  try {
    start();
  } catch {
    giveUp("the sky viewer could not be started in this browser");
  }
}

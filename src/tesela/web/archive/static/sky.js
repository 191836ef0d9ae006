// The map of the sky. It draws our own pictures and asks only this server for sources.
import A from "/static/vendor/aladin.js";

const $ = (id) => document.getElementById(id);
const viewer = $("viewer"), data = viewer.dataset;
const home = { ra: Number(data.ra), dec: Number(data.dec), fov: Number(data.fov) };

function webgl2() {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

// Still picture again, with the reason.
function giveUp() {
  viewer.hidden = true;
  $("fallback-note").hidden = false;
}

function degrees(aladin) {
  const [ra, dec] = aladin.getRaDec(), [wide, high] = aladin.getFov();
  return { ra, dec, wide, high };
}

async function start() {
  viewer.hidden = false;
  await A.init;
  const aladin = A.aladin("#sky", {
    // An address as text is the only form that asks nothing of other servers.
    survey: data.hips, hipsList: [data.hips], target: `${home.ra} ${home.dec}`, fov: home.fov,
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
      if (count) {
        if (!found.complete) count.textContent = "Some of very many sources are marked: zoom in to see those of a place.";
        else if (found.sources.length === found.in_view) count.textContent = `${found.in_view} sources in view.`;
        else count.textContent = `The ${found.sources.length} brightest of ${found.in_view} sources in view are marked.`;
      }
      window.sourcesShown = found.sources.length;
    } catch (error) {
      if (error.name !== "AbortError" && $("count")) $("count").textContent = `Sources could not be read: ${error.message}.`;
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

// What is known of a source, beside the map; text only, never markup from data.
function tell(source) {
  const panel = $("panel");
  const number = (v, digits) => v === null || v === undefined ? "—" : v.toFixed(digits);
  const heading = document.createElement("h2"), link = document.createElement("a");
  link.href = source.path;
  link.textContent = source.name;
  heading.append(link);
  const facts = document.createElement("dl");
  facts.className = "facts";
  const rows = [
    ["position", `${source.ra.toFixed(6)} ${source.dec >= 0 ? "+" : ""}${source.dec.toFixed(6)}`],
    ["magnitude", number(source.mag, 3)],
    ["point-like", number(source.prob_star, 2)],
    ["photo-z", number(source.photoz, 3)],
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

if (webgl2()) start().catch(giveUp); else giveUp();

"use strict";
// Draws a graph in columns on a canvas. Every text of the tenant is set as text, never as markup.
const { columns, nodes, edges } = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("view");
const about = document.getElementById("about");
const search = document.getElementById("search");
const pen = canvas.getContext("2d");
const near = nodes.map(() => []);
edges.forEach(([a, b], e) => { near[a].push(e); if (a !== b) near[b].push(e); });
const WIDE = 260, TALL = 20;

// Columns by kind; inside one, neighbours of neighbours come close to each other: a few sweeps of averages.
const inColumn = columns.map(() => []);
nodes.forEach((node, i) => inColumn[node[1]].push(i));
const used = columns.map((_, c) => c).filter((c) => inColumn[c].length);
const longest = Math.max(1, ...inColumn.map((c) => c.length));
const x = new Float64Array(nodes.length), y = new Float64Array(nodes.length);
const spread = (column) => {
  const step = column.length > 1 ? Math.max(TALL, (longest * TALL) / column.length) : 0;
  const start = -((column.length - 1) * step) / 2;
  column.forEach((i, n) => { y[i] = start + n * step; });
};
used.forEach((c, place) => { spread(inColumn[c]); inColumn[c].forEach((i) => { x[i] = place * WIDE; }); });
for (let sweep = 0; sweep < 6; sweep += 1) {
  for (const c of sweep % 2 ? [...used].reverse() : used) {
    const mean = new Map(inColumn[c].map((i) => {
      let sum = 0;
      for (const e of near[i]) sum += y[edges[e][0] === i ? edges[e][1] : edges[e][0]];
      return [i, near[i].length ? sum / near[i].length : y[i]];
    }));
    inColumn[c].sort((a, b) => mean.get(a) - mean.get(b) || a - b);
    spread(inColumn[c]);
  }
}

let zoom = 1, wide = 1, panX = 0, panY = 0, chosen = -1, lit = new Set(), colour = {};
const readColours = () => {
  const css = getComputedStyle(document.documentElement);
  const of = (name) => css.getPropertyValue(name).trim();
  colour = { text: of("--text"), muted: of("--muted"), rule: of("--rule"), accent: of("--accent"), paper: of("--paper"),
    kind: columns.map((_, c) => of("--c" + c)) };
};
const fit = () => {
  const height = longest * TALL, width = Math.max(1, used.length - 1) * WIDE;
  zoom = Math.max(0.05, Math.min(1.3, canvas.clientHeight / (height + 50)));
  wide = Math.min(1.3, (canvas.clientWidth - 150) / width);
  panX = used.length > 1 ? 24 : canvas.clientWidth / 3;
  panY = canvas.clientHeight / 2;
};
let asked = false;
const draw = () => { if (!asked) { asked = true; requestAnimationFrame(paint); } };
const paint = () => {
  asked = false;
  const scale = window.devicePixelRatio || 1;
  const w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    canvas.width = Math.round(w * scale);
    canvas.height = Math.round(h * scale);
  }
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, w, h);
  const sx = (i) => x[i] * wide + panX, sy = (i) => y[i] * zoom + panY;
  const line = ([a, b]) => {
    const x1 = sx(a), y1 = sy(a), x2 = sx(b), y2 = sy(b);
    if ((y1 < -50 && y2 < -50) || (y1 > h + 50 && y2 > h + 50)) return;
    const bend = x1 === x2 ? 46 * wide : (x2 - x1) / 2;
    pen.moveTo(x1, y1);
    pen.bezierCurveTo(x1 + bend, y1, x1 === x2 ? x2 + bend : x2 - bend, y2, x2, y2);
  };
  const some = chosen >= 0;
  if (!some || edges.length < 6000) {
    pen.beginPath();
    edges.forEach(line);
    pen.strokeStyle = colour.muted;
    pen.globalAlpha = some ? 0.05 : Math.max(0.07, Math.min(0.32, 220 / edges.length));
    pen.lineWidth = 1;
    pen.stroke();
  }
  pen.globalAlpha = 1;
  if (some) {
    pen.beginPath();
    for (const e of near[chosen]) line(edges[e]);
    pen.strokeStyle = colour.accent;
    pen.lineWidth = 1.6;
    pen.stroke();
  }
  const size = Math.max(2.2, Math.min(6, 5 * zoom));
  for (let i = 0; i < nodes.length; i += 1) {
    const py = sy(i);
    if (py < -20 || py > h + 20) continue;
    pen.globalAlpha = some && !lit.has(i) ? 0.18 : 1;
    pen.fillStyle = colour.kind[nodes[i][1]];
    pen.beginPath();
    pen.arc(sx(i), py, i === chosen ? size * 1.6 : size, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  pen.textBaseline = "middle";
  const step = TALL * zoom;
  pen.font = Math.max(11, Math.min(13, step * 0.72)) + "px " + getComputedStyle(document.body).fontFamily;
  const room = Math.max(60, WIDE * wide - 26);
  // Without a choice the labels of thin columns still have room: as many as stand ten pixels apart.
  const roomy = columns.map((_, c) => inColumn[c].length < 2 || Math.abs(y[inColumn[c][1]] - y[inColumn[c][0]]) * zoom >= 12);
  for (let i = 0; i < nodes.length; i += 1) {
    const py = sy(i);
    if (py < -20 || py > h + 20 || !(some ? lit.has(i) : roomy[nodes[i][1]])) continue;
    const text = shorten(nodes[i][0], Math.min(some ? room * 1.4 : room, w - sx(i) - size - 8));
    pen.globalAlpha = 0.85;
    pen.fillStyle = colour.paper;
    pen.fillRect(sx(i) + size + 3, py - 7, pen.measureText(text).width + 4, 14);
    pen.globalAlpha = 1;
    pen.fillStyle = some ? colour.text : colour.muted;
    pen.fillText(text, sx(i) + size + 5, py);
  }
};
const shorten = (whole, room) => {
  if (pen.measureText(whole).width <= room) return whole;
  // addresses differ behind the host
  const text = whole.replace(/^https?:\/\/[^/]+\/(?=.)/, "\u2026/");
  if (pen.measureText(text).width <= room) return text;
  let end = Math.max(4, Math.floor((text.length * room) / pen.measureText(text).width) - 1);
  return text.slice(0, end) + "\u2026";
};
const put = (tag, text, parent) => {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
};
const choose = (i, move) => {
  chosen = i;
  lit = new Set(i < 0 ? [] : [i, ...near[i].map((e) => (edges[e][0] === i ? edges[e][1] : edges[e][0]))]);
  about.replaceChildren();
  if (i < 0) {
    put("h2", nodes.length.toLocaleString("en") + " nodes, " + edges.length.toLocaleString("en") + " edges", about);
    put("p", "Choose a node by click or search to read why it is linked to others. Wheel zooms, shift and wheel widens, drag moves.", about);
  } else {
    put("h2", nodes[i][0], about);
    put("p", nodes[i][2], about);
    const kinds = new Map();
    for (const e of near[i]) kinds.set(edges[e][2], [...(kinds.get(edges[e][2]) || []), e]);
    for (const [kind, list] of kinds) {
      put("h3", kind + " (" + list.length.toLocaleString("en") + ")", about);
      const ul = put("ul", "", about);
      for (const e of list.slice(0, 200)) {
        const other = edges[e][0] === i ? edges[e][1] : edges[e][0];
        const li = put("li", "", ul);
        const button = put("button", nodes[other][0], li);
        button.type = "button";
        button.addEventListener("click", () => choose(other, true));
        const [a, b, , reason] = edges[e];
        put("p", reason.replaceAll("\u0001", () => nodes[a][0]).replaceAll("\u0002", () => nodes[b][0]), li);
      }
      if (list.length > 200) put("p", (list.length - 200).toLocaleString("en") + " more", about);
    }
    if (move) { if (zoom < 0.6) zoom = 0.7; panY = canvas.clientHeight / 2 - y[i] * zoom; }
  }
  about.scrollTop = 0;
  draw();
};
const at = (px, py) => {
  let best = -1, least = 196;
  for (let i = 0; i < nodes.length; i += 1) {
    const dx = x[i] * wide + panX - px, dy = y[i] * zoom + panY - py;
    const hit = dx < 0 && dx > -110 && Math.abs(dy) < Math.max(5, (TALL * zoom) / 2) ? dy * dy + 60 : dx * dx + dy * dy;
    if (hit < least) { least = hit; best = i; }
  }
  return best;
};
let drag = null;
canvas.addEventListener("pointerdown", (event) => { drag = { x: event.offsetX, y: event.offsetY, moved: false }; canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const dx = event.offsetX - drag.x, dy = event.offsetY - drag.y;
  if (drag.moved || Math.abs(dx) + Math.abs(dy) > 4) { panX += dx; panY += dy; drag = { x: event.offsetX, y: event.offsetY, moved: true }; draw(); }
});
canvas.addEventListener("pointerup", (event) => { if (drag && !drag.moved) choose(at(event.offsetX, event.offsetY), false); drag = null; });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const by = Math.exp(-event.deltaY * 0.0015), next = Math.max(0.05, Math.min(4, zoom * by));
  if (event.shiftKey) { panX = event.offsetX - (event.offsetX - panX) * by; wide *= by; return draw(); }
  panY = event.offsetY - ((event.offsetY - panY) * next) / zoom;
  zoom = next;
  draw();
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [0, 60], ArrowDown: [0, -60], ArrowLeft: [60, 0], ArrowRight: [-60, 0] }[event.key];
  if (move) { panX += move[0]; panY += move[1]; event.preventDefault(); }
  if (event.key === "+" || event.key === "-") zoom *= event.key === "+" ? 1.2 : 1 / 1.2;
  if (event.key === "Escape") choose(-1);
  draw();
});
const names = nodes.map((node) => node[0].toLowerCase());
const list = document.createElement("datalist");
list.id = "names";
search.after(list);
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  list.replaceChildren();
  if (!wanted) return choose(-1);
  const met = [];
  for (let i = 0; i < names.length && met.length < 20; i += 1) if (names[i].includes(wanted)) met.push(i);
  for (const i of met) { const option = document.createElement("option"); option.value = nodes[i][0]; list.append(option); }
  const exact = names.indexOf(wanted);
  if (exact >= 0 || met.length) choose(exact >= 0 ? exact : met[0], true);
  else { choose(-1); about.replaceChildren(); put("p", "Nothing has this name.", about); }
});
document.getElementById("whole").addEventListener("click", () => { search.value = ""; fit(); choose(-1); });
for (const c of used) {
  const li = document.createElement("li");
  const dot = document.createElement("i");
  dot.className = "c" + c;
  li.append(dot, columns[c] + " (" + inColumn[c].length.toLocaleString("en") + ")");
  document.getElementById("legend").append(li);
}
readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
new ResizeObserver(() => draw()).observe(canvas);
fit();
choose(-1);

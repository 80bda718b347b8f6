// The scatter of a dictionary's features: points, or counts on a grid, on one canvas; a drag fills in the form's fields and sends it.
"use strict";
(() => {
  const BINS = 128, MARGIN = {left: 64, right: 12, top: 10, bottom: 44}, fetched = new Map();
  let shown = null;  // the canvas on the page, its data, and how to get from data to pixels

  const start = () => {
    const canvas = document.getElementById("scatter");
    if (!canvas || (shown && shown.canvas === canvas)) return;
    shown = {canvas, data: null, drag: null, hover: -1};
    const mine = shown, address = canvas.dataset.points;
    listen(mine);
    canvas.closest("details")?.addEventListener("toggle", () => { if (mine.data) draw(mine); });
    const ready = data => { if (shown === mine) { mine.data = data; draw(mine); tell(mine); } };
    if (fetched.has(address)) return ready(fetched.get(address));
    fetch(address).then(answer => { if (!answer.ok) throw new Error(answer.status); return answer.arrayBuffer(); })
      .then(bytes => { const data = parse(bytes); fetched.set(address, data); ready(data); })
      .catch(() => say("The points could not be read; the table below does not need them."));
  };

  const parse = bytes => {
    const [kind, n, placed, unplaced] = new Uint32Array(bytes, 0, 4);
    const at = kind ? 48 : 16, part = (type, i) => new type(bytes, at + 4 * n * i, n);
    const data = {cells: kind === 1, n, placed, unplaced, feature: part(Int32Array, 0), x: part(Float32Array, 1), y: part(Float32Array, 2)};
    if (kind) { data.corners = new Float64Array(bytes, 16, 4); data.count = part(Int32Array, 3); }
    return data;
  };

  const say = words => { const tip = document.getElementById("scatter-tip"); if (tip) tip.textContent = words; };
  const count = (n, noun) => n.toLocaleString("en") + " " + noun + (n === 1 ? "" : "s");
  const brief = v => v === 0 ? "0" : Math.abs(v) >= 1e-3 && Math.abs(v) < 1e5 ? String(+v.toPrecision(3)) : v.toExponential(2).replace("e-0", "e-");

  const tell = s => {
    const d = s.data, log = [s.canvas.dataset.xscale, s.canvas.dataset.yscale].includes("log");
    const counted = d.cells ? count(d.placed, "feature") + ", counted in cells" : count(d.placed, "feature");
    say(counted + (d.unplaced ? "; " + d.unplaced.toLocaleString("en") + " more have no place here, as they have no value" + (log ? " above 0 on a logarithmic axis" : "") : "") + ".");
  };

  // --- from data to pixels ---------------------------------------------------------------------------------------------
  const scale = (values, log, low, high) => {
    let a = low, b = high;
    if (a === undefined) {
      a = Infinity; b = -Infinity;
      for (const v of values) { const w = log ? Math.log(v) : v; if (w < a) a = w; if (w > b) b = w; }
      if (!(a <= b)) { a = 0; b = 1; }
    }
    if (a === b) { a -= 0.5; b += 0.5; }
    const room = 0.03 * (b - a);
    return {log, a: a - room, b: b + room};
  };

  const frame = s => {
    const {canvas, data} = s, wide = canvas.clientWidth, high = canvas.clientHeight, set = canvas.dataset;
    const [a0, b0, a1, b1] = data.corners || [];
    const x = scale(data.x, set.xscale === "log", a0, a1), y = scale(data.y, set.yscale === "log", b0, b1);
    const inner = {w: wide - MARGIN.left - MARGIN.right, h: high - MARGIN.top - MARGIN.bottom};
    const right = t => MARGIN.left + inner.w * (t - x.a) / (x.b - x.a), up = t => high - MARGIN.bottom - inner.h * (t - y.a) / (y.b - y.a);
    return {
      wide, high, x, y, corners: [a0, b0, a1, b1], right, up,
      px: v => right(x.log ? Math.log(v) : v), py: v => up(y.log ? Math.log(v) : v),
      vx: p => { const t = x.a + (p - MARGIN.left) / inner.w * (x.b - x.a); return x.log ? Math.exp(t) : t; },
      vy: p => { const t = y.a + (high - MARGIN.bottom - p) / inner.h * (y.b - y.a); return y.log ? Math.exp(t) : t; },
    };
  };

  const ticks = axis => {
    if (axis.log) {
      const low = axis.a / Math.LN10, high = axis.b / Math.LN10, found = [], step = Math.max(1, Math.round((high - low) / 6));
      for (let e = Math.ceil(low); e <= high; e += step) found.push(10 ** e);
      if (found.length > 1) return found;
      return [1, 2, 5].flatMap(m => [Math.floor(low), Math.floor(low) + 1].map(e => m * 10 ** e)).filter(v => Math.log10(v) >= low && Math.log10(v) <= high).sort((a, b) => a - b);
    }
    const rough = (axis.b - axis.a) / 5, power = 10 ** Math.floor(Math.log10(rough)), step = power * [1, 2, 5, 10].find(m => rough <= m * power);
    const found = [];
    for (let i = Math.ceil(axis.a / step); i * step <= axis.b; i++) found.push(i * step);
    return found;
  };

  // --- drawing ---------------------------------------------------------------------------------------------------------
  const draw = s => {
    const {canvas, data} = s, pen = canvas.getContext("2d"), ratio = window.devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
    const colour = name => style.getPropertyValue("--" + name).trim(), f = s.frame = frame(s);
    canvas.width = f.wide * ratio; canvas.height = f.high * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = "13px " + getComputedStyle(canvas).fontFamily;
    axes(pen, canvas, f, colour);
    if (data.cells) cells(pen, data, f, colour); else dots(pen, data, f, colour);
    const box = s.drag || chosen(f);
    if (box) {
      const [x0, x1] = [box.x0, box.x1].sort((a, b) => a - b), [y0, y1] = [box.y0, box.y1].sort((a, b) => a - b);
      pen.fillStyle = colour("method"); pen.globalAlpha = 0.12; pen.fillRect(x0, y0, x1 - x0, y1 - y0);
      pen.globalAlpha = 1; pen.strokeStyle = colour("method"); pen.lineWidth = 1.5; pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    if (s.hover >= 0) {
      const [x, y] = place(data, f, s.hover);
      pen.strokeStyle = colour("ink"); pen.lineWidth = 2; pen.beginPath(); pen.arc(x, y, 6, 0, 7); pen.stroke();
    }
    canvas.dataset.drawn = String(data.n);
  };

  const axes = (pen, canvas, f, colour) => {
    const floor = f.high - MARGIN.bottom;
    pen.strokeStyle = colour("grey2"); pen.lineWidth = 1; pen.beginPath();
    pen.moveTo(MARGIN.left, MARGIN.top); pen.lineTo(MARGIN.left, floor); pen.lineTo(f.wide - MARGIN.right, floor); pen.stroke();
    if (!f.y.log && f.y.a < 0 && f.y.b > 0) {  // where the quantity is nothing
      pen.strokeStyle = colour("hairline"); pen.beginPath(); pen.moveTo(MARGIN.left, f.py(0)); pen.lineTo(f.wide - MARGIN.right, f.py(0)); pen.stroke();
    }
    pen.fillStyle = colour("quiet"); pen.textAlign = "center"; pen.textBaseline = "top";
    const fits = Math.max(1, Math.ceil(ticks(f.x).length / Math.max(2, Math.floor((f.wide - 76) / 64))));
    ticks(f.x).forEach((t, i) => { if (i % fits === 0) pen.fillText(label(t), f.px(t), floor + 6); });
    pen.textAlign = "right"; pen.textBaseline = "middle";
    for (const t of ticks(f.y)) pen.fillText(label(t), MARGIN.left - 6, f.py(t));
    pen.fillStyle = colour("ink"); pen.textBaseline = "alphabetic";
    pen.fillText(title(canvas.dataset.x, canvas.dataset.xunit, canvas.dataset.xscale), f.wide - MARGIN.right, f.high - 6);
    pen.save(); pen.translate(13, MARGIN.top); pen.rotate(-Math.PI / 2); pen.fillText(title(canvas.dataset.y, canvas.dataset.yunit, canvas.dataset.yscale), 0, 0); pen.restore();
  };
  const title = (name, unit, how) => name + (unit && unit !== "1" ? ", " + unit : "") + (how === "log" ? ", logarithmic" : "");
  const label = v => {
    const power = Math.round(Math.log10(v));
    if (v > 0 && Math.abs(power) > 3 && Math.abs(Math.log10(v) - power) < 1e-9) return "10" + String(power).replace(/./g, c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    return brief(v).replace("-", "−");
  };

  const dots = (pen, data, f, colour) => {
    pen.fillStyle = colour("method");
    pen.globalAlpha = Math.max(0.15, Math.min(0.7, 400 / Math.sqrt(data.n) / 20));
    const r = data.n > 20000 ? 1 : data.n > 2000 ? 1.75 : 3;
    for (let i = 0; i < data.n; i++) {
      const x = f.px(data.x[i]), y = f.py(data.y[i]);
      if (r < 2) pen.fillRect(x - r, y - r, 2 * r, 2 * r); else { pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.fill(); }
    }
    pen.globalAlpha = 1;
  };

  const cells = (pen, data, f, colour) => {
    let most = 1;
    for (const n of data.count) if (n > most) most = n;
    pen.fillStyle = colour("method");
    for (let i = 0; i < data.n; i++) {
      const [x, y, w, h] = cell(data, f, i);
      pen.globalAlpha = 0.15 + 0.85 * Math.log1p(data.count[i]) / Math.log1p(most);
      pen.fillRect(x, y, w, h);
    }
    pen.globalAlpha = 1;
  };
  const cell = (data, f, i) => {
    const [a0, b0, a1, b1] = f.corners, w = (a1 - a0) / BINS, h = (b1 - b0) / BINS;
    const x = f.right(a0 + data.x[i] * w), y = f.up(b0 + (data.y[i] + 1) * h);
    return [x, y, Math.max(1, f.right(a0 + (data.x[i] + 1) * w) - x), Math.max(1, f.up(b0 + data.y[i] * h) - y)];
  };
  const place = (data, f, i) => {
    if (!data.cells) return [f.px(data.x[i]), f.py(data.y[i])];
    const [x, y, w, h] = cell(data, f, i);
    return [x + w / 2, y + h / 2];
  };

  const chosen = f => {  // the box that the fields say
    const value = id => { const field = document.getElementById(id); return field && field.value.trim() !== "" ? Number(field.value) : NaN; };
    const [x0, x1, y0, y1] = ["x-from", "x-to", "y-from", "y-to"].map(value);
    if ([x0, x1, y0, y1].every(Number.isNaN)) return null;
    const inside = (v, low, high) => Math.min(high, Math.max(low, v)), left = MARGIN.left, right = f.wide - MARGIN.right, floor = f.high - MARGIN.bottom;
    const px = (v, other) => Number.isNaN(v) || (f.x.log && v <= 0) ? other : inside(f.px(v), left, right);
    const py = (v, other) => Number.isNaN(v) || (f.y.log && v <= 0) ? other : inside(f.py(v), MARGIN.top, floor);
    return {x0: px(x0, left), x1: px(x1, right), y0: py(y0, floor), y1: py(y1, MARGIN.top)};
  };

  // --- hand ------------------------------------------------------------------------------------------------------------
  const listen = s => {
    const {canvas} = s, at = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    canvas.addEventListener("pointerdown", event => {
      if (!s.data || event.button) return;
      const [x, y] = at(event);
      s.drag = {x0: x, y0: y, x1: x, y1: y};
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", event => {
      if (!s.data) return;
      const [x, y] = at(event);
      if (s.drag) { s.drag.x1 = x; s.drag.y1 = y; s.hover = -1; return draw(s); }
      const near = nearest(s, x, y);
      if (near !== s.hover) { s.hover = near; draw(s); near < 0 ? tell(s) : say(words(s, near)); }
    });
    canvas.addEventListener("pointerup", event => {
      if (!s.drag) return;
      const {x0, y0, x1, y1} = s.drag;
      s.drag = null;
      if (Math.abs(x1 - x0) < 4 && Math.abs(y1 - y0) < 4) {
        const near = nearest(s, x1, y1);
        if (near >= 0 && (!s.data.cells || s.data.count[near] === 1)) location.assign(canvas.dataset.page + "/" + s.data.feature[near]);
        return draw(s);
      }
      brush(s, Math.min(x0, x1), Math.max(x0, x1), Math.min(y0, y1), Math.max(y0, y1));
    });
    canvas.addEventListener("pointercancel", () => { s.drag = null; if (s.data) draw(s); });
    canvas.addEventListener("pointerleave", () => { if (s.hover >= 0) { s.hover = -1; draw(s); tell(s); } });
  };

  const brush = (s, left, right, top, floor) => {
    const f = s.frame, fill = (id, v) => { document.getElementById(id).value = String(+v.toPrecision(4)); };
    fill("x-from", f.vx(left)); fill("x-to", f.vx(right)); fill("y-from", f.vy(floor)); fill("y-to", f.vy(top));
    draw(s);
    document.getElementById("scatter-form").requestSubmit();
  };

  const nearest = (s, x, y) => {
    let best = -1, least = 144;
    for (let i = 0; i < s.data.n; i++) {
      const [a, b] = place(s.data, s.frame, i), d = (a - x) ** 2 + (b - y) ** 2;
      if (d < least) { least = d; best = i; }
    }
    return best;
  };

  const words = (s, i) => {
    const d = s.data, set = s.canvas.dataset;
    if (d.cells && d.count[i] > 1) return count(d.count[i], "feature") + " in this cell, feature " + d.feature[i] + " among them; drag to choose them.";
    return "feature " + d.feature[i] + (d.cells ? "" : ": " + set.x + " " + label(d.x[i]) + ", " + set.y + " " + label(d.y[i])) + "; click opens it.";
  };

  const again = () => { if (shown && shown.data && shown.canvas.isConnected) draw(shown); };
  document.addEventListener("htmx:after:swap", start);
  document.addEventListener("htmx:after:settle", start);
  window.addEventListener("resize", again);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  start();
})();

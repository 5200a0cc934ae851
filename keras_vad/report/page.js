"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const read = (id) => JSON.parse($(id).textContent);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const data = read("data");
  const colours = data.heat && Uint8ClampedArray.from(data.heat.colours);
  const packs = new Map(); // frames and maps of the videos that were looked at

  let number = 0; // of the video
  let video = data.videos[0];
  let chosen = 0; // place in video.shown
  let pointed = null; // likewise, while the pointer is over the timeline
  let view = [0, 1]; // frames that the timeline spans
  let overlay = data.heat !== null;
  let strength = 1;
  let playing = null;
  let drawing = 0; // counts frames, so that a late one does not replace its successor
  const openParts = new Set();

  const pack = () => {
    if (!packs.has(number)) {
      packs.set(number, { frames: read(`frames-${number}`), maps: $(`maps-${number}`) ? read(`maps-${number}`) : null });
    }
    return packs.get(number);
  };
  const place = () => (pointed === null ? chosen : pointed);

  // --- Numbers as text ---

  const time = (frame, exact) => {
    const seconds = frame / video.fps;
    const whole = Math.floor(seconds);
    const two = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(whole / 3600);
    const text = (hours ? `${hours}:${two(Math.floor(whole / 60) % 60)}` : `${Math.floor(whole / 60)}`) + `:${two(whole % 60)}`;
    return exact ? `${text}.${two(Math.floor((seconds - whole) * 100))}` : text;
  };
  const count = (value) => value.toLocaleString("en");
  const short = (value) => (Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(3)))).replace(/^-/, "−");

  // Index of the entry of a sorted list that is nearest to a value.
  const nearest = (list, value) => {
    let low = 0;
    let high = list.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (list[middle] <= value) low = middle;
      else high = middle;
    }
    return value - list[low] <= list[high] - value ? low : high;
  };

  // --- Drawing on a canvas as sharp as the screen is ---

  const surface = (canvas) => {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    const dots = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    return { pen, width, height };
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // --- The frame ---

  const tint = document.createElement("canvas");
  const paintHeat = (pen, text, width, height) => {
    const [rows, columns] = video.mapSize;
    tint.width = columns;
    tint.height = rows;
    const bytes = atob(text);
    const image = new ImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      const from = 4 * bytes.charCodeAt(i);
      image.data.set(colours.subarray(from, from + 3), 4 * i);
      image.data[4 * i + 3] = colours[from + 3] * strength;
    }
    tint.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(tint, 0, 0, width, height);
  };

  const drawFrame = () => {
    const at = place();
    const ticket = ++drawing;
    const picture = new Image();
    picture.onload = () => {
      if (ticket !== drawing) return;
      const canvas = $("frame");
      canvas.width = 2 * picture.naturalWidth;
      canvas.height = 2 * picture.naturalHeight;
      $("frame").closest(".viewer").style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
      const pen = canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
      const maps = pack().maps;
      if (overlay && maps) paintHeat(pen, maps[at], canvas.width, canvas.height);
      canvas.dataset.frame = video.shown[at];
      canvas.dataset.overlay = overlay ? "on" : "off";
    };
    picture.src = `data:image/jpeg;base64,${pack().frames[at]}`;
  };

  const fact = (name, value) => {
    const row = make("div");
    row.append(make("dt", "", name), make("dd", "", value));
    return row;
  };
  const inside = (spans, frame) => spans.some(([start, end]) => start <= frame && frame < end);

  const tell = () => {
    const at = place();
    const frame = video.shown[at];
    const level = video.levels[at];
    const alarm = level > data.boundary;
    $("level").textContent = level.toFixed(2);
    $("verdict").textContent = alarm ? "alarm" : "normal";
    $("verdict").classList.toggle("alarm", alarm);
    const rows = [fact("frame", `${count(frame)} of ${count(video.length)}`)];
    if (video.fps) rows.push(fact("time", `${time(frame, true)} of ${time(video.length)}`));
    if (video.truth) rows.push(fact("ground truth", inside(video.truth, frame) ? "anomalous" : "normal"));
    for (const [name, values] of Object.entries(video.values)) rows.push(fact(name.replaceAll("_", " "), short(values[at])));
    $("facts").replaceChildren(...rows);
    const slider = $("timeline");
    slider.setAttribute("aria-valuenow", frame);
    slider.setAttribute("aria-valuetext", `frame ${frame}${video.fps ? `, ${time(frame, true)}` : ""}, score ${level.toFixed(2)}, ${alarm ? "alarm" : "no alarm"}`);
  };

  const moveCursors = () => {
    const frame = video.shown[place()];
    for (const line of document.querySelectorAll(".cursor")) {
      const width = line.parentElement.clientWidth;
      const x = ((frame - view[0]) / (view[1] - view[0])) * (width - 2 * side) + side;
      line.style.transform = `translateX(${clamp(x, -2, width + 2)}px)`;
      line.hidden = frame < view[0] || frame > view[1];
    }
  };

  const markEvent = () => {
    const frame = video.shown[chosen];
    [...$("events").rows].forEach((row, i) => {
      const event = video.events[i];
      if (event.start <= frame && frame < event.end) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
  };

  const show = () => {
    drawFrame();
    tell();
    moveCursors();
  };
  const choose = (at) => {
    chosen = clamp(at, 0, video.shown.length - 1);
    pointed = null;
    const frame = video.shown[chosen];
    if (frame < view[0] || frame > view[1]) look(frame - (view[1] - view[0]) / 2, view[1] - view[0]);
    show();
    markEvent();
  };
  const chooseFrame = (frame) => choose(nearest(video.shown, frame));

  // --- The timeline ---

  const side = 8; // room at the left and right of curves
  const top = 16; // lane of events
  const bottom = 22; // ticks

  const toX = (frame, width) => side + ((frame - view[0]) / (view[1] - view[0])) * (width - 2 * side);

  // The stored points of a curve that the view shows, as one column a pixel: [x, low, high].
  const columns = (curve, width) => {
    const points = [];
    const at = video.at;
    let i = Math.max(0, nearest(at, view[0]) - 1);
    for (; i < at.length && at[i] <= view[1] + 1 + (at[1] - at[0] || 1); i++) {
      const x = toX(at[i], width);
      const high = curve.high[i];
      const low = curve.low ? curve.low[i] : high;
      const last = points[points.length - 1];
      if (last && x - last[0] < 0.75) {
        last[1] = Math.min(last[1], low);
        last[2] = Math.max(last[2], high);
      } else points.push([x, low, high]);
    }
    return points;
  };

  const trace = (pen, points, y) => {
    pen.beginPath();
    points.forEach(([x, low, high], i) => {
      // Towards the nearer end first, so that the line does not cross itself.
      const before = i ? points[i - 1][2] : high;
      const [first, second] = Math.abs(before - high) < Math.abs(before - low) ? [high, low] : [low, high];
      pen.lineTo(x, y(first));
      if (second !== first) pen.lineTo(x, y(second));
    });
  };

  const ticks = (width) => {
    const most = Math.max(2, Math.floor(width / 90));
    const unit = video.fps || 1;
    const span = (view[1] - view[0]) / unit;
    const steps = video.fps ? [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600] : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5];
    const step = steps.find((one) => span / one <= most) || steps[steps.length - 1];
    const found = [];
    for (let k = Math.ceil(view[0] / unit / step); k * step * unit <= view[1]; k++) found.push(k * step * unit);
    return found.map((frame) => [frame, video.fps ? (step < 1 ? time(frame + 1e-6, true) : time(frame + 1e-6)) : count(Math.round(frame))]);
  };

  const shade = (pen, spans, width, height, from) => {
    for (const [start, end] of spans) {
      if (end < view[0] || start > view[1]) continue;
      const left = clamp(toX(start - 0.5, width), side, width - side);
      const right = clamp(toX(end - 0.5, width), side, width - side);
      pen.fillRect(left, from, Math.max(right - left, 1), height);
    }
  };

  const drawTimeline = () => {
    const { pen, width, height } = surface($("curve"));
    if (!width) return;
    const foot = height - bottom;
    const y = (level) => foot - level * (foot - top - 4);
    if (video.truth) {
      pen.fillStyle = colour("truth");
      shade(pen, video.truth, width, foot - top, top);
    }
    pen.strokeStyle = colour("grid");
    pen.lineWidth = 1;
    for (const level of [0, 0.25, 0.75, 1]) {
      pen.beginPath();
      pen.moveTo(side, Math.round(y(level)) + 0.5);
      pen.lineTo(width - side, Math.round(y(level)) + 0.5);
      pen.stroke();
    }
    pen.fillStyle = colour("event");
    for (const event of video.events) {
      const left = clamp(toX(event.start, width), side, width - side);
      const right = clamp(toX(event.end, width), side, width - side);
      if (right <= side || left >= width - side) continue;
      pen.beginPath();
      pen.roundRect(left, 4, Math.max(right - left, 3), 6, 3);
      pen.fill();
    }
    const points = columns(video.curves[0], width);
    pen.save();
    pen.beginPath();
    pen.rect(side, top, width - 2 * side, foot - top);
    pen.clip();
    if (points.length) {
      pen.save();
      pen.beginPath();
      pen.rect(0, 0, width, y(data.boundary));
      pen.clip();
      pen.beginPath();
      pen.moveTo(points[0][0], y(data.boundary));
      for (const [x, , high] of points) pen.lineTo(x, y(high));
      pen.lineTo(points[points.length - 1][0], y(data.boundary));
      pen.fillStyle = colour("alarm-fill");
      pen.fill();
      pen.restore();
    }
    trace(pen, points, y);
    pen.strokeStyle = colour("curve");
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    pen.stroke();
    pen.restore();
    pen.strokeStyle = colour("alarm");
    pen.lineWidth = 1.4;
    pen.setLineDash([6, 4]);
    pen.beginPath();
    pen.moveTo(side, y(data.boundary));
    pen.lineTo(width - side, y(data.boundary));
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colour("quiet");
    pen.textBaseline = "bottom";
    for (const [level, text] of [[1, "1"], [data.boundary, String(data.boundary)]]) {
      pen.textBaseline = level === 1 ? "top" : "bottom";
      pen.fillText(text, side + 2, y(level) + (level === 1 ? 3 : -2));
    }
    pen.textBaseline = "alphabetic";
    for (const [frame, text] of ticks(width)) {
      const x = toX(frame, width);
      pen.fillStyle = colour("control");
      pen.fillRect(Math.round(x), foot, 1, 4);
      pen.fillStyle = colour("quiet");
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, clamp(x - half, 0, width - 2 * half), height - 4);
    }
  };

  const drawParts = () => {
    for (const part of document.querySelectorAll(".part")) {
      const curve = video.curves.find((one) => one.name === part.dataset.name);
      const { pen, width, height } = surface(part.querySelector("canvas"));
      const highest = curve.high.reduce((a, b) => Math.max(a, b));
      const lowest = (curve.low || curve.high).reduce((a, b) => Math.min(a, b));
      part.querySelector(".range").textContent = `${short(lowest)} to ${short(highest)}`;
      const y = (value) => height - 4 - ((value - lowest) / (highest - lowest || 1)) * (height - 8);
      if (video.truth) {
        pen.fillStyle = colour("truth");
        shade(pen, video.truth, width, height, 0);
      }
      pen.beginPath();
      pen.rect(side, 0, width - 2 * side, height);
      pen.clip();
      trace(pen, columns(curve, width), y);
      pen.strokeStyle = colour("curve");
      pen.lineWidth = 1.4;
      pen.stroke();
      pen.strokeStyle = colour("grid");
      pen.strokeRect(side + 0.5, 0.5, width - 2 * side - 1, height - 1);
    }
  };

  const draw = () => {
    drawTimeline();
    drawParts();
    drawRoc();
    moveCursors();
  };

  const look = (start, span) => {
    const whole = Math.max(video.length - 1, 1);
    const wide = clamp(span, Math.min(50, whole), whole);
    const from = clamp(start, 0, whole - wide);
    view = [from, from + wide];
    $("zoom-out").disabled = $("zoom-all").disabled = wide >= whole;
    $("zoom-in").disabled = wide <= Math.min(50, whole);
    drawTimeline();
    drawParts();
    moveCursors();
  };
  const zoom = (factor) => {
    const frame = video.shown[chosen];
    const span = (view[1] - view[0]) * factor;
    const share = clamp((frame - view[0]) / (view[1] - view[0]), 0, 1);
    look(frame - share * span, span);
  };

  const frameAt = (pointer) => {
    const box = $("timeline").getBoundingClientRect();
    const share = (pointer.clientX - box.left - side) / (box.width - 2 * side);
    return view[0] + clamp(share, 0, 1) * (view[1] - view[0]);
  };

  // --- ROC ---

  const drawRoc = () => {
    const canvas = $("roc");
    if (!canvas) return;
    const { pen, width, height } = surface(canvas);
    const left = 54;
    const low = 38;
    const x = (rate) => left + rate * (width - left - 12);
    const y = (rate) => height - low - rate * (height - low - 10);
    pen.lineWidth = 1;
    pen.strokeStyle = colour("grid");
    pen.fillStyle = colour("quiet");
    for (const rate of [0, 0.25, 0.5, 0.75, 1]) {
      pen.beginPath();
      pen.moveTo(x(rate), y(0));
      pen.lineTo(x(rate), y(1));
      pen.moveTo(x(0), y(rate));
      pen.lineTo(x(1), y(rate));
      pen.stroke();
      pen.textAlign = "center";
      pen.fillText(String(rate), x(rate), y(0) + 16);
      pen.textAlign = "right";
      pen.fillText(String(rate), left - 6, y(rate) + 4);
    }
    pen.textAlign = "center";
    pen.fillText("false positive rate", (x(0) + x(1)) / 2, height - 4);
    pen.save();
    pen.translate(11, (y(0) + y(1)) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText("true positive rate", 0, 0);
    pen.restore();
    pen.setLineDash([3, 4]);
    pen.strokeStyle = colour("control");
    pen.beginPath();
    pen.moveTo(x(0), y(0));
    pen.lineTo(x(1), y(1));
    pen.stroke();
    pen.setLineDash([]);
    pen.strokeStyle = colour("curve");
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.beginPath();
    data.roc.fpr.forEach((rate, i) => pen.lineTo(x(rate), y(data.roc.tpr[i])));
    pen.stroke();
    pen.fillStyle = colour("alarm");
    pen.strokeStyle = colour("card");
    pen.beginPath();
    pen.arc(x(data.roc.operating[0]), y(data.roc.operating[1]), 6, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  };

  // --- Events and component scores of a video ---

  // A picture is decoded when its row comes into sight.
  const thumbnails = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      entry.target.src = `data:image/jpeg;base64,${pack().frames[nearest(video.shown, Number(entry.target.dataset.frame))]}`;
      thumbnails.unobserve(entry.target);
    }
  }, { rootMargin: "200px" });

  const when = (frame) => {
    const cell = make("td");
    cell.append(video.fps ? time(frame) : count(frame));
    if (video.fps) cell.append(make("span", "quiet", count(frame)));
    return cell;
  };

  const listEvents = () => {
    thumbnails.disconnect();
    const rows = video.events.map((event, i) => {
      const row = make("tr");
      row.dataset.peak = event.peak;
      const head = make("th");
      head.scope = "row";
      const button = make("button");
      button.type = "button";
      button.setAttribute("aria-label", `event ${i + 1}: peak at frame ${event.peak}, score ${event.score.toFixed(2)}`);
      const picture = make("img", "thumb");
      picture.alt = "";
      picture.dataset.frame = event.peak;
      thumbnails.observe(picture);
      button.append(picture);
      head.append(button);
      const score = make("td", "number", event.score.toFixed(2));
      score.append(make("span", "quiet", `at ${video.fps ? time(event.peak) : count(event.peak)}`));
      row.append(head, when(event.start), when(event.end - 1), score);
      row.addEventListener("click", () => chooseFrame(event.peak));
      return row;
    });
    $("events").replaceChildren(...rows);
    $("events-scroll").hidden = rows.length === 0;
    $("no-events").hidden = rows.length > 0;
    $("events-facts").textContent = rows.length ? `${rows.length} in this video` : "";
  };

  const listParts = () => {
    const curves = video.curves.slice(1);
    $("chips").replaceChildren(make("span", "quiet", "Component scores"), ...curves.map((curve) => {
      const chip = make("button", "", curve.name.replaceAll("_", " "));
      chip.type = "button";
      chip.setAttribute("aria-pressed", openParts.has(curve.name));
      chip.addEventListener("click", () => {
        if (!openParts.delete(curve.name)) openParts.add(curve.name);
        chip.setAttribute("aria-pressed", openParts.has(curve.name));
        showParts();
      });
      return chip;
    }));
    showParts();
  };
  const showParts = () => {
    const shown = video.curves.slice(1).filter((curve) => openParts.has(curve.name));
    $("parts").replaceChildren(...shown.map((curve) => {
      const part = make("div", "part");
      part.dataset.name = curve.name;
      const head = make("p", "", "");
      head.append(make("span", "", curve.name.replaceAll("_", " ")), make("span", "range"));
      const canvas = make("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `curve of ${curve.name}`);
      part.append(head, canvas, make("div", "cursor"));
      return part;
    }));
    drawParts();
    moveCursors();
  };

  const open = (which) => {
    stop();
    number = (which + data.videos.length) % data.videos.length;
    video = data.videos[number];
    pointed = null;
    $("video-name").textContent = video.name;
    if ($("video-select")) $("video-select").value = number;
    for (const row of document.querySelectorAll("#videos tbody tr")) {
      if (Number(row.dataset.video) === number) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    const facts = [`${count(video.length)} frames${video.fps ? `, ${time(video.length)} at ${short(video.fps)} a second` : ""}`];
    if (video.shown.length < video.scored) facts.push(`${count(video.shown.length)} of them in this file`);
    $("video-facts").textContent = facts.join("; ");
    $("timeline").setAttribute("aria-valuemin", video.shown[0]);
    $("timeline").setAttribute("aria-valuemax", video.shown[video.shown.length - 1]);
    $("event-back").disabled = $("event-on").disabled = video.events.length === 0;
    listEvents();
    listParts();
    look(0, Infinity);
    const strongest = video.events.reduce((best, event) => (best && best.score >= event.score ? best : event), null);
    chooseFrame(strongest ? strongest.peak : 0);
  };

  // --- Moving about ---

  const toEvent = (direction) => {
    const frame = video.shown[chosen];
    const peaks = video.events.map((event) => video.shown[nearest(video.shown, event.peak)]);
    const next = direction > 0 ? peaks.find((peak) => peak > frame) : peaks.findLast((peak) => peak < frame);
    if (next !== undefined) chooseFrame(next);
  };

  const stop = () => {
    clearTimeout(playing);
    playing = null;
    $("play").textContent = "▶";
    $("play").setAttribute("aria-label", "play");
  };
  const play = () => {
    if (chosen >= video.shown.length - 1) choose(0);
    $("play").textContent = "❚❚";
    $("play").setAttribute("aria-label", "pause");
    const step = () => {
      if (chosen >= video.shown.length - 1) return stop();
      choose(chosen + 1);
      // In real time where all frames are here; where some were left out, not slower than five a second.
      const seconds = (video.shown[Math.min(chosen + 1, video.shown.length - 1)] - video.shown[chosen]) / (video.fps || 25);
      playing = setTimeout(step, clamp(1000 * seconds, 20, 200));
    };
    playing = setTimeout(step, 0);
  };
  const togglePlay = () => (playing === null ? play() : stop());
  const setOverlay = (on) => {
    overlay = on && data.heat !== null;
    $("overlay").checked = overlay;
    drawFrame();
  };

  const keys = {
    ArrowLeft: (event) => choose(chosen - (event.shiftKey ? 10 : 1)),
    ArrowRight: (event) => choose(chosen + (event.shiftKey ? 10 : 1)),
    Home: () => choose(0),
    End: () => choose(video.shown.length - 1),
    n: () => toEvent(1),
    p: () => toEvent(-1),
    o: () => setOverlay(!overlay),
    "+": () => zoom(0.5),
    "=": () => zoom(0.5),
    "-": () => zoom(2),
    0: () => look(0, Infinity),
    " ": () => togglePlay(),
  };
  document.addEventListener("keydown", (event) => {
    const focused = event.target;
    const takesArrows = focused.matches("select, input[type=range]");
    const takesSpace = focused.matches("button, select, input, summary");
    if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(keys, event.key)) return;
    if (takesArrows || (event.key === " " && takesSpace)) return;
    event.preventDefault();
    if (event.key !== " ") stop();
    keys[event.key](event);
  });

  const timeline = $("timeline");
  let held = false;
  timeline.addEventListener("pointerdown", (event) => {
    held = true;
    stop();
    timeline.setPointerCapture(event.pointerId);
    chooseFrame(frameAt(event));
  });
  timeline.addEventListener("pointermove", (event) => {
    const at = nearest(video.shown, frameAt(event));
    if (held) {
      if (at !== chosen) choose(at);
    } else if (event.pointerType === "mouse" && playing === null && at !== pointed) {
      pointed = at;
      show();
    }
  });
  const leave = () => {
    held = false;
    if (pointed === null) return;
    pointed = null;
    show();
  };
  timeline.addEventListener("pointerup", () => { held = false; });
  timeline.addEventListener("pointercancel", leave);
  timeline.addEventListener("pointerleave", leave);

  $("play").addEventListener("click", togglePlay);
  $("back").addEventListener("click", () => { stop(); choose(chosen - 1); });
  $("on").addEventListener("click", () => { stop(); choose(chosen + 1); });
  $("event-back").addEventListener("click", () => { stop(); toEvent(-1); });
  $("event-on").addEventListener("click", () => { stop(); toEvent(1); });
  $("zoom-in").addEventListener("click", () => zoom(0.5));
  $("zoom-out").addEventListener("click", () => zoom(2));
  $("zoom-all").addEventListener("click", () => look(0, Infinity));
  $("overlay").addEventListener("change", (event) => setOverlay(event.target.checked));
  $("strength").addEventListener("input", (event) => {
    strength = event.target.value / 100;
    drawFrame();
  });
  if ($("video-select")) {
    $("video-select").addEventListener("change", (event) => open(Number(event.target.value)));
    $("video-back").addEventListener("click", () => open(number - 1));
    $("video-on").addEventListener("click", () => open(number + 1));
    for (const row of document.querySelectorAll("#videos tbody tr")) {
      row.addEventListener("click", () => {
        open(Number(row.dataset.video));
        $("video-name").closest("section").scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
      });
    }
  }

  $("overlay-box").hidden = data.heat === null;
  if (data.heat) {
    const stops = [];
    for (let i = 0; i < 256; i += 15) {
      const [red, green, blue, alpha] = data.heat.colours.slice(4 * i, 4 * i + 4);
      stops.push(`rgba(${red}, ${green}, ${blue}, ${(alpha / 255).toFixed(3)})`);
    }
    $("scale").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    $("scale").title = `map values from ${short(data.heat.low)} to ${short(data.heat.high)}`;
  }
  new ResizeObserver(draw).observe(timeline);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  open(0);
})();

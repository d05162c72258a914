'use strict';
// What proves the violation, in front of everything else: numbers, words, the pin.

/** Draws the lit events in the order of time, joined by a thread, each with its number and its words. */
function drawStory(c, height) {
  const places = [...lit].map(([mark, number]) => ({ mark, number, ...placeOf(mark) })).filter((place) => place.lane);
  places.sort((a, b) => a.number - b.number);
  const thread = places.filter(({ mark }) => isTelling(mark));
  c.strokeStyle = colour.lit;
  c.lineWidth = 1.2;
  c.globalAlpha = 0.45;
  c.setLineDash([2, 4]);
  c.beginPath();
  thread.forEach(({ x, y }, nth) => (nth === 0 ? c.moveTo(x, y) : c.lineTo(x, y)));
  c.stroke();
  c.setLineDash([]);
  c.globalAlpha = 1;
  const taken = places.map(({ x, y }) => ({ x: x - 10, y: y - 10, width: 20, height: 20 }));
  for (const place of [...thread, ...places.filter(({ mark }) => !isTelling(mark))]) {
    drawCallout(c, place, taken, height);
  }
  for (const place of places) {
    drawNumber(c, place);
  }
}

function drawNumber(c, { x, y, number, mark }) {
  c.fillStyle = colour.ground;
  c.beginPath();
  c.arc(x, y, 9.5, 0, 7);
  c.fill();
  c.fillStyle = storyColour(mark);
  c.beginPath();
  c.arc(x, y, 8, 0, 7);
  c.fill();
  c.fillStyle = colour.ground;
  c.font = `700 11px ${FONT}`;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  c.fillText(String(number), x, y + 0.5);
}

const CALLOUT_CHARS_MAX = 46;

function shortened(text, max = CALLOUT_CHARS_MAX) {
  const short = unfilled(text);
  return short.length <= max ? short : `${short.slice(0, max - 1)}…`;
}

function overlaps(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** The first free place for a callout beside, above or below its mark. */
function placeCallout({ x, y }, width, taken, height) {
  const sides = [[14, -9], [-14 - width, -9]];
  for (const away of [24, 42, 60, 78, 96]) {
    sides.push([10, -away - 9], [10, away - 9], [-10 - width, -away - 9], [-10 - width, away - 9]);
  }
  const boxes = sides.map(([dx, dy]) => ({ x: x + dx, y: y + dy, width, height: 19 }));
  const fits = (box) => box.x >= GUTTER + 2 && box.x + box.width <= layout.width - 2
    && box.y >= RULER + 2 && box.y + box.height <= height - 2
    && !taken.some((other) => overlaps(box, other));
  return boxes.find(fits);
}

function drawCallout(c, place, taken, height) {
  if (place.x < GUTTER || place.x > layout.width) {
    return;
  }
  c.font = `${isTelling(place.mark) ? 600 : 400} 12px ${FONT}`;
  const text = shortened(markText(place.mark));
  const width = c.measureText(text).width + 14;
  const box = placeCallout(place, width, taken, height);
  if (box === undefined) {
    return;
  }
  taken.push(box);
  const ink = storyColour(place.mark);
  c.strokeStyle = ink;
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(place.x, place.y);
  c.lineTo(box.x > place.x ? box.x : box.x + width, box.y + 9.5);
  c.stroke();
  c.fillStyle = looks[run.marks.category[place.mark]].name === 'fault' ? colour['lit-ground'] : colour.ground;
  c.beginPath();
  c.roundRect(box.x, box.y, width, box.height, 4);
  c.fill();
  c.stroke();
  c.fillStyle = ink;
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  c.fillText(text, box.x + 7, box.y + 10);
  drawn.boxes.unshift({ what: 'mark', index: place.mark, ...box });
}

/** The violation, at the time when it was noticed. */
function drawPin(c, height) {
  const told = run.story.violations[state.violation];
  if (told === undefined || told.at === null) {
    return;
  }
  const x = xOf(told.at);
  if (x < GUTTER || x > layout.width) {
    return;
  }
  c.strokeStyle = colour.lit;
  c.lineWidth = 1.5;
  c.beginPath();
  c.moveTo(x, 4);
  c.lineTo(x, height);
  c.stroke();
  c.font = `700 12px ${FONT}`;
  const text = `${told.slug}: ${shortened(told.message, 70)}`;
  const width = c.measureText(text).width + 14;
  const left = Math.max(GUTTER, Math.min(x, layout.width - width));
  c.fillStyle = colour.lit;
  c.fillRect(left, 3, width, 19);
  c.fillStyle = colour.ground;
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  c.fillText(text, left + 7, 13);
}

function drawSelected(c) {
  const { selected } = state;
  if (selected === null) {
    return;
  }
  c.strokeStyle = colour.focus;
  c.lineWidth = 2.2;
  if (selected.what === 'mark') {
    const place = placeOf(selected.index);
    if (place !== null) {
      c.beginPath();
      c.arc(place.x, place.y, 13, 0, 7);
      c.stroke();
    }
  } else if (selected.what === 'arrow' && isArrowShown(selected.index)) {
    const { x1, y1, x2, y2 } = arrowEnds(selected.index);
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x2, y2);
    c.stroke();
  }
}

/** The whole run in a strip: phases, faults, how busy it was, the pin, and what the view shows of it. */
function drawOverview({ context: c, width, height }) {
  const at = (time) => GUTTER + (time / run.end) * (width - GUTTER - EDGE);
  c.fillStyle = colour.panel;
  c.fillRect(0, 0, width, height);
  run.phases.forEach(([, from, until], nth) => {
    c.fillStyle = nth % 2 === 0 ? colour['phase-a'] : colour['phase-b'];
    c.fillRect(at(from), 0, at(until) - at(from), height);
  });
  drawBusy(c, width, height);
  for (const band of run.bands) {
    c.globalAlpha = 0.55;
    c.fillStyle = colour[BANDS[band.kind][0]];
    c.fillRect(at(band.from), isStrip(band) ? 15 : 4, Math.max(1.5, at(band.until) - at(band.from)), isStrip(band) ? 5 : 9);
  }
  c.globalAlpha = 1;
  run.story.violations.forEach((told, index) => {
    if (told.at !== null) {
      c.fillStyle = colour.lit;
      c.fillRect(at(told.at) - 1, 0, index === state.violation ? 2.5 : 1, height);
    }
  });
  const [x, end] = [Math.max(GUTTER, at(state.from)), Math.min(width - 2, at(state.until))];
  c.globalAlpha = 0.12;
  c.fillStyle = colour.focus;
  c.fillRect(x, 0, end - x, height);
  c.globalAlpha = 1;
  c.strokeStyle = colour.focus;
  c.lineWidth = 1.5;
  c.strokeRect(x, 1, Math.max(3, end - x), height - 2);
  c.fillStyle = colour.panel;
  c.fillRect(0, 0, GUTTER, height);
  c.fillStyle = colour.muted;
  c.font = `11px ${FONT}`;
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  c.fillText('whole run', 12, height / 2 - 7);
  c.fillText(seconds(run.end, 1), 12, height / 2 + 8);
}

/** Events a pixel, as a curve at the bottom. */
function drawBusy(c, width, height) {
  const columns = Math.max(1, Math.floor((width - GUTTER - EDGE) / 2));
  const counts = new Uint32Array(columns + 1);
  for (const time of run.marks.time) {
    counts[Math.floor((time / run.end) * columns)] += 1;
  }
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  c.fillStyle = colour.muted;
  c.globalAlpha = 0.55;
  counts.forEach((count, column) => {
    const tall = Math.sqrt(count / most) * (height - 26);
    c.fillRect(GUTTER + column * 2, height - tall - 2, 2, tall);
  });
  c.globalAlpha = 1;
}

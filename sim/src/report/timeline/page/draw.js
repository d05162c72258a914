'use strict';
// The picture, from the background to the front.

const FONT = 'system-ui, "Liberation Sans", Arial, sans-serif';

/** What the last drawing put where, for pointing at it. */
const drawn = { boxes: [], arrows: [], marks: 0, frameMs: 0 };

function drawAll(chart) {
  const began = performance.now();
  const { context: c, width, height } = chart;
  drawn.boxes = [];
  drawn.arrows = [];
  c.fillStyle = colour.ground;
  c.fillRect(0, 0, width, height);
  c.save();
  c.beginPath();
  c.rect(GUTTER, 0, width - GUTTER, height);
  c.clip();
  drawPhases(c, height);
  c.beginPath();
  c.rect(GUTTER, RULER, width - GUTTER, height - RULER);
  c.clip();
  layout.lanes.forEach((lane, nth) => drawLane(c, lane, nth));
  if (state.messages) {
    drawArrows(c);
  }
  drawStanding(c);
  layout.lanes.forEach((lane) => drawOwned(c, lane));
  layout.lanes.forEach((lane) => drawStrips(c, lane));
  drawLines(c);
  drawn.marks = drawMarks(c);
  drawStory(c, height);
  drawSelected(c);
  c.restore();
  drawPin(c, height);
  drawGutter(c, height);
  drawn.frameMs = performance.now() - began;
}

const STEPS = [1, 2, 5];

/** Micros between two ticks of the ruler, at least `room` pixels apart. */
function tickStep(room) {
  const least = ((state.until - state.from) / (layout.width - GUTTER - EDGE)) * room;
  for (let power = 1; ; power *= 10) {
    const step = STEPS.map((digit) => digit * power).find((size) => size >= least);
    if (step !== undefined) {
      return step;
    }
  }
}

function drawPhases(c, height) {
  c.textBaseline = 'middle';
  run.phases.forEach(([name, from, until], nth) => {
    const [x, end] = [Math.max(GUTTER, xOf(from)), xOf(until)];
    c.fillStyle = nth % 2 === 0 ? colour['phase-a'] : colour['phase-b'];
    c.fillRect(x, 0, end - x, height);
    c.font = `600 11px ${FONT}`;
    const wide = c.measureText(name.toUpperCase()).width;
    if (end - x > wide + 12) {
      c.fillStyle = colour.muted;
      c.textAlign = 'left';
      c.fillText(name.toUpperCase(), x + 6, 12);
    }
  });
  drawTicks(c, height);
}

function drawTicks(c, height) {
  const step = tickStep(84);
  const digits = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step) + 1e-9)));
  c.font = `11px ${FONT}`;
  c.textAlign = 'center';
  c.lineWidth = 1;
  for (let at = Math.max(0, Math.ceil(state.from / step) * step); at <= state.until; at += step) {
    const x = Math.round(xOf(at)) + 0.5;
    c.strokeStyle = colour.rule;
    c.beginPath();
    c.moveTo(x, RULER - 6);
    c.lineTo(x, height);
    c.stroke();
    c.fillStyle = colour.muted;
    if (x > GUTTER + 20) {
      c.fillText(seconds(at, digits), x, RULER - 14);
    }
  }
}

function drawLane(c, lane, nth) {
  const top = topOf(lane);
  if (nth % 2 === 1) {
    c.globalAlpha = 0.5;
    c.fillStyle = colour.stripe;
    c.fillRect(GUTTER, top, layout.width, lane.height);
    c.globalAlpha = 1;
  }
  const continues = lane.lane.kind === 'disk';
  c.strokeStyle = colour.rule;
  c.lineWidth = 1;
  c.globalAlpha = continues ? 0.4 : 1;
  c.beginPath();
  c.moveTo(GUTTER, Math.round(top) + 0.5);
  c.lineTo(layout.width, Math.round(top) + 0.5);
  c.stroke();
  c.globalAlpha = 1;
}

const hatches = {};

/** Slanted lines in a colour, to tell what is down from what is only tinted. */
function hatch(c, name) {
  const key = name + colour[name];
  if (hatches[key] === undefined) {
    const tile = document.createElement('canvas');
    tile.width = 8;
    tile.height = 8;
    const t = tile.getContext('2d');
    t.strokeStyle = colour[name];
    t.lineWidth = 1.2;
    t.globalAlpha = 0.55;
    t.beginPath();
    t.moveTo(-2, 10);
    t.lineTo(10, -2);
    t.moveTo(-2, 2);
    t.lineTo(2, -2);
    t.moveTo(6, 10);
    t.lineTo(10, 6);
    t.stroke();
    hatches[key] = c.createPattern(tile, 'repeat');
  }
  return hatches[key];
}

/** The lane of a broker's disk, below the broker's own. */
function diskBelow(index) {
  const below = layout.byLane[index + 1];
  return below !== undefined && below.lane.kind === 'disk' ? below : undefined;
}

/** Nodes that are down or paused: their whole lane. */
function drawStanding(c) {
  run.bands.forEach((band, index) => {
    const lane = layout.byLane[band.lane];
    const [x, end] = [xOf(band.from), Math.max(xOf(band.until), xOf(band.from) + 2)];
    if (isStrip(band) || lane === undefined || end < GUTTER || x > layout.width) {
      return;
    }
    const name = BANDS[band.kind][0];
    const disk = diskBelow(band.lane);
    const height = lane.height + (disk === undefined ? 0 : disk.height);
    const top = topOf(lane) + 1;
    c.globalAlpha = 0.12;
    c.fillStyle = colour[name];
    c.fillRect(x, top, end - x, height - 1);
    c.globalAlpha = 0.5;
    c.fillStyle = hatch(c, name);
    c.fillRect(x, top, end - x, height - 1);
    c.globalAlpha = 1;
    c.fillStyle = colour[name];
    c.fillRect(x, top, 2, height - 1);
    drawn.boxes.push({ what: 'band', index, x, y: top, width: end - x, height });
    if (isLitBand(band)) {
      return;
    }
    const begin = Math.max(x, GUTTER) + 7;
    drawFitting(c, bandWords(band), begin, top + lane.height - 9, end - begin - 4, colour[name], 600);
  });
}

/** Whether the band's fault is evidence, and so has its words already. */
function isLitBand(band) {
  return [...lit.keys()].some((mark) => run.marks.time[mark] === band.from && run.marks.text[mark] === band.text);
}

function bandWords(band) {
  return [`${run.strings[band.text]} · ${seconds(band.until - band.from, 2)}`, run.strings[band.text], BANDS[band.kind][1]];
}

/** Draws the longest of some texts that fits, on a ground that makes it readable. */
function drawFitting(c, texts, x, y, room, ink, weight = 400) {
  c.font = `${weight} 11px ${FONT}`;
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  const text = texts.find((words) => c.measureText(words).width + 6 <= room);
  if (text === undefined) {
    return;
  }
  c.globalAlpha = 0.85;
  c.fillStyle = colour.ground;
  c.fillRect(x - 3, y - 7, c.measureText(text).width + 6, 14);
  c.globalAlpha = 1;
  c.fillStyle = ink;
  c.fillText(text, x, y);
}

function drawStrips(c, lane) {
  for (const strip of lane.strips) {
    const band = run.bands[strip.index];
    const [x, end] = [Math.max(xOf(band.from), GUTTER - 4), Math.max(xOf(band.until), xOf(band.from) + 3)];
    if (end < GUTTER || x > layout.width) {
      continue;
    }
    const y = topOf(lane) + strip.row * STRIP + 2;
    const name = BANDS[band.kind][0];
    c.globalAlpha = 0.3;
    c.fillStyle = colour[name];
    c.fillRect(x, y, end - x, STRIP - 3);
    c.globalAlpha = 1;
    c.fillRect(x, y, 2, STRIP - 3);
    c.fillRect(x, y + STRIP - 4, end - x, 1);
    drawn.boxes.push({ what: 'band', index: strip.index, x, y, width: end - x, height: STRIP - 2 });
    c.font = `11px ${FONT}`;
    c.textAlign = 'left';
    c.textBaseline = 'middle';
    c.fillStyle = colour.ink;
    const text = bandWords(band).find((words) => c.measureText(words).width + 10 <= end - x);
    if (text !== undefined) {
      c.fillText(text, Math.max(x, GUTTER) + 6, y + 6);
    }
  }
}

/** A colour of its own for each partition. */
function partitionColour(partition) {
  const hue = (partition * 137) % 360;
  return matchMedia('(prefers-color-scheme: dark)').matches ? `hsl(${hue} 45% 38%)` : `hsl(${hue} 60% 82%)`;
}

function drawOwned(c, lane) {
  for (const bar of lane.owned) {
    const [x, end] = [Math.max(xOf(bar.from), GUTTER - 4), Math.max(xOf(bar.until), xOf(bar.from) + 2)];
    if (end < GUTTER || x > layout.width) {
      continue;
    }
    const y = rowOf(lane, 1) + 10 + bar.row * OWNED;
    c.fillStyle = partitionColour(bar.partition);
    c.fillRect(x, y, end - x, OWNED - 2);
    drawn.boxes.push({ what: 'owned', index: bar.at, x, y, width: end - x, height: OWNED - 2 });
    c.font = `10.5px ${FONT}`;
    c.textAlign = 'left';
    c.textBaseline = 'middle';
    c.fillStyle = colour.ink;
    const text = run.strings[bar.partition];
    if (c.measureText(text).width + 8 < end - Math.max(x, GUTTER)) {
      c.fillText(text, Math.max(x, GUTTER) + 4, y + OWNED / 2 - 0.5);
    }
  }
}

/** What the lines at the bottom of a lane are. */
function drawLineKey(c, lane, strong) {
  const line = run.lines.find((one) => one.lane === lane.index && (strong < 0 || one.partition === strong));
  if (line === undefined || lane.lane.kind === 'helper') {
    return;
  }
  const isDisk = lane.lane.kind === 'disk';
  const partition = strong < 0 ? 'all' : run.strings[strong];
  c.fillStyle = colour[isDisk ? 'log' : 'read'];
  c.fillText(`${partition} ${isDisk ? 'log end' : 'position'}`, 26, topOf(lane) + lane.height - 13, GUTTER - 30);
}

function drawGutter(c, height) {
  c.fillStyle = colour.panel;
  c.fillRect(0, 0, GUTTER, height);
  c.save();
  c.beginPath();
  c.rect(0, RULER, GUTTER, height - RULER);
  c.clip();
  c.textAlign = 'left';
  c.textBaseline = 'middle';
  const strong = strongPartition();
  for (const lane of layout.lanes) {
    const top = topOf(lane);
    const isDisk = lane.lane.kind === 'disk';
    c.strokeStyle = colour.rule;
    if (!isDisk) {
      c.beginPath();
      c.moveTo(0, Math.round(top) + 0.5);
      c.lineTo(GUTTER, Math.round(top) + 0.5);
      c.stroke();
    }
    const y = rowOf(lane, 0);
    c.fillStyle = isDisk ? colour.muted : colour.ink;
    c.font = isDisk ? `11px ${FONT}` : `600 13px ${FONT}`;
    c.fillText(lane.lane.label, isDisk ? 26 : 12, y, GUTTER - 18);
    c.fillStyle = colour.muted;
    c.font = `11px ${FONT}`;
    if (!isDisk && lane.lane.kind !== 'broker' && lane.lane.kind !== 'zookeeper') {
      const word = { helper: 'of the testbed', member: `in ${lane.lane.group}` }[lane.lane.kind] ?? lane.lane.kind;
      c.fillText(word, 12, y + 15, GUTTER - 18);
    }
    drawLineKey(c, lane, strong);
  }
  c.restore();
  c.strokeStyle = colour.rule;
  c.beginPath();
  c.moveTo(GUTTER - 0.5, 0);
  c.lineTo(GUTTER - 0.5, height);
  c.moveTo(0, RULER - 0.5);
  c.lineTo(layout.width, RULER - 0.5);
  c.stroke();
}

'use strict';
// Messages as arrows between lanes, and positions as lines of steps.

/** Arrows of one pair of lanes that would lie on one another are drawn once when there are more than this. */
const ARROWS_CROWDED = 1200;

function isArrowShown(arrow) {
  const { arrows } = run;
  return passingArrows[arrow] === 1
    && !state.hiddenFamilies.has(familyOf(arrows.kind[arrow]))
    && layout.byLane[arrows.from[arrow]] !== undefined
    && layout.byLane[arrows.to[arrow]] !== undefined;
}

function arrowsInView() {
  const { arrows } = run;
  const shown = [];
  const end = firstAt(arrows.time, state.until);
  for (let arrow = 0; arrow < end; arrow += 1) {
    const took = arrows.took[arrow];
    const isInView = arrows.time[arrow] + Math.max(took, 0) >= state.from;
    if (isInView && isArrowShown(arrow)) {
      shown.push(arrow);
    }
  }
  return shown;
}

function arrowEnds(arrow) {
  const { arrows } = run;
  const [from, to] = [layout.byLane[arrows.from[arrow]], layout.byLane[arrows.to[arrow]]];
  const took = arrows.took[arrow];
  const [y1, y2] = [portOf(from), portOf(to)];
  const x1 = xOf(arrows.time[arrow]);
  if (took >= 0) {
    return { x1, y1, x2: xOf(arrows.time[arrow] + took), y2, lost: false };
  }
  // What nobody read ends on its way.
  return { x1, y1, x2: x1 + 10, y2: y1 + (y2 - y1) * 0.45, lost: true };
}

function drawArrows(c) {
  const shown = arrowsInView();
  const count = shown.length;
  const crowded = count > ARROWS_CROWDED;
  const alpha = count > 4000 ? 0.06 : crowded ? 0.1 : count > 300 ? 0.24 : 0.62;
  const seen = new Set();
  const heads = count < 260;
  for (const arrow of shown) {
    const ends = arrowEnds(arrow);
    if (crowded && !ends.lost) {
      const key = (Math.round(ends.x1 / 2) * 64 + run.arrows.from[arrow]) * 64 + run.arrows.to[arrow];
      if (seen.has(key)) {
        continue;
      }
      seen.add(key);
    }
    drawn.arrows.push({ index: arrow, ...ends });
    c.globalAlpha = ends.lost ? Math.max(alpha, crowded ? 0.35 : 0.7) : alpha;
    drawArrow(c, ends, colour[familyOf(run.arrows.kind[arrow])], heads);
  }
  c.globalAlpha = 1;
}

function drawArrow(c, { x1, y1, x2, y2, lost }, ink, heads) {
  c.strokeStyle = ink;
  c.fillStyle = ink;
  c.lineWidth = 1;
  c.setLineDash(lost ? [3, 3] : []);
  c.beginPath();
  c.moveTo(x1, y1);
  c.lineTo(x2, y2);
  c.stroke();
  c.setLineDash([]);
  if (lost) {
    c.strokeStyle = colour.fault;
    c.lineWidth = 1.5;
    SHAPES.cross(c, x2, y2, 3);
  } else if (heads) {
    const angle = Math.atan2(y2 - y1, x2 - x1);
    c.beginPath();
    c.moveTo(x2, y2);
    c.lineTo(x2 - 7 * Math.cos(angle - 0.4), y2 - 7 * Math.sin(angle - 0.4));
    c.lineTo(x2 - 7 * Math.cos(angle + 0.4), y2 - 7 * Math.sin(angle + 0.4));
    c.fill();
  }
}

const LINE_LOOKS = { stored: 'log', durable: 'flush', delivered: 'read', committed: 'commit' };

/** The partition whose lines are strong: the chosen one, or the violation's. */
function strongPartition() {
  return state.partition >= 0 ? state.partition : partitionInQuestion();
}

function drawLines(c) {
  const strong = strongPartition();
  const byPlace = new Map();
  for (const line of run.lines) {
    if (layout.byLane[line.lane] === undefined || (state.partition >= 0 && line.partition !== state.partition)) {
      continue;
    }
    const key = `${line.lane} ${line.partition}`;
    byPlace.set(key, [...(byPlace.get(key) ?? []), line]);
  }
  const places = [...byPlace.values()];
  places.sort((a, b) => (a[0].partition === strong) - (b[0].partition === strong));
  for (const lines of places) {
    drawLinesOfPartition(c, lines, lines[0].partition === strong || strong < 0);
  }
}

/** Lines of one partition in one lane share a scale: what is in view fills the height. */
function drawLinesOfPartition(c, lines, isStrong) {
  const lane = layout.byLane[lines[0].lane];
  const [top, height] = lane.lane.kind === 'disk'
    ? [topOf(lane) + lane.height - 26, 21]
    : [topOf(lane) + lane.height - 25, 21];
  const windows = lines.map((line) => {
    const begin = Math.max(0, firstAt(line.time, state.from) - 1);
    return { line, begin, end: firstAt(line.time, state.until) };
  });
  const values = windows.flatMap(({ line, begin, end }) => line.end.slice(begin, end));
  if (values.length === 0) {
    return;
  }
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const yOf = (value) => top + height - ((value - low) / Math.max(1, high - low)) * height;
  for (const { line, begin, end } of windows) {
    c.globalAlpha = isStrong ? 1 : 0.22;
    drawSteps(c, line, begin, end, yOf);
    c.globalAlpha = 1;
    if (isStrong) {
      drawFalls(c, line, begin, end, yOf);
    }
  }
}

function drawSteps(c, line, begin, end, yOf) {
  c.strokeStyle = colour[LINE_LOOKS[line.of]];
  c.lineWidth = line.of === 'stored' || line.of === 'delivered' ? 1.6 : 1.2;
  c.setLineDash(line.of === 'durable' || line.of === 'committed' ? [4, 2] : []);
  c.beginPath();
  let y = null;
  for (let step = begin; step < end; step += 1) {
    const x = xOf(line.time[step]);
    if (y !== null) {
      c.lineTo(x, y);
    }
    y = yOf(line.end[step]);
    if (step === begin) {
      c.moveTo(x, y);
    } else {
      c.lineTo(x, y);
    }
  }
  if (y !== null) {
    c.lineTo(Math.min(layout.width, xOf(run.end)), y);
  }
  c.stroke();
  c.setLineDash([]);
}

/** A log that ends earlier than before has lost something, and says how much. */
function drawFalls(c, line, begin, end, yOf) {
  if (line.of !== 'stored') {
    return;
  }
  for (let step = Math.max(1, begin); step < end; step += 1) {
    const fell = line.end[step - 1] - line.end[step];
    if (fell > 0) {
      const text = `${fell} fewer record${fell === 1 ? '' : 's'} in ${run.strings[line.partition]}`;
      const x = xOf(line.time[step]);
      c.strokeStyle = colour.fault;
      c.lineWidth = 2.5;
      c.beginPath();
      c.moveTo(x, yOf(line.end[step - 1]));
      c.lineTo(x, yOf(line.end[step]));
      c.stroke();
      drawFitting(c, [text, `-${fell}`], x + 8, yOf(line.end[step]) - 6, layout.width - x, colour.fault, 600);
    }
  }
}

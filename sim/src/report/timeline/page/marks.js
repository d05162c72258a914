'use strict';
// Marks: which of them are shown, and how each looks.

/** For every mark, whether the filters let it through; made anew when they change. */
let passing = new Uint8Array(0);
/** The same for every message. */
let passingArrows = new Uint8Array(0);

function markText(mark) {
  return run.strings[run.marks.text[mark]];
}

function markWords(mark) {
  const partition = run.marks.partition[mark];
  const lane = run.lanes[run.marks.lane[mark]];
  return [
    markText(mark), run.strings[run.marks.kind[mark]], lane.name, lane.label, lane.kind,
    partition < 0 ? '' : run.strings[partition],
  ].join(' ').toLowerCase();
}

function passes(mark) {
  const { marks } = run;
  if (state.hiddenCategories.has(looks[marks.category[mark]].name)) {
    return false;
  }
  if (state.partition >= 0 && marks.partition[mark] >= 0 && marks.partition[mark] !== state.partition) {
    return false;
  }
  if (!isLaneShown(run.lanes[marks.lane[mark]])) {
    return false;
  }
  if (state.words.length === 0) {
    return true;
  }
  const words = markWords(mark);
  return state.words.every((word) => words.includes(word));
}

/** Messages are found by what they are called and between whom they go. */
function arrowPasses(arrow) {
  const { arrows } = run;
  const ends = [run.lanes[arrows.from[arrow]], run.lanes[arrows.to[arrow]]];
  const words = [run.strings[arrows.kind[arrow]], ...ends.flatMap(({ name, label }) => [name, label])];
  const text = words.join(' ').toLowerCase();
  return state.words.every((word) => text.includes(word));
}

function filterMarks() {
  passingArrows = new Uint8Array(run.arrows.count);
  for (let arrow = 0; arrow < run.arrows.count; arrow += 1) {
    passingArrows[arrow] = state.words.length === 0 || arrowPasses(arrow) ? 1 : 0;
  }
  passing = new Uint8Array(run.marks.count);
  for (let mark = 0; mark < run.marks.count; mark += 1) {
    passing[mark] = passes(mark) ? 1 : 0;
  }
}

function countPassing() {
  return passing.reduce((sum, passed) => sum + passed, 0);
}

/** The next mark in `direction` (1 or -1) that the filters let through, from the selected one or the view. */
function neighbour(direction) {
  let mark;
  if (state.selected !== null && state.selected.what === 'mark') {
    mark = state.selected.index + direction;
  } else {
    mark = firstAt(run.marks.time, state.from + (state.until - state.from) / 2);
    mark = direction > 0 ? mark : mark - 1;
  }
  while (mark >= 0 && mark < run.marks.count && passing[mark] === 0) {
    mark += direction;
  }
  return mark >= 0 && mark < run.marks.count ? mark : -1;
}

function placeOf(mark) {
  const lane = layout.byLane[run.marks.lane[mark]];
  if (lane === undefined) {
    return null;
  }
  const { row } = looks[run.marks.category[mark]];
  return { x: xOf(run.marks.time[mark]), y: rowOf(lane, row), lane };
}

const SHAPES = {
  ring(c, x, y, r) {
    c.beginPath();
    c.arc(x, y, r * 0.85, 0, 7);
    c.stroke();
  },
  disc(c, x, y, r) {
    c.beginPath();
    c.arc(x, y, r, 0, 7);
    c.fill();
  },
  square(c, x, y, r) {
    c.fillRect(x - r * 0.85, y - r * 0.85, r * 1.7, r * 1.7);
  },
  tick(c, x, y, r) {
    c.fillRect(x - r * 0.35, y - r * 1.1, r * 0.7, r * 2.2);
  },
  triangle(c, x, y, r) {
    c.beginPath();
    c.moveTo(x, y - r * 1.15);
    c.lineTo(x + r * 1.1, y + r);
    c.lineTo(x - r * 1.1, y + r);
    c.fill();
  },
  diamond(c, x, y, r) {
    c.beginPath();
    c.moveTo(x, y - r * 1.2);
    c.lineTo(x + r * 1.2, y);
    c.lineTo(x, y + r * 1.2);
    c.lineTo(x - r * 1.2, y);
    c.fill();
  },
  cross(c, x, y, r) {
    c.beginPath();
    c.moveTo(x - r, y - r);
    c.lineTo(x + r, y + r);
    c.moveTo(x + r, y - r);
    c.lineTo(x - r, y + r);
    c.stroke();
  },
  plus(c, x, y, r) {
    c.beginPath();
    c.moveTo(x - r, y);
    c.lineTo(x + r, y);
    c.moveTo(x, y - r);
    c.lineTo(x, y + r);
    c.stroke();
  },
};

function drawShape(c, look, x, y, radius) {
  c.fillStyle = colour[look.name];
  c.strokeStyle = colour[look.name];
  c.lineWidth = Math.max(1.3, radius / 2.4);
  SHAPES[look.shape](c, x, y, radius);
}

const LABELS_MAX = 260;

/** Draws the marks in view; of those that would stand on one another, the first of each category. */
function drawMarks(c) {
  const { marks } = run;
  const first = firstAt(marks.time, state.from);
  const end = firstAt(marks.time, state.until);
  const radius = end - first > 1500 ? 2.4 : end - first > 300 ? 3.2 : 4.2;
  const last = new Map();
  const labels = [];
  let drawn = 0;
  for (let mark = first; mark < end; mark += 1) {
    const place = placeOf(mark);
    if (place === null || passing[mark] === 0) {
      continue;
    }
    const key = marks.lane[mark] * 32 + marks.category[mark];
    if (place.x - (last.get(key) ?? -99) < radius * 0.9) {
      continue;
    }
    last.set(key, place.x);
    drawShape(c, looks[marks.category[mark]], place.x, place.y, radius);
    drawn += 1;
    if (end - first < LABELS_MAX) {
      labels.push({ mark, ...place });
    }
  }
  drawLabels(c, labels, radius);
  return drawn;
}

/** Texts beside marks where there is room up to the next mark of the row. */
function drawLabels(c, labels, radius) {
  const next = new Map();
  c.font = '11px system-ui, "Liberation Sans", Arial, sans-serif';
  c.textBaseline = 'middle';
  c.textAlign = 'left';
  for (const label of labels.reverse()) {
    const key = `${label.lane.index} ${label.y}`;
    const room = (next.get(key) ?? layout.width) - label.x - radius * 2 - 10;
    next.set(key, label.x);
    if (room < 30 || lit.has(label.mark)) {
      continue;
    }
    const text = markText(label.mark);
    if (c.measureText(text).width <= room) {
      c.fillStyle = colour.muted;
      c.fillText(text, label.x + radius + 4, label.y + 0.5);
    }
  }
}

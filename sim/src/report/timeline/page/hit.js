'use strict';
// What is under the pointer: what proves the violation first, then marks, bands, messages.

const MARK_REACH = 9;
const ARROW_REACH = 5;

function nearestMark(x, y) {
  let best = null;
  let nearest = MARK_REACH;
  const micros = timeOf(x + MARK_REACH) - timeOf(x);
  const end = firstAt(run.marks.time, timeOf(x) + micros);
  for (let mark = firstAt(run.marks.time, timeOf(x) - micros); mark < end; mark += 1) {
    const place = passing[mark] === 1 ? placeOf(mark) : null;
    if (place === null) {
      continue;
    }
    const away = Math.hypot(place.x - x, place.y - y) - (lit.has(mark) ? 4 : 0);
    if (away < nearest) {
      nearest = away;
      best = { what: 'mark', index: mark };
    }
  }
  return best;
}

function awayFromSegment(x, y, { x1, y1, x2, y2 }) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const length = dx * dx + dy * dy;
  const share = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / length));
  return Math.hypot(x - x1 - share * dx, y - y1 - share * dy);
}

function nearestArrow(x, y) {
  let best = null;
  let nearest = ARROW_REACH;
  for (const arrow of drawn.arrows) {
    const away = awayFromSegment(x, y, arrow);
    if (away < nearest) {
      nearest = away;
      best = { what: 'arrow', index: arrow.index };
    }
  }
  return best;
}

function boxAt(x, y, wanted) {
  const isInside = (box) => x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height;
  const box = drawn.boxes.find((one) => wanted(one) && isInside(one));
  return box === undefined ? null : { what: box.what, index: box.index };
}

/** What is at a point of the chart, or null. */
function hit(x, y) {
  if (x < GUTTER || y < RULER) {
    return null;
  }
  return boxAt(x, y, (box) => box.what === 'mark')
    ?? nearestMark(x, y)
    ?? boxAt(x, y, (box) => box.height < 20)
    ?? nearestArrow(x, y)
    ?? boxAt(x, y, () => true);
}

/** Pairs of name and value that say all about it. */
function detailsOf({ what, index }) {
  return { mark: markDetails, arrow: arrowDetails, band: bandDetails, owned: ownedDetails }[what](index);
}

function markDetails(mark) {
  const { marks } = run;
  const lane = run.lanes[marks.lane[mark]];
  const details = [
    ['what', markText(mark)],
    ['time', seconds(marks.time[mark], 6)],
    ['node', lane.kind === 'disk' ? `${lane.name} (disk)` : lane.name],
    ['kind', run.strings[marks.kind[mark]]],
  ];
  if (marks.partition[mark] >= 0) {
    details.push(['partition', run.strings[marks.partition[mark]]]);
  }
  if (marks.incarnation[mark] > 0) {
    details.push(['incarnation', String(marks.incarnation[mark])]);
  }
  if (lit.has(mark)) {
    details.push(['evidence', `number ${lit.get(mark)} of the violation`]);
  }
  return details;
}

function arrowDetails(arrow) {
  const { arrows } = run;
  const took = arrows.took[arrow];
  return [
    ['what', run.strings[arrows.kind[arrow]]],
    ['from', run.lanes[arrows.from[arrow]].label],
    ['to', run.lanes[arrows.to[arrow]].label],
    ['sent', seconds(arrows.time[arrow], 6)],
    ['read', took < 0 ? 'never' : `${seconds(arrows.time[arrow] + took, 6)}, after ${(took / 1000).toFixed(3)} ms`],
    ['size', `${arrows.bytes[arrow]} bytes`],
  ];
}

function bandDetails(index) {
  const band = run.bands[index];
  const details = [
    ['what', run.strings[band.text]],
    ['kind', BANDS[band.kind][1]],
    ['node', run.lanes[band.lane].label],
    ['from', seconds(band.from, 6)],
    ['until', band.until >= run.end ? 'the end' : seconds(band.until, 6)],
    ['lasted', seconds(band.until - band.from, 3)],
  ];
  if (band.other !== null) {
    details.splice(3, 0, ['towards', run.lanes[band.other].label]);
  }
  return details;
}

function ownedDetails(index) {
  const bar = run.owned[index];
  return [
    ['what', `owns ${run.strings[bar.partition]}`],
    ['node', run.lanes[bar.lane].label],
    ['from', seconds(bar.from, 6)],
    ['until', bar.until >= run.end ? 'the end' : seconds(bar.until, 6)],
    ['lasted', seconds(bar.until - bar.from, 3)],
  ];
}

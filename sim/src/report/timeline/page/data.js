'use strict';
// The run as it was embedded, with its columns made into arrays of absolute times.

const run = decode(JSON.parse(document.getElementById('run').textContent));

function absolute(deltas) {
  const times = new Float64Array(deltas.length);
  let at = 0;
  for (let i = 0; i < deltas.length; i += 1) {
    at += deltas[i];
    times[i] = at;
  }
  return times;
}

function decode(raw) {
  raw.marks.time = absolute(raw.marks.time);
  raw.marks.count = raw.marks.time.length;
  raw.arrows.time = absolute(raw.arrows.time);
  raw.arrows.count = raw.arrows.time.length;
  for (const line of raw.lines) {
    line.time = absolute(line.time);
  }
  return raw;
}

/** How marks look: their shape, and in which of a lane's two rows they stand. */
const LOOKS = {
  sent: { word: 'sent', shape: 'ring', row: 0 },
  acked: { word: 'acked', shape: 'disc', row: 1 },
  doubt: { word: 'retried, failed', shape: 'triangle', row: 1 },
  log: { word: 'stored', shape: 'square', row: 0 },
  flush: { word: 'durable', shape: 'tick', row: 0 },
  read: { word: 'read', shape: 'disc', row: 0 },
  finish: { word: 'processed, finished', shape: 'ring', row: 1 },
  commit: { word: 'committed', shape: 'diamond', row: 1 },
  group: { word: 'group', shape: 'square', row: 0 },
  session: { word: 'session', shape: 'diamond', row: 0 },
  znode: { word: 'znode', shape: 'tick', row: 0 },
  trouble: { word: 'recovery, trouble', shape: 'triangle', row: 0 },
  fault: { word: 'fault', shape: 'cross', row: 0 },
  mend: { word: 'end of fault', shape: 'plus', row: 0 },
};
const looks = run.categories.map((name) => ({ name, ...LOOKS[name] }));

/** Messages are coloured and filtered by what they are about. */
const FAMILIES = { produce: 'produce', fetch: 'fetch', zookeeper: 'ZooKeeper', other: 'other requests' };

const familyOfString = new Map();

function familyOf(kind) {
  let family = familyOfString.get(kind);
  if (family === undefined) {
    const name = run.strings[kind].toLowerCase();
    family = name.startsWith('produce') ? 'produce'
      : name.startsWith('fetch') ? 'fetch'
        : name.startsWith('zk') ? 'zookeeper' : 'other';
    familyOfString.set(kind, family);
  }
  return family;
}

/** How bands are coloured and named. */
const BANDS = {
  down: ['down', 'down'],
  paused: ['paused', 'paused'],
  cut: ['link', 'link cut'],
  delay: ['link', 'link slow'],
  bandwidth: ['link', 'link narrow'],
  stall: ['link', 'link stalled'],
  refuse: ['link', 'no connections'],
  disk: ['disk', 'disk ill'],
  clock: ['odd', 'clock wrong'],
  watches: ['odd', 'watches late'],
  timers: ['odd', 'timers wrong'],
  descriptors: ['odd', 'few descriptors'],
  detached: ['odd', 'server without a leader'],
  lagging: ['odd', 'server lags'],
  quorum: ['down', 'no quorum'],
  load: ['odd', 'unusual load'],
  pace: ['odd', 'slow application'],
};

const COLOURS = [
  'ground', 'panel', 'ink', 'muted', 'rule', 'stripe', 'phase-a', 'phase-b', 'focus', 'lit', 'lit-ground', 'down',
  'paused', 'link', 'disk', 'odd', ...Object.keys(LOOKS), ...Object.keys(FAMILIES),
];
const colour = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of COLOURS) {
    colour[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

/** What the reader has chosen. */
const state = {
  from: 0,
  until: run.end,
  scroll: 0,
  violation: 0,
  selected: null,
  hovered: null,
  words: [],
  partition: -1,
  node: '',
  messages: true,
  hiddenCategories: new Set(),
  hiddenFamilies: new Set(),
};

/** Marks that prove the chosen violation, with their numbers. */
const lit = new Map();

function chooseViolation(index) {
  state.violation = index;
  lit.clear();
  const told = run.story.violations[index];
  if (told === undefined) {
    return;
  }
  const marks = told.evidence.map(([, mark]) => mark).filter((mark) => mark >= 0);
  [...new Set(marks)].sort((a, b) => a - b).forEach((mark, nth) => lit.set(mark, nth + 1));
}

/** The partition that the chosen violation is about, -1 if it is about none. */
function partitionInQuestion() {
  const counts = new Map();
  for (const mark of lit.keys()) {
    const partition = run.marks.partition[mark];
    if (partition >= 0) {
      counts.set(partition, (counts.get(partition) ?? 0) + 1);
    }
  }
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  return most === undefined ? -1 : most[0];
}

/** Evidence that tells the story; the rest, ends of faults and recoveries, is what went on around it. */
function isTelling(mark) {
  const { name } = looks[run.marks.category[mark]];
  return name !== 'mend' && name !== 'trouble' && name !== 'session';
}

/** The colour of an event that proves something. */
function storyColour(mark) {
  return isTelling(mark) ? colour[looks[run.marks.category[mark]].name] : colour.muted;
}

/** A record's value as a person would write it: without what fills it up. */
function unfilled(text) {
  return text.replace(/([^\d\s])\1{5,}/g, '…').replace(/ …"/g, '"');
}

function isNecessary(line) {
  return run.story.necessary.includes(line);
}

function seconds(micros, digits = 3) {
  return `${(micros / 1e6).toFixed(digits)} s`;
}

/** The index of the first element of sorted `times` that is not before `at`. */
function firstAt(times, at) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

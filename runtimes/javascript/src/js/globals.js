// What else a worker finds: console, timers, events, randomness, Cache.

const shown = (value, depth = 0, seen = []) => {
  switch (typeof value) {
    case 'string':
      return depth === 0 ? value : JSON.stringify(value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return value.toString();
    case 'function':
      return `[function ${value.name || '(anonymous)'}]`;
    case 'object':
      break;
    default:
      return String(value);
  }
  if (value === null) return 'null';
  if (value instanceof Error) return `${value}\n${value.stack ?? ''}`.trimEnd();
  if (seen.includes(value)) return '[circular]';
  if (depth > 3) return Array.isArray(value) ? '[…]' : '{…}';
  const inside = [...seen, value];
  const all = (values) => values.slice(0, 100).map((one) => shown(one, depth + 1, inside)).join(', ');
  if (Array.isArray(value)) return `[${all(value)}]`;
  if (value instanceof Map) return `Map {${all([...value])}}`;
  if (value instanceof Set) return `Set {${all([...value])}}`;
  if (value instanceof Date || value instanceof RegExp || value instanceof URL) return String(value);
  const own = Object.entries(value).slice(0, 100);
  return `{${own.map(([name, one]) => `${name}: ${shown(one, depth + 1, inside)}`).join(', ')}}`;
};
const log = (...values) => {
  let [first, ...rest] = values;
  if (typeof first === 'string') {
    first = first.replace(/%[sdifoOjc%]/g, (mark) => {
      if (mark === '%%') return '%';
      if (rest.length === 0) return mark;
      const value = rest.shift();
      return mark === '%c' ? '' : 'di'.includes(mark[1]) ? String(Math.trunc(Number(value))) : shown(value);
    });
  }
  host.log([...(values.length > 0 ? [first] : []), ...rest].map((value) => shown(value)).join(' '));
};
const counts = new Map();
const clocks = new Map();
const console = {
  log,
  debug: log,
  info: log,
  warn: log,
  error: log,
  dir: log,
  table: log,
  trace: (...values) => log(...values, `\n${new Error().stack.split('\n').slice(1).join('\n')}`),
  assert: (holds, ...values) => holds || log('assertion failed:', ...values),
  group: log,
  groupCollapsed: log,
  groupEnd() {},
  count(label = 'default') {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    log(`${label}: ${counts.get(label)}`);
  },
  countReset: (label = 'default') => counts.delete(label),
  time: (label = 'default') => clocks.set(label, performance.now()),
  timeLog: (label = 'default') => log(`${label}: ${performance.now() - clocks.get(label)} ms`),
  timeEnd(label = 'default') {
    console.timeLog(label);
    clocks.delete(label);
  },
};

// Timers, in the order of their time. The runtime waits for them when nothing else is to be done.
let timers = [];
let lastTimer = 0;
const startTimer = (callback, delay, repeat, values) => {
  const wait = Math.max(0, Number(delay) || 0);
  lastTimer += 1;
  timers.push({ id: lastTimer, at: host.now() + wait, wait, repeat, run: () => callback(...values) });
  return lastTimer;
};
const setTimeout = (callback, delay, ...values) => startTimer(callback, delay, false, values);
const setInterval = (callback, delay, ...values) => startTimer(callback, delay, true, values);
const clearTimeout = (id) => {
  timers = timers.filter((timer) => timer.id !== id);
};
const nextTimer = () => timers.reduce((next, timer) => Math.min(next, timer.at), Infinity);
const runTimer = () => {
  const at = nextTimer();
  const timer = timers.find((one) => one.at === at);
  if (!timer) return;
  if (timer.repeat) timer.at = host.now() + Math.max(1, timer.wait);
  else clearTimeout(timer.id);
  timer.run();
};

class Event {
  constructor(type, init = {}) {
    this.type = String(type);
    this.cancelable = Boolean(init.cancelable);
    this.defaultPrevented = false;
    this.target = null;
  }

  preventDefault() {
    this.defaultPrevented = this.cancelable;
  }

  stopPropagation() {}

  stopImmediatePropagation() {}
}

class EventTarget {
  #listeners = [];

  addEventListener(type, listener, options) {
    const same = (one) => one.type === String(type) && one.listener === listener;
    if (listener && !this.#listeners.some(same)) {
      this.#listeners.push({ type: String(type), listener, once: Boolean(options?.once) });
    }
  }

  removeEventListener(type, listener) {
    this.#listeners = this.#listeners.filter((one) => one.type !== String(type) || one.listener !== listener);
  }

  dispatchEvent(event) {
    event.target ??= this;
    for (const one of [...this.#listeners]) {
      if (one.type !== event.type) continue;
      if (one.once) this.removeEventListener(one.type, one.listener);
      if (typeof one.listener === 'function') one.listener.call(this, event);
      else one.listener.handleEvent(event);
    }
    return !event.defaultPrevented;
  }
}

class AbortError extends Error {
  name = 'AbortError';
}

class AbortSignal extends EventTarget {
  aborted = false;
  reason = undefined;

  throwIfAborted() {
    if (this.aborted) throw this.reason;
  }
}

class AbortController {
  signal = new AbortSignal();

  abort(reason = new AbortError('this was aborted')) {
    if (this.signal.aborted) return;
    this.signal.aborted = true;
    this.signal.reason = reason;
    this.signal.dispatchEvent(new Event('abort'));
  }
}

const crypto = {
  getRandomValues(view) {
    const bytes = bytesOf(view);
    if (bytes.length > 65536) throw new RangeError('getRandomValues gives 65536 bytes at once');
    bytes.set(host.random(bytes.length));
    return view;
  },
  randomUUID() {
    const bytes = host.random(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  },
};
// An instance may be a copy of another one: it must not inherit what comes next.
Math.random = () => {
  const bytes = host.random(7);
  return bytes.reduce((sum, byte, at) => sum + (at === 6 ? byte & 0x1f : byte) * 2 ** (8 * at), 0) / 2 ** 53;
};

const performance = {
  now: () => host.monotonic(),
  get timeOrigin() {
    return Date.now() - host.monotonic();
  },
};

// The key-value map.
let entries = {};
const Cache = {
  get: (key) => (Object.hasOwn(entries, key) ? entries[key] : undefined),
  set(key, value) {
    entries[key] = value;
  },
  delete: (key) => delete entries[key],
  keys: () => Object.keys(entries),
};

const structuredClone = (value) => {
  const seen = new Map();
  const copy = (one) => {
    if (typeof one === 'function' || typeof one === 'symbol') throw new TypeError(`${String(one)} cannot be cloned`);
    if (one === null || typeof one !== 'object') return one;
    if (seen.has(one)) return seen.get(one);
    const made = (empty) => {
      seen.set(one, empty);
      return empty;
    };
    if (one instanceof Date) return made(new Date(one));
    if (one instanceof RegExp) return made(new RegExp(one.source, one.flags));
    if (one instanceof ArrayBuffer) return made(one.slice(0));
    if (ArrayBuffer.isView(one)) return made(new one.constructor(one));
    if (one instanceof Map) {
      const out = made(new Map());
      one.forEach((entry, key) => out.set(copy(key), copy(entry)));
      return out;
    }
    if (one instanceof Set) {
      const out = made(new Set());
      one.forEach((entry) => out.add(copy(entry)));
      return out;
    }
    if (one instanceof Error) return made(Object.assign(new one.constructor(one.message), { stack: one.stack }));
    const out = made(Array.isArray(one) ? [] : {});
    for (const key of Object.keys(one)) out[key] = copy(one[key]);
    return out;
  };
  return copy(value);
};

define({
  AbortController,
  AbortSignal,
  Cache,
  Event,
  EventTarget,
  clearInterval: clearTimeout,
  clearTimeout,
  console,
  crypto,
  performance,
  self: globalThis,
  setInterval,
  setTimeout,
  structuredClone,
});

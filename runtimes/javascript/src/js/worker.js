// A worker: what answers, and one request.

let listener = null;
let handler = null;
const env = {};
const addEventListener = (type, callback) => {
  if (String(type) === 'fetch') listener = callback;
};
define({ addEventListener, process: { env } });

// What a module exports as its default answers like a listener would.
const setModule = (exported) => {
  if (exported === undefined) return;
  if (typeof exported !== 'function' && typeof exported?.fetch !== 'function') {
    throw new TypeError('the default export is neither a function nor an object with the function `fetch`');
  }
  handler = exported;
};

const hasHandler = () => listener !== null || handler !== null;

// Environment variables are globals, as in Wasm Workers Server.
const setEnvironment = (variables) => {
  for (const [name, value] of Object.entries(variables)) {
    const property = { value, configurable: true, writable: true };
    Object.defineProperty(env, name, { ...property, enumerable: true });
    Object.defineProperty(globalThis, name, property);
  }
};

// Before the variables have values, nothing may depend on them.
const forbidEnvironment = (names) => {
  const forbidden = (name) => ({
    configurable: true,
    enumerable: true,
    get() {
      throw new ReferenceError(`the variable ${name} has no value before the first request`);
    },
  });
  for (const name of names) {
    Object.defineProperty(env, name, forbidden(name));
    Object.defineProperty(globalThis, name, { ...forbidden(name), enumerable: false });
  }
};

// What goes on after the response.
let waiting = 0;
const context = {
  waitUntil(promise) {
    waiting += 1;
    const end = () => {
      waiting -= 1;
    };
    Promise.resolve(promise).then(end, (error) => {
      log(error);
      end();
    });
  },
  passThroughOnException() {},
};

const respond = (request) => {
  if (handler !== null) {
    return typeof handler === 'function' ? handler(request, env, context) : handler.fetch(request, env, context);
  }
  let answer;
  let answered = false;
  const event = Object.assign(new Event('fetch'), {
    request,
    ...context,
    respondWith(response) {
      answer = response;
      answered = true;
    },
  });
  if (typeof listener === 'function') listener(event);
  else listener.handleEvent(event);
  if (!answered) throw new TypeError('the listener did not call event.respondWith');
  return answer;
};

const serve = async (text, done) => {
  const input = JSON.parse(text);
  entries = { ...input.kv };
  const response = await respond(Request.of(input));
  if (!(response instanceof Response)) {
    throw new TypeError(`a Response is expected, not ${shown(response, 1)}`);
  }
  if (response.status === 0) throw new TypeError('the response is an error');
  const { body, status, headers } = response;
  const base64 = body instanceof Uint8Array;
  done(JSON.stringify({
    data: base64 ? host.toBase64(body) : wellFormed(body ?? ''),
    headers,
    status,
    kv: entries,
    base64,
  }));
};

const start = (text) => {
  serve(text, host.done).catch((error) => host.failed(shown(error)));
};

return {
  forbidEnvironment,
  hasHandler,
  isWaiting: () => waiting > 0,
  nextTimer,
  runTimer,
  setEnvironment,
  setModule,
  start,
};

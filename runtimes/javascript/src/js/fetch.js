// Headers, Request, Response and fetch.
//
// A body is text or bytes, and all there: a worker is given its request whole, and gives its response
// whole. So `body` is the text itself, as Wasm Workers Server has it, and not a stream.

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

class Headers {
  #pairs = [];

  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init !== 'object') throw new TypeError('headers are an object or a list of pairs');
    const pairs = typeof init[Symbol.iterator] === 'function' ? init : Object.entries(init);
    for (const [name, value] of pairs) {
      for (const one of Array.isArray(value) ? value : [value]) this.append(name, one);
    }
  }

  #name(name) {
    const lower = String(name).toLowerCase();
    if (!TOKEN.test(lower)) throw new TypeError(`${JSON.stringify(String(name))} is not the name of a header`);
    return lower;
  }

  append(name, value) {
    const text = String(value).trim();
    if (/[\0\r\n]/.test(text)) throw new TypeError(`the value of the header ${name} has a line break in it`);
    this.#pairs.push([this.#name(name), text]);
  }

  set(name, value) {
    this.delete(name);
    this.append(name, value);
  }

  delete(name) {
    const lower = this.#name(name);
    this.#pairs = this.#pairs.filter((pair) => pair[0] !== lower);
  }

  get(name) {
    const lower = this.#name(name);
    const values = this.#pairs.filter((pair) => pair[0] === lower).map((pair) => pair[1]);
    return values.length > 0 ? values.join(', ') : null;
  }

  getSetCookie() {
    return this.#pairs.filter((pair) => pair[0] === 'set-cookie').map((pair) => pair[1]);
  }

  has(name) {
    const lower = this.#name(name);
    return this.#pairs.some((pair) => pair[0] === lower);
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    const names = [...new Set(this.#pairs.map((pair) => pair[0]))].sort();
    for (const name of names) {
      if (name === 'set-cookie') for (const value of this.getSetCookie()) yield [name, value];
      else yield [name, this.get(name)];
    }
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  // As the response's JSON has them: several values as a list.
  toJSON() {
    const out = {};
    for (const [name, value] of this) out[name] = name in out ? [out[name], value].flat() : value;
    return out;
  }
}

// What both have: a body, once read.
class Body {
  #bytes = null;
  #text = null;
  #used = false;

  _take(body) {
    if (body === undefined || body === null) return undefined;
    if (body instanceof URLSearchParams) {
      this.#text = body.toString();
      return 'application/x-www-form-urlencoded;charset=UTF-8';
    }
    if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
      this.#bytes = bytesOf(body).slice();
      return undefined;
    }
    this.#text = String(body);
    return 'text/plain;charset=UTF-8';
  }

  _share(other) {
    this.#bytes = other.#bytes;
    this.#text = other.#text;
  }

  // Text if it is any, otherwise bytes, or null.
  get body() {
    return this.#text ?? this.#bytes;
  }

  get bodyUsed() {
    return this.#used;
  }

  _bytes() {
    return this.#bytes ?? encode(this.#text ?? '');
  }

  _text() {
    return this.#text ?? (this.#bytes ? new TextDecoder().decode(this.#bytes) : '');
  }

  #use() {
    if (this.#used) throw new TypeError('this body was read before');
    this.#used = this.body !== null;
  }

  async bytes() {
    this.#use();
    return this._bytes().slice();
  }

  async arrayBuffer() {
    return (await this.bytes()).buffer;
  }

  async text() {
    this.#use();
    return this._text();
  }

  async json() {
    return JSON.parse(await this.text());
  }

  async formData() {
    const type = this.headers.get('content-type') ?? '';
    if (!type.startsWith('application/x-www-form-urlencoded')) {
      throw new TypeError(`a form of the type ${type || '(none)'} cannot be read: there is application/x-www-form-urlencoded`);
    }
    return new URLSearchParams(await this.text());
  }
}

class Request extends Body {
  constructor(input, init = {}) {
    super();
    const from = input instanceof Request ? input : null;
    this.url = from ? from.url : new URL(String(input)).href;
    const method = String(init.method ?? from?.method ?? 'GET');
    const upper = method.toUpperCase();
    this.method = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'].includes(upper) ? upper : method;
    this.headers = new Headers(init.headers ?? from?.headers);
    // The parameters of the route.
    this.params = { ...(init.params ?? from?.params) };
    this.signal = init.signal ?? from?.signal ?? new AbortController().signal;
    if (init.body !== undefined && init.body !== null) {
      if (['GET', 'HEAD'].includes(this.method)) throw new TypeError(`a ${this.method} request has no body`);
      const type = this._take(init.body);
      if (type && !this.headers.has('content-type')) this.headers.set('content-type', type);
    } else if (from) {
      this._share(from);
    }
  }

  // What the host sent: a GET may have a body here.
  static of(input) {
    const { method, headers, params } = input;
    const request = new Request(input.url, { method, params });
    request.headers = new Headers(headers);
    request._take(input.body_base64 ? host.fromBase64(input.body_base64) : input.body || null);
    return request;
  }

  clone() {
    if (this.bodyUsed) throw new TypeError('this body was read before');
    return new Request(this);
  }
}

class Response extends Body {
  constructor(body = null, init = {}) {
    super();
    this.status = init.status === undefined ? 200 : Number(init.status);
    if (!Number.isInteger(this.status) || this.status < 200 || this.status > 599) {
      throw new RangeError(`${init.status} is not the status of a response: it is from 200 to 599`);
    }
    this.statusText = String(init.statusText ?? '');
    this.headers = new Headers(init.headers);
    this.redirected = false;
    this.type = 'default';
    this.url = '';
    const type = this._take(body);
    // Text has the host's default type, text/html, as in Wasm Workers Server.
    if (type && !type.startsWith('text/plain') && !this.headers.has('content-type')) {
      this.headers.set('content-type', type);
    }
  }

  static error() {
    const response = new Response();
    response.status = 0;
    response.type = 'error';
    return response;
  }

  static json(value, init = {}) {
    const response = new Response(JSON.stringify(value), init);
    if (!response.headers.has('content-type')) response.headers.set('content-type', 'application/json');
    return response;
  }

  static redirect(url, status = 307) {
    return new Response(`Redirecting to ${url}`, { status, headers: { location: String(url) } });
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }

  clone() {
    if (this.bodyUsed) throw new TypeError('this body was read before');
    const { status, statusText, headers } = this;
    const response = new Response(null, { status, statusText, headers });
    response._share(this);
    return response;
  }
}

const fetch = async (input, init) => {
  const request = new Request(input, init);
  if (!host.fetch) throw new TypeError(`fetch ${request.url}: this worker may not send requests`);
  if (request.signal.aborted) throw request.signal.reason;
  const headers = [...request.headers].map(([name, value]) => `${name}:${value}\n`).join('');
  const answer = host.fetch(request.url, request.method, headers, request._bytes());
  if (answer.error) throw new TypeError(`fetch ${request.url}: ${answer.error}`);
  const response = new Response(answer.body, { status: answer.status });
  for (const line of answer.headers.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0) response.headers.append(line.slice(0, at), line.slice(at + 1));
  }
  response.url = request.url;
  return response;
};

define({ Headers, Request, Response, fetch });

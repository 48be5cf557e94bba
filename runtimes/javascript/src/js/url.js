// URL and URLSearchParams, as far as workers use them: hierarchical URLs, resolved and normalised the way
// the URL standard does for http and https; other schemes are taken as they are.

const PORTS = { 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443', 'ftp:': '21' };
const quoted = (text, also) =>
  encodeURI(wellFormed(text)).replace(/%25([0-9a-f]{2})/gi, '%$1').replace(also, (found) =>
    `%${found.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
const pathQuoted = (text) => quoted(text, /[?#{}`^]/g).replace(/%5B/g, '[').replace(/%5D/g, ']');
const formEncoded = (text) =>
  encodeURIComponent(wellFormed(text))
    .replace(/[!'()~]/g, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%20/g, '+');
const percentDecoded = (text) => {
  if (!text.includes('%')) return text;
  const bytes = encode(text);
  const out = [];
  for (let at = 0; at < bytes.length; at += 1) {
    const pair = String.fromCharCode(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0);
    if (bytes[at] === 0x25 && /^[0-9a-f]{2}$/i.test(pair)) {
      out.push(parseInt(pair, 16));
      at += 2;
    } else {
      out.push(bytes[at]);
    }
  }
  return host.decode(new Uint8Array(out), false);
};

class URLSearchParams {
  #pairs = [];
  #changed = () => {};

  constructor(init = '') {
    if (init instanceof URLSearchParams) {
      this.#pairs = [...init].map((pair) => [...pair]);
    } else if (init !== null && typeof init === 'object' && typeof init[Symbol.iterator] === 'function') {
      for (const pair of init) {
        const [name, value, ...more] = pair;
        if (value === undefined || more.length > 0) throw new TypeError('a pair has a name and a value');
        this.#pairs.push([wellFormed(name), wellFormed(value)]);
      }
    } else if (init !== null && typeof init === 'object') {
      for (const name of Object.keys(init)) this.#pairs.push([wellFormed(name), wellFormed(init[name])]);
    } else {
      this.#parse(String(init));
    }
  }

  // The parameters of a URL, which change with them.
  static of(query, changed) {
    const parameters = new URLSearchParams(query);
    parameters.#changed = changed;
    return parameters;
  }

  static reset(parameters, query) {
    parameters.#pairs = [];
    parameters.#parse(query);
  }

  #parse(query) {
    for (const part of query.replace(/^\?/, '').split('&')) {
      if (part === '') continue;
      const at = part.indexOf('=');
      const [name, value] = at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
      this.#pairs.push([name, value].map((text) => percentDecoded(text.replace(/\+/g, ' '))));
    }
  }

  get size() {
    return this.#pairs.length;
  }

  append(name, value) {
    this.#pairs.push([wellFormed(name), wellFormed(value)]);
    this.#changed();
  }

  delete(name, value) {
    this.#pairs = this.#pairs.filter(
      (pair) => pair[0] !== String(name) || (value !== undefined && pair[1] !== String(value)),
    );
    this.#changed();
  }

  get(name) {
    return this.#pairs.find((pair) => pair[0] === String(name))?.[1] ?? null;
  }

  getAll(name) {
    return this.#pairs.filter((pair) => pair[0] === String(name)).map((pair) => pair[1]);
  }

  has(name, value) {
    const fits = (pair) => pair[0] === String(name) && (value === undefined || pair[1] === String(value));
    return this.#pairs.some(fits);
  }

  set(name, value) {
    const first = this.#pairs.find((pair) => pair[0] === String(name));
    if (!first) return this.append(name, value);
    first[1] = wellFormed(value);
    this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== String(name));
    this.#changed();
  }

  sort() {
    this.#pairs.sort((one, other) => (one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0));
    this.#changed();
  }

  forEach(callback, self) {
    for (const [name, value] of this.#pairs) callback.call(self, value, name, this);
  }

  *entries() {
    for (const pair of this.#pairs) yield [...pair];
  }

  *keys() {
    for (const pair of this.#pairs) yield pair[0];
  }

  *values() {
    for (const pair of this.#pairs) yield pair[1];
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    return this.#pairs.map((pair) => pair.map(formEncoded).join('=')).join('&');
  }
}

class URL {
  #parts;
  #parameters;

  constructor(text, base) {
    const parts = parsed(String(text), base === undefined ? undefined : new URL(base).#parts);
    if (!parts) throw new TypeError(`${JSON.stringify(String(text))} is not a URL`);
    this.#parts = parts;
    this.#parameters = URLSearchParams.of(parts.search, () => {
      const query = this.#parameters.toString();
      this.#parts.search = query && `?${query}`;
    });
  }

  static canParse(text, base) {
    return URL.parse(text, base) !== null;
  }

  static parse(text, base) {
    try {
      return new URL(text, base);
    } catch {
      return null;
    }
  }

  get href() {
    const { protocol, opaque, username, password, hostname, port, pathname, search, hash } = this.#parts;
    if (opaque) return protocol + pathname + search + hash;
    const secret = password && `:${password}`;
    const user = username || password ? `${username}${secret}@` : '';
    return `${protocol}//${user}${hostname}${port && `:${port}`}${pathname}${search}${hash}`;
  }

  set href(text) {
    const parts = parsed(String(text));
    if (!parts) throw new TypeError(`${JSON.stringify(String(text))} is not a URL`);
    this.#parts = parts;
    URLSearchParams.reset(this.#parameters, parts.search);
  }

  get origin() {
    const { protocol, opaque } = this.#parts;
    return opaque || !(protocol in PORTS) ? 'null' : `${protocol}//${this.host}`;
  }

  get protocol() {
    return this.#parts.protocol;
  }

  set protocol(text) {
    const scheme = /^([a-z][a-z0-9+.-]*):?$/i.exec(String(text))?.[1].toLowerCase();
    if (scheme && `${scheme}:` in PORTS === this.#parts.protocol in PORTS) {
      this.#parts.protocol = `${scheme}:`;
      if (PORTS[`${scheme}:`] === this.#parts.port) this.#parts.port = '';
    }
  }

  get username() {
    return this.#parts.username;
  }

  set username(text) {
    this.#parts.username = encodeURIComponent(wellFormed(text));
  }

  get password() {
    return this.#parts.password;
  }

  set password(text) {
    this.#parts.password = encodeURIComponent(wellFormed(text));
  }

  get host() {
    const { hostname, port } = this.#parts;
    return port ? `${hostname}:${port}` : hostname;
  }

  set host(text) {
    const authority = authorityOf(String(text), this.#parts.protocol);
    if (authority) Object.assign(this.#parts, { hostname: authority.hostname, port: authority.port });
  }

  get hostname() {
    return this.#parts.hostname;
  }

  set hostname(text) {
    const authority = authorityOf(String(text), this.#parts.protocol);
    if (authority) this.#parts.hostname = authority.hostname;
  }

  get port() {
    return this.#parts.port;
  }

  set port(text) {
    const port = /^\d{1,5}/.exec(String(text))?.[0] ?? '';
    if (String(text) === '' || port) {
      this.#parts.port = port && PORTS[this.#parts.protocol] !== String(Number(port)) ? String(Number(port)) : '';
    }
  }

  get pathname() {
    return this.#parts.pathname;
  }

  set pathname(text) {
    if (!this.#parts.opaque) this.#parts.pathname = resolved(`/${String(text).replace(/^[/\\]/, '')}`);
  }

  get search() {
    return this.#parts.search;
  }

  set search(text) {
    const query = String(text).replace(/^\?/, '');
    this.#parts.search = query && `?${quoted(query, /[#']/g)}`;
    URLSearchParams.reset(this.#parameters, this.#parts.search);
  }

  get searchParams() {
    return this.#parameters;
  }

  get hash() {
    return this.#parts.hash;
  }

  set hash(text) {
    const fragment = String(text).replace(/^#/, '');
    this.#parts.hash = fragment && `#${quoted(fragment, /[`]/g)}`;
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }
}

const parsed = (text, base) => {
  text = text.replace(/^[\0- ]+|[\0- ]+$/g, '').replace(/[\t\n\r]/g, '');
  const [, scheme, rest] = /^(?:([a-z][a-z0-9+.-]*):)?([^]*)$/i.exec(text);
  let protocol = scheme && `${scheme.toLowerCase()}:`;
  const [, before, query, fragment] = /^([^?#]*)(\?[^#]*)?(#[^]*)?$/.exec(rest);
  const search = (query ?? '').length > 1 ? `?${quoted(query.slice(1), /['"<>]/g)}` : '';
  const hash = (fragment ?? '').length > 1 ? `#${quoted(fragment.slice(1), /[`]/g)}` : '';
  if (protocol && !(protocol in PORTS) && !before.startsWith('//')) {
    const empty = { username: '', password: '', hostname: '', port: '' };
    return { protocol, opaque: true, ...empty, pathname: before, search, hash };
  }
  const path = !protocol || protocol in PORTS ? before.replace(/\\/g, '/') : before;
  const relative = !protocol || (base && protocol === base.protocol && !path.startsWith('//'));
  if (relative) {
    if (!base || base.opaque) return null;
    protocol = base.protocol;
    if (!path.startsWith('//')) {
      const { username, password, hostname, port } = base;
      const kept = { protocol, opaque: false, username, password, hostname, port };
      if (path === '') return { ...kept, pathname: base.pathname, search: query ? search : base.search, hash };
      const folder = path.startsWith('/') ? '' : base.pathname.replace(/[^/]*$/, '');
      return { ...kept, pathname: resolved(folder + path), search, hash };
    }
  }
  const [, authorityText, pathname] = /^\/*([^/]*)([^]*)$/.exec(path);
  const authority = authorityOf(authorityText, protocol);
  if (!authority) return null;
  return { protocol, opaque: false, ...authority, pathname: resolved(pathname || '/'), search, hash };
};

const authorityOf = (text, protocol) => {
  const [, user, secret, hostText, portText] =
    /^(?:([^:]*)(?::([^]*))?@)?(\[[^\]]*\]|[^:@]*)(?::(\d*))?$/.exec(text) ?? [];
  if (hostText === undefined || (hostText === '' && protocol in PORTS)) return null;
  const hostname = hostText.startsWith('[') ? hostText.toLowerCase() : percentDecoded(hostText).toLowerCase();
  if (!hostname.startsWith('[') && /[\0- #%/:<>?@[\\\]^|]/.test(hostname)) return null;
  const number = portText ? Number(portText) : undefined;
  if (number > 65535) return null;
  const port = number === undefined || String(number) === PORTS[protocol] ? '' : String(number);
  return { username: quoted(user ?? '', /[/;=?@|]/g), password: quoted(secret ?? '', /[/;=?@|]/g), hostname, port };
};

// A path without `.` and `..`.
const resolved = (path) => {
  const out = [];
  const parts = path.split('/').slice(1);
  parts.forEach((part, at) => {
    const plain = part.replace(/%2e/gi, '.');
    if (plain === '..') out.pop();
    else if (plain !== '.') out.push(pathQuoted(part));
    if ((plain === '.' || plain === '..') && at === parts.length - 1) out.push('');
  });
  return `/${out.join('/')}`;
};

define({ URL, URLSearchParams });

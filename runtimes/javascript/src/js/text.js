// Text and bytes: TextEncoder, TextDecoder, atob, btoa, and what the other parts use of them.

const wellFormed = (value) => String(value).toWellFormed();
const encode = (text) => host.encode(wellFormed(text));
const bytesOf = (value) => {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  throw new TypeError('an ArrayBuffer or a view of one is expected here');
};

class TextEncoder {
  get encoding() {
    return 'utf-8';
  }

  encode(text = '') {
    return encode(text);
  }

  encodeInto(text, into) {
    const well = wellFormed(text);
    let read = 0;
    let written = 0;
    for (const character of well) {
      const bytes = encode(character);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

class TextDecoder {
  #fatal;
  #keepsMark;
  #rest = new Uint8Array(0);

  constructor(label = 'utf-8', options = {}) {
    if (!['utf-8', 'utf8', 'unicode-1-1-utf-8'].includes(String(label).trim().toLowerCase())) {
      throw new RangeError(`the encoding ${label} is not supported: there is utf-8`);
    }
    this.#fatal = Boolean(options.fatal);
    this.#keepsMark = Boolean(options.ignoreBOM);
  }

  get encoding() {
    return 'utf-8';
  }

  get fatal() {
    return this.#fatal;
  }

  get ignoreBOM() {
    return this.#keepsMark;
  }

  decode(input = new Uint8Array(0), { stream = false } = {}) {
    let bytes = bytesOf(input);
    if (this.#rest.length > 0) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    // A character that is cut at the end waits for what comes next.
    const cut = stream ? unfinished(bytes) : 0;
    this.#rest = bytes.slice(bytes.length - cut);
    const text = host.decode(bytes.slice(0, bytes.length - cut), this.#fatal);
    return !this.#keepsMark && text.startsWith('\ufeff') ? text.slice(1) : text;
  }
}

// How many bytes at the end begin a character that is not whole.
const unfinished = (bytes) => {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? back : 0;
    }
  }
  return 0;
};

class InvalidCharacterError extends Error {
  name = 'InvalidCharacterError';
}

const btoa = (text) => {
  const bytes = new Uint8Array(String(text).length);
  for (let at = 0; at < bytes.length; at += 1) {
    const code = String(text).charCodeAt(at);
    if (code > 0xff) throw new InvalidCharacterError('btoa takes characters up to U+00FF');
    bytes[at] = code;
  }
  return host.toBase64(bytes);
};

const atob = (text) => {
  const bytes = host.fromBase64(String(text).replace(/[\t\n\f\r ]/g, ''));
  if (!bytes) throw new InvalidCharacterError('this is not Base64');
  let out = '';
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
};

define({ TextEncoder, TextDecoder, atob, btoa });

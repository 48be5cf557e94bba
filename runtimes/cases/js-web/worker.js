// What of the web's own API workers use.
const run = async (request) => {
  const url = new URL('../b/./c?x=1&x=%C3%A9+f#top', request.url);
  url.searchParams.append('y', 'a b&');
  const checks = {
    url: url.href,
    parts: [url.origin, url.host, url.pathname, url.search, url.hash],
    all: url.searchParams.getAll('x'),
    resolved: new URL('//example.com:443/%7Ea/../ü?q', 'https://a/b').href,
    refused: URL.canParse('not a url'),
    base64: [btoa('hello'), atob('aGVsbG8')],
    text: new TextDecoder().decode(new TextEncoder().encode('grüß 🐠')),
    clone: structuredClone({ a: [new Date(0)], m: new Map([[1, 2]]) }).m.get(1),
    random: [Math.random() < 1, crypto.getRandomValues(new Uint8Array(4)).length, crypto.randomUUID().length],
    headers: [...new Headers({ B: '2', a: ['1', '3'] })],
    stack: (() => {
      const deeper = () => deeper() + 1;
      try {
        return deeper();
      } catch (error) {
        return error.constructor.name;
      }
    })(),
    form: Object.fromEntries(new URLSearchParams(await request.text())),
  };
  return new Response(JSON.stringify(checks));
};

addEventListener('fetch', (event) => event.respondWith(run(event.request)));

// WASI 0.2 HTTP from JavaScript: a fetch event, as in a browser's service worker.

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url);
  const body = request.method === 'POST' ? await request.text() : '';
  const report = { language: 'JavaScript', path: pathname, name: searchParams.get('name'), body };
  return new Response(`${JSON.stringify(report)}\n`, {
    headers: { 'content-type': 'application/json' },
  });
}

// An HTTP handler: answers fetch events, as a service worker does.

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname !== '/') {
    return new Response('There is nothing here.\n', { status: 404 });
  }
  const name = searchParams.get('name') ?? 'world';
  return new Response(`Hello, ${name}!\n`, { headers: { 'content-type': 'text/plain' } });
}

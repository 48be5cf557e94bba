// A listener, and a response with a header of its own.
const greet = (request) => {
  if (request.method !== 'GET') return new Response('only GET', { status: 405 });
  const agent = request.headers.get('User-Agent');
  const response = new Response(`<p>${request.url} by ${agent}: ${request.body || '-'}</p>`);
  response.headers.set('x-generated-by', 'reef');
  return response;
};

addEventListener('fetch', (event) => {
  return event.respondWith(greet(event.request));
});

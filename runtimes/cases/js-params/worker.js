addEventListener('fetch', (event) => event.respondWith(new Response(`id: ${event.request.params.id}`)));

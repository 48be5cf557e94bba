addEventListener('fetch', (event) => event.respondWith(event.request.nothing.here));

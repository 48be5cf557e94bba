addEventListener('fetch', (event) => event.respondWith(new Promise(() => {})));
